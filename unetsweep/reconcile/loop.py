"""One reconciliation: look, decide, guard, act; again until there is nothing more to do now.

It may be killed at any point and run again by anyone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from unetsweep.core.actions import Action, Submit, SubmitReconciler
from unetsweep.core.causes import WORDS
from unetsweep.core.observation import Attempt, Job, JobState, Observation
from unetsweep.core.plan import Plan, plan
from unetsweep.core.ports import Scheduler
from unetsweep.core.reconciler_job import is_unsure
from unetsweep.errors import SchedulerError
from unetsweep.reconcile.apply import apply, export_journal
from unetsweep.reconcile.context import World
from unetsweep.reconcile.pruning import with_stops

TURNS = 50
"""No reconciliation goes on for longer: the next one will."""


@dataclass(slots=True)
class Outcome:
    """What a reconciliation did, and what is left to wait for."""

    done: list[Action] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    seen: Observation = field(default_factory=Observation)

    unsure: bool = False
    """The last reconciler job was seen as an intent only: whoever left it may have died before it was sent."""

    @property
    def lacks_reconciler(self) -> bool:
        """Whether a reconciler job was wanted, and it is not sure that there is one."""
        wanted = self.unsure or any(isinstance(action, SubmitReconciler) for action in self.plan.actions)
        return wanted and not any(isinstance(action, SubmitReconciler) for action in self.done)


def observe(world: World) -> Observation:
    """One look at the files and one question to the scheduler, asked only when something was submitted."""
    return with_jobs(*_look_and_ask(world))


def _look_and_ask(world: World) -> tuple[Observation, Mapping[tuple[str, int], Job], str | None]:
    files = world.directory.look()
    jobs, scheduler_error = ask(world.scheduler, files)
    if scheduler_error is None:
        jobs = {**jobs, **_last_words(world, files, jobs)}
    if not all(job.state.is_live for job in jobs.values()):
        files = world.directory.look()  # what an ended job left is surely seen only after its end was
    return files, jobs, scheduler_error


def _last_words(world: World, seen: Observation, jobs: Mapping[tuple[str, int], Job]) -> dict[tuple[str, int], Job]:
    """How attempts ended of whose job the queue has no telling word: by its accounts, and by what it wrote into
    the job's log. No word: it is listed no more, nothing says how it ended, and its log shows that it began."""
    mute = {}
    since = world.clock.now() - world.clocks.unseen
    for last in (run.last for run in seen.runs.values()):
        key = (last.token, last.index) if last is not None else ("", 0)
        if last is None or last.lost is not None or (last.ending is not None and last.ending.is_final):
            continue
        job, job_id = jobs.get(key), last.claimed_by or last.job_id
        if job is None and job_id is not None and last.at <= since:
            mute[job_id] = Job(job_id, *key, JobState.ENDED, "", is_recalled=True)
        elif job is not None and job.state is JobState.ENDED and job.word not in WORDS:
            mute[job.job_id] = job
    said = world.scheduler.last_words({job_id: job.token for job_id, job in mute.items()}) if mute else {}
    found = {job_id: _refined(world, job, said.get(job_id)) for job_id, job in mute.items()}
    return {
        (job.token, job.index): job
        for job in found.values()
        if job.word or world.directory.has_log(job.token, job.job_id)
    }


def _refined(world: World, job: Job, said: tuple[JobState, str] | None) -> Job:
    """The job with the most telling word: a class of its own, else a cancellation, else any."""
    logged = world.scheduler.word_in(world.directory.log_tail(job.token, job.index, job.job_id))
    words = [each for each in (said, logged) if each is not None]
    best = next((each for each in words if each[1] in WORDS), None)
    best = best or next((each for each in words if each[0] is JobState.CANCELLED), None)
    if best is None and not job.word:
        best = said
    return job if best is None else replace(job, state=best[0], word=best[1])


def ask(scheduler: Scheduler, seen: Observation) -> tuple[Mapping[tuple[str, int], Job], str | None]:
    """The jobs of everything that has not ended, by (token, index); or why there is no answer."""
    tokens = {run.last.token for run in seen.runs.values() if run.last is not None and run.last.lost is None}
    if seen.reconciler is not None and not seen.reconciler.lost:
        tokens.add(seen.reconciler.token)
    if not tokens:
        return {}, None
    try:
        listed = scheduler.jobs(tokens)
    except SchedulerError as error:
        return {}, str(error)
    found: dict[tuple[str, int], Job] = {}
    for job in listed:  # two of one token: sbatch sent it twice; the one that lives counts, else the first
        other = found.get((job.token, job.index))
        if other is None or (job.state.is_live and not other.state.is_live):
            found[job.token, job.index] = job
    return found, None


def with_jobs(seen: Observation, jobs: Mapping[tuple[str, int], Job], scheduler_error: str | None) -> Observation:
    """The look with each attempt's job in its place."""
    runs = {
        number: replace(run, attempts=tuple(_placed(attempt, jobs) for attempt in run.attempts))
        for number, run in seen.runs.items()
    }
    reconciler = seen.reconciler
    if reconciler is not None:
        reconciler = replace(reconciler, job=jobs.get((reconciler.token, 0)))
    # what the accounts or a log said of a job that is listed no more does not make its array known to the queue
    listed = frozenset(job.token for job in jobs.values() if not job.is_recalled)
    return replace(seen, runs=runs, scheduler_error=scheduler_error, reconciler=reconciler, listed=listed)


def _placed(attempt: Attempt, jobs: Mapping[tuple[str, int], Job]) -> Attempt:
    job = jobs.get((attempt.token, attempt.index))
    if job is None:
        return attempt
    return replace(attempt, job=job) if job.word else replace(attempt, began=True)


def reconcile(world: World, *, force: bool = False, told: Callable[[Action], None] = lambda _: None) -> Outcome:
    """Bring the sweep as far as it can go now. Call it under the lease."""
    outcome = Outcome()
    world.directory.looked()
    capacity = world.capacity()
    asked = world.clock.now()  # what was submitted after this question is not missing from its answer
    files, jobs, scheduler_error = _look_and_ask(world)
    for _ in range(TURNS):
        outcome.seen = with_jobs(files, jobs, scheduler_error)
        outcome.plan = plan(world.spec, outcome.seen, capacity, asked)
        if capacity.submit_room is None and _submits(outcome.plan):
            limits = replace(capacity, max_elements=world.scheduler.max_elements(), submit_room=world.scheduler.room())
            outcome.plan = plan(world.spec, outcome.seen, limits, asked)
        if not force:
            outcome.plan.raise_if_unsafe()
        outcome.plan = with_stops(outcome.plan, world, outcome.seen)
        if not apply(outcome.plan.actions, world, outcome.done, told):
            if not _submits(outcome.plan):
                break
            capacity = replace(
                capacity, submit_room=0
            )  # it takes no more; what there is may still want its reconciler job
        files = world.directory.look()
    if (world.interactive or not outcome.seen.trials) and world.study.is_stale():
        export_journal(world)  # at the end, and for a person
    outcome.unsure = is_unsure(outcome.seen.reconciler, capacity, asked)
    return outcome


def _submits(plan: Plan) -> bool:
    return any(isinstance(action, Submit) for action in plan.actions)
