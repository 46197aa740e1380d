"""The state machine, all of it: what to do about what was seen.

Rule 1: pure; the same look and the same time give the same plan.
Rule 2: a result outranks the queue; the queue outranks an exit status; silence outranks nothing.
Rule 3: what is not listed counts only after a grace time, and only when the scheduler answered.
Rule 4: never more trainings at once than `parallel`, whoever submitted them.
Rule 5: the plan never depends on its own effects; the next look sees them.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime

from unetsweep.core import places
from unetsweep.core.actions import Action, Adopt, Cancel, Element, GiveUp, Propose, Stop, Submit, Tell, Wait
from unetsweep.core.facts import Attempt, JobState, Run, Seen, Trial
from unetsweep.core.places import Capacity
from unetsweep.core.pruning import why_pruned
from unetsweep.core.spec import SweepSpec, trials_wanted
from unetsweep.errors import UnsafePlan

ADAPTIVE_PARALLEL = 4
"""Trials in flight of an adaptive search that does not say `parallel`."""
UNSURE = "submitted, perhaps; the queue may not list it yet"
"""Why a trial waits whose submitter died before it wrote down a job id."""
MANY = 20
"""So many attempts lost at one look are not believed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass decided."""

    actions: tuple[Action, ...] = ()
    waits: tuple[Wait, ...] = ()
    live: int = 0
    """Attempts that may still be at work."""
    vanished: int = 0
    """Attempts that had a job, of which the queue knows nothing any more."""

    def raise_if_unsafe(self) -> None:
        """The guard: too much vanished at once to be true."""
        if self.vanished >= max(MANY, self.live):
            raise UnsafePlan(
                f"{self.vanished} submitted trainings vanished from the queue at one look; check that squeue answers "
                "as it should, then run the command again with --force to send them again"
            )


@dataclass(slots=True)
class _Draft:
    """A plan in the making."""

    actions: list[Action] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    ready: dict[int, Element] = field(default_factory=dict)
    cancel: list[str] = field(default_factory=list)
    refused: bool = False
    """The last submission of a run that is ready now was refused."""
    live: list[Attempt] = field(default_factory=list)
    vanished: int = 0


def plan(spec: SweepSpec, seen: Seen, capacity: Capacity, now: datetime) -> Plan:
    """What to do now about everything that was seen."""
    draft = _Draft()
    served: dict[int, list[Trial]] = defaultdict(list)
    for trial in seen.trials:
        served[trial.run].append(trial)
    look = _Look(seen.silence, now, capacity, _listed(seen))
    for run, trials in served.items():
        _decide(draft, spec, seen.runs.get(run, Run(run)), trials, look)
    if draft.cancel:
        draft.actions.append(Cancel(tuple(draft.cancel), "you cancelled their trials"))
    draft.waits.sort(key=lambda wait: wait.trial)
    draft.actions.sort(key=_order)
    if seen.silence is None:
        _submit(draft, capacity)
        _propose(draft, spec, seen, capacity)
    else:
        draft.waits += [Wait(trial, f"the queue does not answer: {seen.silence}") for trial in _ready_trials(draft)]
    return Plan(tuple(draft.actions), tuple(draft.waits), len(draft.live), draft.vanished)


def forecast(spec: SweepSpec, seen: Seen, capacity: Capacity, now: datetime) -> tuple[Plan, int]:
    """The plan as it will be when its proposals are trials, and how many of those there are: for a dry run."""
    first = plan(spec, seen, capacity, now)
    count = sum(action.count for action in first.actions if isinstance(action, Propose))
    start = seen.ended + len(seen.trials)
    hoped = tuple(Trial(number, number, 0) for number in range(start, start + count))
    return plan(spec, replace(seen, trials=seen.trials + hoped), capacity, now), count


@dataclass(frozen=True, slots=True)
class _Look:
    """What the decision on one run needs to know of the rest."""

    silence: str | None
    now: datetime
    capacity: Capacity
    listed: frozenset[str]
    """Tokens of which the scheduler lists at least one element."""


def _listed(seen: Seen) -> frozenset[str]:
    attempts = (attempt for run in seen.runs.values() for attempt in run.attempts)
    return frozenset(attempt.token for attempt in attempts if attempt.job is not None)


def _decide(draft: _Draft, spec: SweepSpec, run: Run, served: list[Trial], look: _Look) -> None:
    """One run and the trials that it serves."""
    if run.unreadable is not None:
        draft.live.append(Attempt(run.number, 0, "", run.number, look.now))  # a job of it may be at work
        draft.waits += [Wait(trial.number, run.unreadable) for trial in served]
        return
    waiting = []
    for trial in served:
        state = run.horizons.get(trial.epochs)
        if state is not None:
            draft.actions.append(_tell(trial, run.last, state, "its result is there"))
        else:
            waiting.append(trial)
    if not waiting:
        return
    outcome = _outcome(run.last, look)
    if not isinstance(outcome, _Live) or _needs_no_more(run.last, look):
        cancelled = [trial for trial in waiting if trial.cancelled]
        draft.actions += [_tell(trial, run.last, "cancelled", "you cancelled it") for trial in cancelled]
        waiting = [trial for trial in waiting if not trial.cancelled]
    if not isinstance(outcome, _Live):
        pruned = {trial: why for trial in waiting if (why := why_pruned(run, trial.epochs))}
        draft.actions += [_tell(trial, run.last, "pruned", why) for trial, why in pruned.items()]
        waiting = [trial for trial in waiting if trial not in pruned]
    if not waiting:
        return
    draft.vanished += isinstance(outcome, _Lost) and outcome.vanished
    if isinstance(outcome, _Live):
        _stay(draft, waiting, outcome)
    elif isinstance(outcome, _Over):
        draft.actions += [_tell(trial, run.last, outcome.state, outcome.reason) for trial in waiting]
    else:
        _again(draft, spec, run, waiting, outcome)


def _needs_no_more(last: Attempt | None, look: _Look) -> bool:
    """Whether a cancelled trial's attempt is over, as far as the queue goes. Files that may still come
    are not waited for; a job that it lists late finds that its trial has ended, and leaves."""
    if last is None:
        return True
    if last.job is not None:
        return not last.job.state.is_live
    return look.silence is None and last.claimed_by is None


@dataclass(frozen=True, slots=True)
class _Live:
    """The last attempt may still be at work."""

    attempt: Attempt
    reason: str
    running: bool = False
    adopt: str | None = None


@dataclass(frozen=True, slots=True)
class _Over:
    """The last attempt ended, and its trials with it."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Lost:
    """There is no attempt, or the cluster lost the last one: send the run (again)."""

    reason: str
    give_up: Attempt | None = None
    vanished: bool = False
    """A job that was there, and of which the queue knows nothing any more."""


