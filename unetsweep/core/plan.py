"""What to do about what was seen: all of it, from what became of each attempt (`core/outcome.py`).

Rule 1: pure; the same look and the same time give the same plan.
Rule 2: a result outranks everything; into silence nothing is sent.
Rule 3: never more trainings at once than `parallel`, whoever submitted them.
Rule 4: the plan never depends on its own effects; the next look sees them.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from unetsweep.core import again, clearing, keeping, places, sharing
from unetsweep.core.actions import (
    Action,
    Adopt,
    Cancel,
    Clear,
    Element,
    End,
    GiveUp,
    Keep,
    Propose,
    Stop,
    Submit,
    Tell,
    Wait,
)
from unetsweep.core.causes import Cause
from unetsweep.core.facts import Attempt, JobState, Run, Seen, Trial
from unetsweep.core.outcome import Live, Look, Lost, Over, look_of, needs_no_more, outcome_of
from unetsweep.core.places import Capacity
from unetsweep.core.pruning import why_pruned
from unetsweep.core.spec import SweepSpec, trials_wanted
from unetsweep.errors import UnsafePlan

ADAPTIVE_PARALLEL = 4
"""Trials in flight of an adaptive search that does not say `parallel`."""
MANY = 20
"""So many attempts lost at one look are not believed."""
BACKOFF_MAX = timedelta(hours=1)
"""What was refused is tried again after a minute, then two, four, … at most this."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass decided."""

    actions: tuple[Action, ...] = ()
    waits: tuple[Wait, ...] = ()
    live: int = 0
    """Attempts that may still be at work."""
    vanished: int = 0
    """Attempts that had a job, of which the queue knows nothing any more."""
    halted: str | None = None
    """Why the sweep has stopped by itself."""

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
    refused: dict[int, Attempt] = field(default_factory=dict)
    """Of those that are ready: the last attempt, where the scheduler refused it."""
    cancel: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    """Jobs that wait in the queue for nothing."""
    live: list[Attempt] = field(default_factory=list)
    vanished: int = 0


def plan(spec: SweepSpec, seen: Seen, capacity: Capacity, now: datetime) -> Plan:
    """What to do now about everything that was seen."""
    draft = _Draft()
    served: dict[int, list[Trial]] = defaultdict(list)
    for trial in seen.trials:
        served[trial.run].append(trial)
    look = look_of(seen, capacity, now)
    for run, trials in served.items():
        _decide(draft, spec, seen.runs.get(run, Run(run)), trials, look)
    if draft.cancel:
        draft.actions.append(Cancel(tuple(draft.cancel), "you cancelled their trials"))
    if draft.idle:
        draft.actions.append(Cancel(tuple(draft.idle), "their trials have ended"))
    draft.actions.sort(key=_order)
    if seen.silence is not None:
        draft.waits += [Wait(trial, f"the queue does not answer: {seen.silence}") for trial in _ready_trials(draft)]
    elif look.halted is not None:
        draft.waits += [Wait(trial, f"stopped: {look.halted}") for trial in _ready_trials(draft)]
    else:
        _submit(draft, seen, capacity, look, keeping.wants_keeper(spec, seen, capacity, now))
        _propose(draft, spec, seen, capacity)
    _keep(draft, spec, seen, capacity, look)
    if not any(isinstance(action, Propose) for action in draft.actions):  # a new trial may go on from what would go
        draft.actions += clearing.clear(spec, seen, now)
    draft.waits.sort(key=lambda wait: wait.trial)
    return Plan(tuple(draft.actions), tuple(draft.waits), len(draft.live), draft.vanished, look.halted)


def _decide(draft: _Draft, spec: SweepSpec, run: Run, served: list[Trial], look: Look) -> None:
    """One run and the trials that it serves."""
    if run.unreadable is not None:
        _unreadable(draft, run, served, look)
        return
    served = _readable(draft, run, served, look)
    waiting = _published(draft, run, served)
    if not waiting:
        _take_back(draft, run)
        return
    outcome = outcome_of(run, look)
    if not isinstance(outcome, Live) or needs_no_more(run.last, look):
        waiting = _told(draft, run, waiting, {t: "you cancelled it" for t in waiting if t.cancelled}, "cancelled")
    if not isinstance(outcome, Live):
        pruned = {trial: why for trial in waiting if (why := why_pruned(run, trial.epochs))}
        waiting = _told(draft, run, waiting, pruned, "pruned")
    if not waiting:
        return
    if isinstance(outcome, Live):
        _stay(draft, run, waiting, outcome)
    elif isinstance(outcome, Over):
        draft.actions += [_tell(trial, run.last, outcome.state, outcome.reason) for trial in waiting]
    else:
        _again(draft, spec, run, waiting, outcome, look)


