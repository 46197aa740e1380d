"""One pass: look, decide, guard, act; again until there is nothing more to do now.

It may be killed at any point and run again by anyone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from unetsweep.core.actions import Action, Submit
from unetsweep.core.facts import Attempt, Job, Seen
from unetsweep.core.plan import Plan, plan
from unetsweep.core.ports import Scheduler
from unetsweep.errors import SchedulerError
from unetsweep.shell.apply import apply
from unetsweep.shell.pruning import with_stops
from unetsweep.shell.world import World

TURNS = 50
"""No pass goes on for longer: the next one will."""


@dataclass(slots=True)
class Outcome:
    """What a pass did, and what is left to wait for."""

    done: list[Action] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    seen: Seen = field(default_factory=Seen)


def observe(world: World) -> Seen:
    """One look at the files and one question to the scheduler, asked only when something was submitted."""
    return with_jobs(*_look_and_ask(world))


def _look_and_ask(world: World) -> tuple[Seen, Mapping[tuple[str, int], Job], str | None]:
    files = world.directory.look()
    jobs, silence = ask(world.scheduler, files)
    if silence is None:
        jobs = {**jobs, **_last_words(world, files, jobs)}
    if not all(job.state.is_live for job in jobs.values()):
        files = world.directory.look()  # what an ended job left is surely seen only after its end was
    return files, jobs, silence


def _last_words(world: World, seen: Seen, jobs: Mapping[tuple[str, int], Job]) -> dict[tuple[str, int], Job]:
    """What the accounts say of attempts that had a job, left no word, and are listed no more."""
    since = world.clock.now() - world.unseen_grace
    gone = {}
    for last in (run.last for run in seen.runs.values()):
        job_id = last and (last.claimed_by or last.job_id)
        is_open = last and last.lost is None and (last.ending is None or not last.ending.is_final)
        if last and job_id and is_open and last.at < since:
            gone[job_id] = (last.token, last.index)
    gone = {job_id: key for job_id, key in gone.items() if key not in jobs}
    said = world.scheduler.last_words(list(gone)) if gone else {}
    return {gone[job_id]: Job(job_id, *gone[job_id], state, word) for job_id, (state, word) in said.items()}


def ask(scheduler: Scheduler, seen: Seen) -> tuple[Mapping[tuple[str, int], Job], str | None]:
    """The jobs of everything that has not ended, by (token, index); or why there is no answer."""
    tokens = {run.last.token for run in seen.runs.values() if run.last is not None and run.last.lost is None}
    if not tokens:
        return {}, None
    try:
        return {(job.token, job.index): job for job in scheduler.jobs(tokens)}, None
    except SchedulerError as error:
        return {}, str(error)


def with_jobs(seen: Seen, jobs: Mapping[tuple[str, int], Job], silence: str | None) -> Seen:
    """The look with each attempt's job in its place."""
    runs = {
        number: replace(run, attempts=tuple(_placed(attempt, jobs) for attempt in run.attempts))
        for number, run in seen.runs.items()
    }
    return replace(seen, runs=runs, silence=silence)


def _placed(attempt: Attempt, jobs: Mapping[tuple[str, int], Job]) -> Attempt:
    job = jobs.get((attempt.token, attempt.index))
    return attempt if job is None else replace(attempt, job=job)


def reconcile(world: World, *, force: bool = False, told: Callable[[Action], None] = lambda _: None) -> Outcome:
    """Bring the sweep as far as it can go now. Call it under the lease."""
    outcome = Outcome()
    capacity = world.capacity()
    asked = world.clock.now()  # what was submitted after this question is not missing from its answer
    files, jobs, silence = _look_and_ask(world)
    for _ in range(TURNS):
        outcome.seen = with_jobs(files, jobs, silence)
        outcome.plan = plan(world.spec, outcome.seen, capacity, asked)
        if any(isinstance(action, Submit) for action in outcome.plan.actions):
            limits = replace(capacity, max_elements=world.scheduler.max_elements(), submit_room=world.scheduler.room())
            outcome.plan = plan(world.spec, outcome.seen, limits, asked)
        if not force:
            outcome.plan.raise_if_unsafe()
        outcome.plan = with_stops(outcome.plan, world, outcome.seen)
        if not apply(outcome.plan.actions, world, outcome.done, told):
            break
        files = world.directory.look()
    return outcome