def _outcome(last: Attempt | None, look: _Look) -> _Live | _Over | _Lost:
    """What became of a run's last attempt, which has left no result. Most certain evidence first."""
    if last is None:
        return _Lost("it is new")
    if last.lost is not None:
        return _Lost(last.lost)
    requeued = last.job is not None and last.job.state is JobState.QUEUED  # then what it left is of an earlier start
    if last.ending is not None and not requeued and last.ending.is_final:
        return _Over("failed", _described(last))
    if last.job is None:
        return _unlisted(last, look)
    adopt = last.job.job_id if last.job_id is None else None
    if last.job.state.is_live:
        running = last.job.state is JobState.RUNNING
        reason = "running" if running else (last.job.reason or last.job.word).strip("() ")
        return _Live(last, reason, running=running, adopt=adopt)
    if last.job.ended_at is not None and look.now - last.job.ended_at < look.capacity.result_grace:
        return _Live(last, f"its job ended as {last.job.word}; its files may show late", adopt=adopt)
    if last.job.state is JobState.CANCELLED:
        return _Over("cancelled", f"job {last.job.job_id} was cancelled")
    return _Lost(f"job {last.job.job_id} ended ({last.job.word}) without a result", give_up=last)


def _unlisted(last: Attempt, look: _Look) -> _Live | _Over | _Lost:
    """The scheduler does not list the attempt, and no file says how it ended."""
    adopt = last.claimed_by if last.job_id is None else None
    if look.silence is not None:
        return _Live(last, f"the queue does not answer: {look.silence}", adopt=adopt)
    if look.now - last.at < look.capacity.unseen_grace:
        known = last.job_id or adopt
        return _Live(last, "just submitted" if known else UNSURE, adopt=adopt)
    job_id = last.claimed_by or last.job_id
    if look.capacity.queues and last.claimed_by is None and job_id is not None and last.token in look.listed:
        return _Over("cancelled", f"job {job_id} left the queue before it started: it was cancelled")
    what = f"job {job_id} is gone from the queue" if job_id else "its submission never reached the queue"
    return _Lost(what, give_up=last, vanished=job_id is not None)