def _unreadable(draft: _Draft, run: Run, served: list[Trial], look: Look) -> None:
    """All of it waits, and its job keeps its place; only a cancellation goes on, where its attempts are known."""
    last = run.last
    draft.live.append(last or Attempt(run.number, 0, "", run.number, look.now))  # a job of it may be at work
    if last is not None:
        if last.job is not None and last.job.state.is_live and all(trial.cancelled for trial in served):
            draft.cancel.append(last.job.job_id)
        if not isinstance(outcome_of(run, look), Live) or needs_no_more(last, look):
            served = _told(draft, run, served, {t: "you cancelled it" for t in served if t.cancelled}, "cancelled")
    draft.waits += [Wait(trial.number, run.unreadable or "") for trial in served]


def _published(draft: _Draft, run: Run, served: list[Trial]) -> list[Trial]:
    """Tell those whose result is there; the trials that are left."""
    states = {trial: run.horizons[trial.epochs] for trial in served if trial.epochs in run.horizons}
    for trial, state in states.items():
        cut_short = state == "pruned" and trial.cancelled
        told = ("cancelled", "you cancelled it") if cut_short else (state, "its result is there")
        draft.actions.append(_tell(trial, run.last, *told))
    return [trial for trial in served if trial not in states]


def _take_back(draft: _Draft, run: Run) -> None:
    """A controller that was started again with an old memory queues what has run, and may hold it for ever."""
    last = run.last
    if last is not None and last.job is not None and last.job.state is JobState.QUEUED:
        draft.idle.append(last.job.job_id)


def _readable(draft: _Draft, run: Run, served: list[Trial], look: Look) -> list[Trial]:
    """Those of which all is known; where none is, a job of the run keeps its place all the same."""
    draft.waits += [Wait(trial.number, trial.unreadable) for trial in served if trial.unreadable]
    known = [trial for trial in served if not trial.unreadable]
    if not known and isinstance(outcome := outcome_of(run, look), Live):
        draft.live.append(outcome.attempt)
    return known


def _told(draft: _Draft, run: Run, waiting: list[Trial], ended: dict[Trial, str], state: str) -> list[Trial]:
    """End these; the trials that are left."""
    draft.actions += [_tell(trial, run.last, state, why) for trial, why in ended.items()]
    return [trial for trial in waiting if trial not in ended]


def _stay(draft: _Draft, run: Run, waiting: list[Trial], outcome: Live) -> None:
    attempt = outcome.attempt
    draft.live.append(attempt)
    job_id = attempt.job_id or outcome.adopt
    if outcome.adopt is not None:
        draft.actions.append(Adopt(attempt.run, attempt.number, outcome.adopt, "found by its token"))
    listed = attempt.job is not None and attempt.job.state.is_live  # an id alone may be another job's by now
    if listed and attempt.job is not None and all(trial.cancelled for trial in waiting):
        draft.cancel.append(attempt.job.job_id)
    elif listed and attempt.job is not None and outcome.end is not None:
        draft.actions.append(End(attempt.run, attempt.number, attempt.job.job_id, outcome.end, outcome.reason))
    elif listed and (stop := sharing.cut_short(run, attempt, waiting)) is not None:
        draft.actions.append(stop)
    for trial in waiting:
        later = sharing.why_later(run, attempt, trial.epochs)
        if trial.cancelled and not all(each.cancelled for each in waiting):
            later = sharing.GOES_ON
        draft.waits.append(Wait(trial.number, later or outcome.reason, outcome.running and later is None, job_id))


def _again(draft: _Draft, spec: SweepSpec, run: Run, trials: list[Trial], outcome: Lost, look: Look) -> None:
    gone, last = outcome.give_up, run.last
    cause = again.cause_of(gone) if gone is not None else None
    draft.vanished += outcome.vanished
    following: again.Next | str = again.Next()
    if run.is_through and last is not None:
        following = again.Next(last.mem, last.micro_batch)
    if cause is not None and gone is not None:
        node = gone.node or (gone.job.node if gone.job is not None else None)
        draft.actions.append(GiveUp(run.number, gone.number, outcome.reason, cause, node, run.epochs_done))
        following = again.after(spec, run, trials[0], cause)
    elif last is not None and last.number > run.forgiven and last.lost is not None and not last.refused:
        following = again.after(spec, run, trials[0], last.cause or Cause.VANISHED)
    if isinstance(following, str):
        if look.halted is not None and Cause.START in (cause, last.cause if last is not None else None):
            draft.waits += [Wait(trial.number, f"stopped: {look.halted}") for trial in trials]  # it is not its fault
            return
        draft.actions += [
            _tell(trial, last, "failed", f"{following}; the last time {outcome.reason}") for trial in trials
        ]
        return
    if last is not None and last.refused:
        draft.refused[run.number] = last
    horizons = tuple((trial.number, trial.epochs) for trial in sorted(trials, key=lambda t: t.epochs))
    number = last.number + 1 if last else 1
    draft.ready[run.number] = Element(run.number, number, horizons, following.mem, following.micro_batch)


