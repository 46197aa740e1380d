"""The state of a run's last attempt: it is active, it has finished its trials, or it is lost and the run is ready.

The state is not stored. Each reconciliation derives it from the files and the queue that it observes.

Rule 1: the most certain evidence decides: a published result, then what the files say about the end, then the queue.
Rule 2: an exit status is no evidence: Lightning exits with 0 after SIGTERM, and a shell with 143 for several reasons.
Rule 3: a job that the queue does not list is lost only after a grace time, and only if the scheduler answered.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from unetsweep.core.capacity import Capacity
from unetsweep.core.causes import Cause
from unetsweep.core.circuit_breaker import pause_reason
from unetsweep.core.observation import Attempt, Ending, Job, JobState, Observation, Run
from unetsweep.core.reasons import describe_reason, is_launch_failure

UNCONFIRMED = "submission not confirmed; the queue may not list it yet"
"""Why a trial waits if its submitter died before it could record a job id."""
HANG_EPOCHS = 5
"""A training counts as hanging after this many median epochs without progress, because one epoch may be much slower."""
HANG_START = 6
"""Before its first epoch a training may take this many times `Capacity.hang_after`, to start and to read the images."""

ENDED_BY_SLURM = ("TIMEOUT", "DEADLINE", "PREEMPTED")
"""States of a job whose training was running when SLURM ended it, so that a result is unlikely to appear late."""
SUSPENDED = ("SUSPENDED", "STOPPED")
"""States of a job whose processes are stopped, and continue later."""
_VAGUE_REASONS = ("", "NonZeroExitCode", "TimeLimit", "OutOfMemory")
"""Reasons of ended jobs that say no more than their states."""


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What the decision on one run needs to know beyond that run."""

    scheduler_error: str | None
    """Why the scheduler did not answer; None if it did."""
    now: datetime
    capacity: Capacity
    listed: frozenset[str]
    """Tokens for which the scheduler lists at least one element."""
    paused: str | None
    """Why the sweep is paused; None if it is not."""
    epoch_seconds: float | None
    """The slowest run's median epoch: an estimate for runs that have not finished an epoch."""


def decision_context(observation: Observation, capacity: Capacity, now: datetime, repeats: int = 1) -> DecisionContext:
    """Return the context of the decisions on all runs of an observation. `repeats`: how often each point is trained."""
    attempts = (attempt for run in observation.runs.values() for attempt in run.attempts)
    listed = observation.listed | {
        attempt.token for attempt in attempts if attempt.job is not None and not attempt.job.is_unlisted
    }
    seconds = [run.epoch_seconds for run in observation.runs.values() if run.epoch_seconds is not None]
    paused = pause_reason(observation, repeats)
    return DecisionContext(observation.scheduler_error, now, capacity, listed, paused, max(seconds, default=None))


@dataclass(frozen=True, slots=True)
class Active:
    """The last attempt is queued or running, or may be."""

    attempt: Attempt
    reason: str
    running: bool = False
    record: str | None = None
    """The attempt's job id, if no file records it yet."""
    terminate: Cause | None = None
    """Why its job must be terminated; None if it may continue."""
    loss: "Lost | None" = None
    """What it is unless a file of its appears late, if SLURM has ended its job for good; None: that is not certain."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last attempt failed or was cancelled, and its trials end with it. (One with a result is handled earlier.)"""

    state: str
    """`failed` or `cancelled`."""
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The last attempt ended or never began, without a result: it is to be marked as lost, and the run resubmitted."""

    reason: str
    attempt: Attempt
    vanished: bool = False
    """Whether its job disappeared from the queue, and neither a file nor we say that it ended."""


@dataclass(frozen=True, slots=True)
class Ready:
    """No attempt needs a decision, so the run may be submitted: it has no attempt, the last one was marked as lost, the
    user retried it, or it published all its milestones and a longer trial has joined the run since."""

    reason: str


def attempt_state(run: Run, context: DecisionContext) -> Active | Finished | Lost | Ready:
    """Return the state of a run's last attempt. The caller has already finished trials with a published result."""
    last = run.last
    if last is None:
        return Ready("it has no attempt yet")
    if last.lost is not None or last.number <= run.retries_reset_at:
        return Ready(last.lost or "you retried it")
    if run.has_published_all:
        return _published_state(last)
    is_requeued = last.job is not None and last.job.state is JobState.QUEUED  # its error file is from an earlier start
    if last.ending is not None and last.ending.is_final and not is_requeued:
        return Finished("failed", _describe_error(last.ending))
    if last.job is None:
        return _unlisted_state(last, context)
    record = last.job.job_id if last.job_id is None else None
    if last.job.state.is_live:
        return _live_state(run, last, context, record)
    reason = f"job {last.job.job_id} ended ({last.job.raw_state}) without a result{_scheduler_reason(last.job)}"
    lost = Lost(_with_message(reason, last.ending), last)
    if last.job.ended_at is not None and context.now - last.job.ended_at < context.capacity.result_grace:
        why = f"its job ended as {last.job.raw_state}; its files may appear late"
        return Active(last, why, record=record, loss=lost if last.job.raw_state in ENDED_BY_SLURM else None)
    if last.job.state is JobState.CANCELLED and last.terminated_for is None:
        return Finished("cancelled", f"job {last.job.job_id} was cancelled")
    return lost