def _described(last: Attempt) -> str:
    if last.ending is None:
        return "ended without a result"
    where = f" (see {last.ending.where})" if last.ending.where else ""
    return f"{last.ending.message}{where}"


def _stay(draft: _Draft, waiting: list[Trial], outcome: _Live) -> None:
    attempt = outcome.attempt
    draft.live.append(attempt)
    job_id = attempt.job_id or outcome.adopt
    if outcome.adopt is not None:
        draft.actions.append(Adopt(attempt.run, attempt.number, outcome.adopt, "found by its token"))
    if job_id and all(trial.cancelled for trial in waiting):
        draft.cancel.append(job_id)
    draft.waits += [Wait(trial.number, outcome.reason, outcome.running, job_id) for trial in waiting]


def _again(draft: _Draft, spec: SweepSpec, run: Run, trials: list[Trial], outcome: _Lost) -> None:
    gone = [attempt for attempt in run.attempts if attempt.lost is not None and not attempt.refused]
    gone += [outcome.give_up] if outcome.give_up is not None else []
    lost = sum(attempt.job_id is not None or attempt.claimed_by is not None for attempt in gone)
    if outcome.give_up is not None:
        draft.actions.append(GiveUp(run.number, outcome.give_up.number, outcome.reason))
    if lost > spec.run.retries.node or len(gone) > MANY:
        reason = f"lost {len(gone)} times, the last time because {outcome.reason}"
        draft.actions += [_tell(trial, run.last, "failed", reason) for trial in trials]
        return
    draft.refused |= run.last is not None and run.last.refused
    number = run.last.number + 1 if run.last else 1
    draft.ready[run.number] = Element(
        run.number, number, tuple((trial.number, trial.epochs) for trial in sorted(trials, key=lambda t: t.epochs))
    )


def _submit(draft: _Draft, capacity: Capacity) -> None:
    ready = [draft.ready[run] for run in sorted(draft.ready)]
    submits, why = places.fill(ready, draft.live, capacity, careful=draft.refused)
    draft.actions += submits
    left = ready[sum(len(submit.elements) for submit in submits) :]
    draft.waits += [Wait(trial, why) for element in left for trial, _ in element.horizons]


def _propose(draft: _Draft, spec: SweepSpec, seen: Seen, capacity: Capacity) -> None:
    if seen.stopped:
        return
    missing = trials_wanted(spec) - seen.ended - len(seen.trials)
    if spec.study.sampler not in ("grid", "random"):
        places = capacity.parallel or ADAPTIVE_PARALLEL
        ending = {action.trial for action in draft.actions if isinstance(action, Tell)}
        missing = min(missing, places - len([trial for trial in seen.trials if trial.number not in ending]))
    if missing > 0:
        draft.actions.append(Propose(missing, f"{trials_wanted(spec)} trials are asked for"))


def _tell(trial: Trial, last: Attempt | None, state: str, reason: str) -> Tell:
    job_id = (last.claimed_by or last.job_id) if last else None
    return Tell(trial.number, trial.run, trial.epochs, state, reason, job_id)


def _ready_trials(draft: _Draft) -> list[int]:
    return [trial for element in draft.ready.values() for trial, _ in element.horizons]


def _order(action: Action) -> tuple[int, int]:
    """Adopt, give up and tell before anything new is sent; by number within."""
    match action:
        case Stop(run=run) | Adopt(run=run):
            return 0, run
        case GiveUp(run=run):
            return 1, run
        case Tell(trial=trial):
            return 2, trial
        case Cancel():
            return 3, 0
        case Submit() | Propose():
            return 4, 0
