"""The decision on one run: what follows from the state of its last attempt.

Rule 1: if a file of the run is unreadable, its trials wait unless the user cancels them. Otherwise a published result
        outranks everything else.
Rule 2: pure: the same run, trials and context give the same decision.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from unetsweep.core import retry_policy, run_sharing
from unetsweep.core.actions import Action, Element, FinishTrial, MarkLost, RecordJob, Terminate, Wait
from unetsweep.core.attempt_state import (
    Active,
    DecisionContext,
    Finished,
    Lost,
    Ready,
    attempt_state,
    can_finish_cancelled,
)
from unetsweep.core.cancellation import SAVES_CHECKPOINT, has_obeyed, saves_checkpoint_first
from unetsweep.core.causes import Cause
from unetsweep.core.observation import Attempt, JobState, Run, Trial
from unetsweep.core.pruning import prune_reason
from unetsweep.core.retry_policy import Exhausted, Overrides, Retry
from unetsweep.core.spec import SweepSpec

CANCELLED = "you cancelled it"


@dataclass(slots=True)
class RunDecision:
    """What a reconciliation does about one run."""

    actions: list[Action] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    ready: Element | None = None
    """Its next attempt, if it may be submitted."""
    refused: Attempt | None = None
    """The last attempt, if the run is ready and the scheduler refused that attempt."""
    active: Attempt | None = None
    """The attempt that may still be running."""
    cancel_job: str | None = None
    """The job to cancel, because the user cancelled its trials."""
    obsolete_job: str | None = None
    """The job to cancel, because its trials have ended."""
    has_vanished: bool = False
    """Whether its job disappeared from the queue, and neither a file nor we say that it ended."""

    def finish(self, trials: Mapping[Trial, str], run: Run, state: str) -> None:
        """End these trials in this state, each with its reason."""
        last = run.last
        job_id = (last.claimed_by or last.job_id) if last else None
        self.actions += [
            FinishTrial(trial.number, trial.run, trial.epochs, state, reason, job_id)
            for trial, reason in trials.items()
        ]


def decide_run(spec: SweepSpec, run: Run, trials: list[Trial], context: DecisionContext) -> RunDecision:
    """Decide on a run and the open trials that it serves."""
    decision = RunDecision()
    if run.unreadable is not None:
        _decide_unreadable(decision, run, trials, context)
        return decision
    open_ = _finish_published(decision, run, _readable(decision, run, trials, context))
    if not open_:
        decision.obsolete_job = _queued_job(run)
        return decision
    state = _without_grace(spec, run, open_, attempt_state(run, context))
    open_ = _finish_cancelled_and_pruned(decision, run, open_, state, context)
    if not open_:
        return decision
    match state:
        case Active():
            saves_first = state.running and saves_checkpoint_first(spec, run, open_, context.now)
            _keep_active(decision, run, open_, state, saves_first=saves_first)
        case Finished():
            decision.finish(dict.fromkeys(open_, state.reason), run, state.state)
        case Lost() | Ready():
            _submit_or_fail(decision, spec, run, open_, state, context)
    return decision


def _decide_unreadable(decision: RunDecision, run: Run, trials: list[Trial], context: DecisionContext) -> None:
    """All trials wait, and the run counts as active, since a job of it may be running. Trials that the user cancelled
    are ended, if the attempts are known."""
    last = run.last
    decision.active = last or Attempt(run.number, 0, "", run.number, context.now)
    if last is not None:
        if last.job is not None and last.job.state.is_live and all(trial.cancelled for trial in trials):
            decision.cancel_job = last.job.job_id
        if not isinstance(attempt_state(run, context), Active) or can_finish_cancelled(last, context):
            cancelled = {trial: CANCELLED for trial in trials if trial.cancelled}
            decision.finish(cancelled, run, "cancelled")
            trials = [trial for trial in trials if trial not in cancelled]
    decision.waits += [Wait(trial.number, run.unreadable or "") for trial in trials]


def _readable(decision: RunDecision, run: Run, trials: list[Trial], context: DecisionContext) -> list[Trial]:
    """The trials whose files can be read, or that the user cancelled; the others wait. If there is none, the run's job
    still counts as active."""
    unreadable = [trial for trial in trials if trial.unreadable and not trial.cancelled]
    decision.waits += [Wait(trial.number, trial.unreadable or "") for trial in unreadable]
    readable = [trial for trial in trials if trial not in unreadable]
    if not readable and isinstance(state := attempt_state(run, context), Active):
        decision.active = state.attempt
    return readable


def _finish_published(decision: RunDecision, run: Run, trials: list[Trial]) -> list[Trial]:
    """Finish the trials whose result is published, and return the others."""
    published = {trial: run.published_states[trial.epochs] for trial in trials if trial.epochs in run.published_states}
    for trial, state in published.items():
        was_cut_short = state == "pruned" and trial.cancelled
        refused = run.refused_results.get(trial.epochs)
        end = (
            ("cancelled", CANCELLED)
            if was_cut_short
            else (state, refused.message if refused else "its result is there")
        )
        decision.finish({trial: end[1]}, run, end[0])
    return [trial for trial in trials if trial not in published]


def _queued_job(run: Run) -> str | None:
    """The job that waits in the queue although all results are there: a controller that restarted from an old state
    file queues jobs again that have run, and may hold them forever."""
    job = run.last.job if run.last is not None else None
    return job.job_id if job is not None and job.state is JobState.QUEUED else None


def _finish_cancelled_and_pruned(
    decision: RunDecision,
    run: Run,
    trials: list[Trial],
    state: Active | Finished | Lost | Ready,
    context: DecisionContext,
) -> list[Trial]:
    """Finish the trials that need no more training, and return the others."""
    is_active = isinstance(state, Active)
    cancelled: dict[Trial, str] = {}
    if not is_active or can_finish_cancelled(run.last, context):
        cancelled = {trial: CANCELLED for trial in trials if trial.cancelled}
    elif has_obeyed(run.last):
        cancelled = {trial: CANCELLED for trial in trials if trial.cancelled and prune_reason(run, trial.epochs)}
    decision.finish(cancelled, run, "cancelled")
    trials = [trial for trial in trials if trial not in cancelled]
    if is_active:
        return trials
    pruned = {trial: why for trial in trials if (why := prune_reason(run, trial.epochs)) is not None}
    decision.finish(pruned, run, "pruned")
    return [trial for trial in trials if trial not in pruned]


def _without_grace(
    spec: SweepSpec, run: Run, trials: list[Trial], state: Active | Finished | Lost | Ready
) -> Active | Finished | Lost | Ready:
    """The state, without waiting for late files if that would only delay the next attempt: it finds the files.

    A trial that would end without a result waits for them.
    """
    if not isinstance(state, Active) or state.loss is None:
        return state
    if any(trial.cancelled or prune_reason(run, trial.epochs) is not None for trial in trials):
        return state
    return state.loss if isinstance(_retry(spec, run, trials, state.loss), Retry) else state


def _keep_active(decision: RunDecision, run: Run, trials: list[Trial], state: Active, *, saves_first: bool) -> None:
    """The attempt may still be running: record its job, and end or shorten it if no trial needs all of it.

    `saves_first`: all trials are cancelled, and the training may end by itself.
    """
    attempt = decision.active = state.attempt
    job_id = attempt.job_id or state.record
    all_cancelled = all(trial.cancelled for trial in trials)
    if state.record is not None:
        decision.actions.append(RecordJob(attempt.run, attempt.number, state.record, "found by its token"))
    if attempt.job is not None and attempt.job.state.is_live:  # an unlisted id may belong to another job by now
        if all_cancelled and not saves_first:
            decision.cancel_job = attempt.job.job_id
        elif state.terminate is not None:
            terminate = Terminate(attempt.run, attempt.number, attempt.job.job_id, state.terminate, state.reason)
            decision.actions.append(terminate)
        elif (prune := run_sharing.shorten(run, attempt, trials)) is not None:
            decision.actions.append(prune)
    for trial in trials:
        later = run_sharing.why_not_in_attempt(run, attempt, trial.epochs)
        if trial.cancelled and not all_cancelled:
            later = run_sharing.CONTINUES_FOR_OTHERS
        elif saves_first:
            later = SAVES_CHECKPOINT
        decision.waits.append(Wait(trial.number, later or state.reason, state.running and later is None, job_id))


def _submit_or_fail(
    decision: RunDecision,
    spec: SweepSpec,
    run: Run,
    trials: list[Trial],
    state: Lost | Ready,
    context: DecisionContext,
) -> None:
    """Record the loss, if there is one. Then make the run ready for its next attempt, or fail its trials if the retry
    policy allows no other."""
    last = run.last
    cause = last.cause if last is not None else None
    if isinstance(state, Lost):
        cause = retry_policy.cause_of(state.attempt)
        decision.actions.append(_mark_lost(run, state, cause))
        decision.has_vanished = state.vanished
    match _retry(spec, run, trials, state):
        case Exhausted(reason):
            if context.paused is not None and cause is Cause.START:
                # the pause says that no run of the sweep starts, so it is not this run's fault
                decision.waits += [Wait(trial.number, f"paused: {context.paused}") for trial in trials]
            else:
                why = f"{reason}; the last time {state.reason}"
                decision.finish(dict.fromkeys(trials, why), run, "failed")
        case Retry(overrides):
            decision.refused = last if last is not None and last.refused else None
            served = tuple((trial.number, trial.epochs) for trial in sorted(trials, key=lambda t: t.epochs))
            number = last.number + 1 if last else 1
            decision.ready = Element(run.number, number, served, overrides.mem, overrides.micro_batch)


def _mark_lost(run: Run, state: Lost, cause: Cause) -> MarkLost:
    lost = state.attempt
    node = lost.node or (lost.job.node if lost.job is not None else None)
    return MarkLost(run.number, lost.number, state.reason, cause, node, run.epochs_done)


def _retry(spec: SweepSpec, run: Run, trials: list[Trial], state: Lost | Ready) -> Retry | Exhausted:
    """Whether the run may be submitted, and how its next attempt differs from what the sweep asks for."""
    last = run.last
    if isinstance(state, Lost):
        return retry_policy.decide(spec, run, trials[0], retry_policy.cause_of(state.attempt))
    if last is None:
        return Retry()
    if last.lost is not None and not last.refused and last.number > run.retries_reset_at:
        # an earlier reconciliation recorded the loss and submitted nothing
        return retry_policy.decide(spec, run, trials[0], last.cause or Cause.VANISHED)
    return Retry(Overrides(last.mem, last.micro_batch)) if run.has_published_all else Retry()
