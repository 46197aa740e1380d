"""What to do about what was seen: all of it, from what became of each attempt (`core/attempt_state.py`).

Rule 1: pure; the same look and the same time give the same plan.
Rule 2: a result outranks everything; into silence nothing is sent.
Rule 3: never more trainings at once than `parallel`, whoever submitted them.
Rule 4: the plan never depends on its own effects; the next look sees them.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from unetsweep.core import checkpoint_gc, reconciler_job, retry_policy, run_sharing
from unetsweep.core.actions import (
    Action,
    Cancel,
    CollectCheckpoints,
    Element,
    FinishTrial,
    MarkLost,
    Propose,
    Prune,
    RecordJob,
    Submit,
    SubmitReconciler,
    Terminate,
    Wait,
)
from unetsweep.core.attempt_state import (
    Active,
    DecisionContext,
    Finished,
    Lost,
    attempt_state,
    decision_context,
    needs_no_more,
)
from unetsweep.core.capacity import Capacity, schedule
from unetsweep.core.causes import Cause
from unetsweep.core.observation import Attempt, JobState, Observation, Run, Trial
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
    """What a reconciliation decided."""

    actions: tuple[Action, ...] = ()
    waits: tuple[Wait, ...] = ()
    active: int = 0
    """Attempts that may still be at work."""
    vanished: int = 0
    """Attempts that had a job, of which the queue knows nothing any more."""
    paused: str | None = None
    """Why the sweep has stopped by itself."""

    def raise_if_unsafe(self) -> None:
        """The guard: too much vanished at once to be true."""
        if self.vanished >= max(MANY, self.active):
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
    active: list[Attempt] = field(default_factory=list)
    vanished: int = 0


def plan(spec: SweepSpec, observed: Observation, capacity: Capacity, now: datetime) -> Plan:
    """What to do now about everything that was seen."""
    draft = _Draft()
    served: dict[int, list[Trial]] = defaultdict(list)
    for trial in observed.trials:
        served[trial.run].append(trial)
    context = decision_context(observed, capacity, now)
    for run, trials in served.items():
        _decide(draft, spec, observed.runs.get(run, Run(run)), trials, context)
    if draft.cancel:
        draft.actions.append(Cancel(tuple(draft.cancel), "you cancelled their trials"))
    if draft.idle:
        draft.actions.append(Cancel(tuple(draft.idle), "their trials have ended"))
    draft.actions.sort(key=_order)
    if observed.scheduler_error is not None:
        draft.waits += [
            Wait(trial, f"the queue does not answer: {observed.scheduler_error}") for trial in _ready_trials(draft)
        ]
    elif context.paused is not None:
        draft.waits += [Wait(trial, f"stopped: {context.paused}") for trial in _ready_trials(draft)]
    else:
        _submit(draft, observed, capacity, context, reconciler_job.wants_reconciler(spec, observed, capacity, now))
        _propose(draft, spec, observed, capacity)
    _submit_reconciler(draft, spec, observed, capacity, context)
    if not any(isinstance(action, Propose) for action in draft.actions):  # a new trial may go on from what would go
        draft.actions += checkpoint_gc.collect(spec, observed, now)
    draft.waits.sort(key=lambda wait: wait.trial)
    return Plan(tuple(draft.actions), tuple(draft.waits), len(draft.active), draft.vanished, context.paused)


def _decide(draft: _Draft, spec: SweepSpec, run: Run, served: list[Trial], context: DecisionContext) -> None:
    """One run and the trials that it serves."""
    if run.unreadable is not None:
        _unreadable(draft, run, served, context)
        return
    served = _readable(draft, run, served, context)
    waiting = _published(draft, run, served)
    if not waiting:
        _take_back(draft, run)
        return
    state = attempt_state(run, context)
    if not isinstance(state, Active) or needs_no_more(run.last, context):
        waiting = _told(draft, run, waiting, {t: "you cancelled it" for t in waiting if t.cancelled}, "cancelled")
    if not isinstance(state, Active):
        pruned = {trial: why for trial in waiting if (why := why_pruned(run, trial.epochs))}
        waiting = _told(draft, run, waiting, pruned, "pruned")
    if not waiting:
        return
    if isinstance(state, Active):
        _stay(draft, run, waiting, state)
    elif isinstance(state, Finished):
        draft.actions += [_finish(trial, run.last, state.state, state.reason) for trial in waiting]
    else:
        _resubmit(draft, spec, run, waiting, state, context)


def _unreadable(draft: _Draft, run: Run, served: list[Trial], context: DecisionContext) -> None:
    """All of it waits, and its job keeps its place; only a cancellation goes on, where its attempts are known."""
    last = run.last
    draft.active.append(last or Attempt(run.number, 0, "", run.number, context.now))  # a job of it may be at work
    if last is not None:
        if last.job is not None and last.job.state.is_live and all(trial.cancelled for trial in served):
            draft.cancel.append(last.job.job_id)
        if not isinstance(attempt_state(run, context), Active) or needs_no_more(last, context):
            served = _told(draft, run, served, {t: "you cancelled it" for t in served if t.cancelled}, "cancelled")
    draft.waits += [Wait(trial.number, run.unreadable or "") for trial in served]


def _published(draft: _Draft, run: Run, served: list[Trial]) -> list[Trial]:
    """Tell those whose result is there; the trials that are left."""
    states = {trial: run.milestones[trial.epochs] for trial in served if trial.epochs in run.milestones}
    for trial, state in states.items():
        cut_short = state == "pruned" and trial.cancelled
        told = ("cancelled", "you cancelled it") if cut_short else (state, "its result is there")
        draft.actions.append(_finish(trial, run.last, *told))
    return [trial for trial in served if trial not in states]


def _take_back(draft: _Draft, run: Run) -> None:
    """A controller that was started again with an old memory queues what has run, and may hold it for ever."""
    last = run.last
    if last is not None and last.job is not None and last.job.state is JobState.QUEUED:
        draft.idle.append(last.job.job_id)


def _readable(draft: _Draft, run: Run, served: list[Trial], context: DecisionContext) -> list[Trial]:
    """Those of which all is known; where none is, a job of the run keeps its place all the same."""
    draft.waits += [Wait(trial.number, trial.unreadable) for trial in served if trial.unreadable]
    known = [trial for trial in served if not trial.unreadable]
    if not known and isinstance(state := attempt_state(run, context), Active):
        draft.active.append(state.attempt)
    return known


def _told(draft: _Draft, run: Run, waiting: list[Trial], ended: dict[Trial, str], state: str) -> list[Trial]:
    """End these; the trials that are left."""
    draft.actions += [_finish(trial, run.last, state, why) for trial, why in ended.items()]
    return [trial for trial in waiting if trial not in ended]


def _stay(draft: _Draft, run: Run, waiting: list[Trial], state: Active) -> None:
    attempt = state.attempt
    draft.active.append(attempt)
    job_id = attempt.job_id or state.record
    if state.record is not None:
        draft.actions.append(RecordJob(attempt.run, attempt.number, state.record, "found by its token"))
    listed = attempt.job is not None and attempt.job.state.is_live  # an id alone may be another job's by now
    if listed and attempt.job is not None and all(trial.cancelled for trial in waiting):
        draft.cancel.append(attempt.job.job_id)
    elif listed and attempt.job is not None and state.terminate is not None:
        draft.actions.append(Terminate(attempt.run, attempt.number, attempt.job.job_id, state.terminate, state.reason))
    elif listed and (stop := run_sharing.cut_short(run, attempt, waiting)) is not None:
        draft.actions.append(stop)
    for trial in waiting:
        later = run_sharing.why_later(run, attempt, trial.epochs)
        if trial.cancelled and not all(each.cancelled for each in waiting):
            later = run_sharing.GOES_ON
        draft.waits.append(Wait(trial.number, later or state.reason, state.running and later is None, job_id))


def _resubmit(
    draft: _Draft, spec: SweepSpec, run: Run, trials: list[Trial], state: Lost, context: DecisionContext
) -> None:
    gone, last = state.attempt, run.last
    cause = retry_policy.cause_of(gone) if gone is not None else None
    draft.vanished += state.vanished
    following: retry_policy.Overrides | str = retry_policy.Overrides()
    if run.is_through and last is not None:
        following = retry_policy.Overrides(last.mem, last.micro_batch)
    if cause is not None and gone is not None:
        node = gone.node or (gone.job.node if gone.job is not None else None)
        draft.actions.append(MarkLost(run.number, gone.number, state.reason, cause, node, run.epochs_done))
        following = retry_policy.after(spec, run, trials[0], cause)
    elif last is not None and last.number > run.retries_reset_at and last.lost is not None and not last.refused:
        following = retry_policy.after(spec, run, trials[0], last.cause or Cause.VANISHED)
    if isinstance(following, str):
        if context.paused is not None and Cause.START in (cause, last.cause if last is not None else None):
            draft.waits += [Wait(trial.number, f"stopped: {context.paused}") for trial in trials]  # it is not its fault
            return
        draft.actions += [
            _finish(trial, last, "failed", f"{following}; the last time {state.reason}") for trial in trials
        ]
        return
    if last is not None and last.refused:
        draft.refused[run.number] = last
    milestones = tuple((trial.number, trial.epochs) for trial in sorted(trials, key=lambda t: t.epochs))
    number = last.number + 1 if last else 1
    draft.ready[run.number] = Element(run.number, number, milestones, following.mem, following.micro_batch)


def _submit(
    draft: _Draft, observed: Observation, capacity: Capacity, context: DecisionContext, wants_reconciler: bool
) -> None:
    if wants_reconciler and capacity.remaining_submissions is not None:  # a place in the queue for the reconciler job
        capacity = replace(capacity, remaining_submissions=max(0, capacity.remaining_submissions - 1))
    ready = []
    for run in sorted(draft.ready):
        until = _held(draft.refused.get(run), draft, context)
        if until is None:
            ready.append(draft.ready[run])
        else:
            why = f"{draft.refused[run].lost}; the next try is at {until:%H:%M} UTC, or with `unetsweep submit`"
            draft.waits += [Wait(trial, why) for trial, _ in draft.ready[run].milestones]
    exclude = retry_policy.suspects(observed, context.now) if capacity.queues else ()
    submits, why = schedule(ready, draft.active, capacity, backoff=bool(draft.refused), exclude=exclude)
    draft.actions += submits
    sent = {element.run for submit in submits for element in submit.elements}
    draft.waits += [Wait(trial, why) for element in ready if element.run not in sent for trial, _ in element.milestones]


def _held(refused: Attempt | None, draft: _Draft, context: DecisionContext) -> datetime | None:
    """Until when a refused run is not sent: ever longer, but for a person, and but for a limit while the end
    of something of ours may make room."""
    if refused is None or context.capacity.interactive or refused.lost_at is None or (refused.limit and draft.active):
        return None
    until = refused.lost_at + min(BACKOFF_MAX, timedelta(minutes=1) * 2 ** min(refused.refusals, 10))
    return until if until > context.now else None


def _propose(draft: _Draft, spec: SweepSpec, observed: Observation, capacity: Capacity) -> None:
    if observed.stopped:
        return
    missing = trials_wanted(spec) - observed.ended - len(observed.trials)
    if spec.study.sampler not in ("grid", "list", "random"):
        free = capacity.parallel or ADAPTIVE_PARALLEL
        ending = {action.trial for action in draft.actions if isinstance(action, FinishTrial)}
        missing = min(missing, free - len({trial.run for trial in observed.trials if trial.number not in ending}))
    if missing > 0:
        draft.actions.append(Propose(missing, f"{trials_wanted(spec)} trials are asked for"))


def _submit_reconciler(
    draft: _Draft, spec: SweepSpec, observed: Observation, capacity: Capacity, context: DecisionContext
) -> None:
    """A reconciler job while something moves, or will when its time has come; none where only a person can help."""
    if any(isinstance(action, Submit | Propose) for action in draft.actions):
        return  # the next look knows what to wait for
    told = sum(isinstance(action, FinishTrial) for action in draft.actions)
    moves = len(observed.trials) > told and (draft.active or (draft.ready and context.paused is None))
    if moves and reconciler_job.wants_reconciler(spec, observed, capacity, context.now):
        draft.actions.append(reconciler_job.next_reconciler(observed, draft.active, capacity.reconciler_delay_s))
    elif not moves and len(observed.trials) == told:
        draft.actions += reconciler_job.obsolete_reconciler(observed, capacity)


def _finish(trial: Trial, last: Attempt | None, state: str, reason: str) -> FinishTrial:
    job_id = (last.claimed_by or last.job_id) if last else None
    return FinishTrial(trial.number, trial.run, trial.epochs, state, reason, job_id)


def _ready_trials(draft: _Draft) -> list[int]:
    return [trial for element in draft.ready.values() for trial, _ in element.milestones]


def _order(action: Action) -> tuple[int, int]:
    """Stop, adopt, give up and tell before anything new is sent; by number within."""
    match action:
        case Prune(run=run) | RecordJob(run=run):
            return 0, run
        case MarkLost(run=run):
            return 1, run
        case FinishTrial(trial=trial):
            return 2, trial
        case Terminate(run=run):
            return 3, run
        case Cancel():
            return 4, 0
        case Submit() | Propose() | SubmitReconciler() | CollectCheckpoints():
            return 5, 0