def _submit(draft: _Draft, seen: Seen, capacity: Capacity, look: Look, keeps: bool) -> None:
    if keeps and capacity.submit_room is not None:  # a place in the queue for the keeper
        capacity = replace(capacity, submit_room=max(0, capacity.submit_room - 1))
    ready = []
    for run in sorted(draft.ready):
        until = _held(draft.refused.get(run), draft, look)
        if until is None:
            ready.append(draft.ready[run])
        else:
            why = f"{draft.refused[run].lost}; the next try is at {until:%H:%M} UTC, or with `unetsweep submit`"
            draft.waits += [Wait(trial, why) for trial, _ in draft.ready[run].horizons]
    exclude = again.suspects(seen, look.now) if capacity.queues else ()
    submits, why = places.fill(ready, draft.live, capacity, careful=bool(draft.refused), exclude=exclude)
    draft.actions += submits
    sent = {element.run for submit in submits for element in submit.elements}
    draft.waits += [Wait(trial, why) for element in ready if element.run not in sent for trial, _ in element.horizons]


def _held(refused: Attempt | None, draft: _Draft, look: Look) -> datetime | None:
    """Until when a refused run is not sent: ever longer, but for a person, and but for a limit while the end
    of something of ours may make room."""
    if refused is None or look.capacity.eager or refused.lost_at is None or (refused.limit and draft.live):
        return None
    until = refused.lost_at + min(BACKOFF_MAX, timedelta(minutes=1) * 2 ** min(refused.refusals, 10))
    return until if until > look.now else None


def _propose(draft: _Draft, spec: SweepSpec, seen: Seen, capacity: Capacity) -> None:
    if seen.stopped:
        return
    missing = trials_wanted(spec) - seen.ended - len(seen.trials)
    if spec.study.sampler not in ("grid", "list", "random"):
        free = capacity.parallel or ADAPTIVE_PARALLEL
        ending = {action.trial for action in draft.actions if isinstance(action, Tell)}
        missing = min(missing, free - len({trial.run for trial in seen.trials if trial.number not in ending}))
    if missing > 0:
        draft.actions.append(Propose(missing, f"{trials_wanted(spec)} trials are asked for"))


def _keep(draft: _Draft, spec: SweepSpec, seen: Seen, capacity: Capacity, look: Look) -> None:
    """A keeper while something moves, or will when its time has come; none where only a person can help."""
    if any(isinstance(action, Submit | Propose) for action in draft.actions):
        return  # the next look knows what to wait for
    told = sum(isinstance(action, Tell) for action in draft.actions)
    moves = len(seen.trials) > told and (draft.live or (draft.ready and look.halted is None))
    if moves and keeping.wants_keeper(spec, seen, capacity, look.now):
        draft.actions.append(keeping.keep(seen, draft.live, capacity.keeper_delay_s))
    elif not moves and len(seen.trials) == told:
        draft.actions += keeping.dismissed(seen, capacity)


def _tell(trial: Trial, last: Attempt | None, state: str, reason: str) -> Tell:
    job_id = (last.claimed_by or last.job_id) if last else None
    return Tell(trial.number, trial.run, trial.epochs, state, reason, job_id)


def _ready_trials(draft: _Draft) -> list[int]:
    return [trial for element in draft.ready.values() for trial, _ in element.horizons]


def _order(action: Action) -> tuple[int, int]:
    """Stop, adopt, give up and tell before anything new is sent; by number within."""
    match action:
        case Stop(run=run) | Adopt(run=run):
            return 0, run
        case GiveUp(run=run):
            return 1, run
        case Tell(trial=trial):
            return 2, trial
        case End(run=run):
            return 3, run
        case Cancel():
            return 4, 0
        case Submit() | Propose() | Keep() | Clear():
            return 5, 0