def _scheduler_reason(job: Job) -> str:
    """The scheduler's reason for the end of a job, to be appended; empty if it says no more than the state."""
    return f": {describe_reason(job.reason)}" if job.reason not in _VAGUE_REASONS else ""


def _published_state(last: Attempt) -> Active | Ready:
    """The state of an attempt that published all its milestones, after a longer trial has joined the run. The next
    attempt waits for its job, which may still write into the run."""
    longest = last.milestones[-1]
    if last.job is not None and last.job.state.is_live:
        record = last.job.job_id if last.job_id is None else None
        reason = f"its training reached epoch {longest}; it continues when that job has ended"
        return Active(last, reason, record=record)
    return Ready(f"it continues from epoch {longest}")


def _live_state(run: Run, last: Attempt, context: DecisionContext, record: str | None) -> Active:
    """The state of an attempt with a live job, to be terminated if it hangs, cannot start, or the sweep is paused."""
    assert last.job is not None  # noqa: S101  # checked by the caller
    is_queued = last.job.state is JobState.QUEUED
    is_running = last.job.state is JobState.RUNNING and last.job.raw_state not in SUSPENDED
    job_reason = describe_reason(last.job.reason or last.job.raw_state)
    if last.terminated_for is not None:
        return Active(
            last, f"being terminated: {last.terminated_for.value}", record=record, terminate=last.terminated_for
        )
    if context.paused is not None and is_queued and last.claimed_by is None:
        return Active(last, f"paused: {context.paused}", record=record, terminate=Cause.PAUSED)
    if is_queued and is_launch_failure(last.job.reason):  # SLURM holds it until somebody releases it
        return Active(last, job_reason, record=record, terminate=Cause.START)
    hang = _hang_duration(run, last, context) if is_running else None
    if hang is not None:
        reason = f"no progress for {hang / timedelta(minutes=1):.0f} min"
        return Active(last, reason, record=record, terminate=Cause.HANG)
    return Active(last, "running" if is_running else job_reason, running=is_running, record=record)


def _hang_duration(run: Run, last: Attempt, context: DecisionContext) -> timedelta | None:
    """How long a running attempt has made no progress; None if that is not long enough to be a hang.

    Also None while no run of the sweep reports epochs: a user's own trainer need not report any.
    """
    epoch_seconds = run.epoch_seconds or context.epoch_seconds
    if last.claimed_at is None or epoch_seconds is None:
        return None
    since = last.claimed_at if run.last_progress_at is None else max(last.claimed_at, run.last_progress_at)
    least = context.capacity.hang_after * (1 if run.epoch_seconds else HANG_START)
    # it may have been suspended before `since`; better end a job that hangs too late than one that does not hang
    idle = context.now - since - (last.job.suspended_for if last.job is not None else timedelta(0))
    return idle if idle > max(least, HANG_EPOCHS * timedelta(seconds=epoch_seconds)) else None


def _unlisted_state(last: Attempt, context: DecisionContext) -> Active | Finished | Lost:
    """The state of an attempt that the scheduler does not list, and of which no file says how it ended."""
    record = last.claimed_by if last.job_id is None else None
    if context.scheduler_error is not None:
        return Active(last, f"the queue does not answer: {context.scheduler_error}", record=record)
    if context.now - last.at < context.capacity.unlisted_grace:
        return Active(last, "just submitted" if last.job_id or record else UNCONFIRMED, record=record)
    job_id = last.claimed_by or last.job_id
    if _was_cancelled_while_queued(last, context):
        return Finished("cancelled", f"job {job_id} left the queue before it started: it was cancelled")
    reason = f"job {job_id} is no longer in the queue" if job_id else "its submission never reached the queue"
    vanished = job_id is not None and last.ending is None and last.terminated_for is None
    return Lost(_with_message(reason, last.ending), last, vanished)


def _was_cancelled_while_queued(last: Attempt, context: DecisionContext) -> bool:
    """Whether an unlisted attempt was cancelled before it started. SLURM forgets a cancelled pending element at once,
    but still lists the other elements of its array."""
    has_started = last.claimed_by is not None or last.ending is not None or last.began
    is_array_listed = context.capacity.queues and last.token in context.listed
    return is_array_listed and not has_started and last.job_id is not None and last.terminated_for is None


def can_finish_cancelled(last: Attempt | None, context: DecisionContext) -> bool:
    """Whether a cancelled trial can be finished although its run's last attempt still counts as active.

    A job that ended without being cancelled may have a result that appears late, so the trial waits for it. A job that
    is listed only later finds that its trial has ended, and exits.
    """
    if last is None:
        return True
    if last.job is not None:
        return last.job.state is JobState.CANCELLED
    return context.scheduler_error is None and last.claimed_by is None


def _with_message(reason: str, ending: Ending | None) -> str:
    """The reason with the message that the attempt left when it ended."""
    return reason if ending is None else f"{reason}: {ending.message}"


def _describe_error(ending: Ending) -> str:
    """The message that the attempt left, and the file to read."""
    return f"{ending.message} (see {ending.where})" if ending.where else ending.message
