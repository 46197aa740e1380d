"""The state machine of an attempt: what became of it, from everything that was seen. Most certain evidence first.

Rule 1: a result outranks the queue (whoever asks has looked for it); the queue outranks an exit status, which says
        nothing by itself: Lightning leaves 0 under SIGTERM, a shell 143 for three reasons.
Rule 2: what is not listed counts only after a grace time, and only when the scheduler answered.
Rule 3: it ends in one of three: it may still be at work, it is over and its trials with it, or it came to nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from unetsweep.core.capacity import Capacity
from unetsweep.core.causes import Cause
from unetsweep.core.circuit_breaker import pause_reason
from unetsweep.core.observation import Attempt, JobState, Observation, Run
from unetsweep.core.reasons import in_words, is_not_launched

UNSURE = "submitted, perhaps; the queue may not list it yet"
"""Why a trial waits whose submitter died before it wrote down a job id."""
HANG_EPOCHS = 5
"""Median epochs without progress that count as a hang; before the first epoch, `HANG_START` times the least time."""
HANG_START = 6


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What the decision on one run needs to know of the rest."""

    scheduler_error: str | None
    now: datetime
    capacity: Capacity
    listed: frozenset[str]
    """Tokens of which the scheduler lists at least one element."""
    paused: str | None
    epoch_seconds: float | None
    """Of any training of the sweep, for those that have not finished an epoch."""


def decision_context(observed: Observation, capacity: Capacity, now: datetime) -> DecisionContext:
    attempts = (attempt for run in observed.runs.values() for attempt in run.attempts)
    listed = observed.listed | {
        attempt.token for attempt in attempts if attempt.job is not None and not attempt.job.is_recalled
    }
    seconds = [run.epoch_seconds for run in observed.runs.values() if run.epoch_seconds is not None]
    return DecisionContext(
        observed.scheduler_error, now, capacity, listed, pause_reason(observed), max(seconds, default=None)
    )


@dataclass(frozen=True, slots=True)
class Active:
    """The last attempt may still be at work."""

    attempt: Attempt
    reason: str
    running: bool = False
    record: str | None = None
    """Job id that no file says yet."""
    terminate: Cause | None = None
    """Why we end it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last attempt ended, and its trials with it."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no attempt, or the last one came to nothing: send the run (again)."""

    reason: str
    attempt: Attempt | None = None
    """The one that is lost now, and is not marked yet."""
    vanished: bool = False
    """A job that was there, and of which the queue knows nothing any more."""


def attempt_state(run: Run, context: DecisionContext) -> Active | Finished | Lost:
    """What became of a run's last attempt, which has left no result. Most certain evidence first."""
    last = run.last
    if last is None:
        return Lost("it is new")
    if last.lost is not None or last.number <= run.retries_reset_at:
        return Lost(last.lost or "you retried it")
    if run.has_published_all:
        return _gone_on(last)
    requeued = last.job is not None and last.job.state is JobState.QUEUED  # then what it left is of an earlier start
    if last.ending is not None and not requeued and last.ending.is_final:
        return Finished("failed", _described(last))
    if last.job is None:
        return _unlisted(last, context)
    record = last.job.job_id if last.job_id is None else None
    if last.job.state.is_live:
        return _at_work(run, last, context, record)
    if last.job.ended_at is not None and context.now - last.job.ended_at < context.capacity.result_grace:
        return Active(last, f"its job ended as {last.job.raw_state}; its files may show late", record=record)
    if last.job.state is JobState.CANCELLED and last.ended_for is None:
        return Finished("cancelled", f"job {last.job.job_id} was cancelled")
    return Lost(f"job {last.job.job_id} ended ({last.job.raw_state}) without a result{_said(last)}", attempt=last)


def needs_no_more(last: Attempt | None, context: DecisionContext) -> bool:
    """Whether a cancelled trial's attempt is over, as far as the queue goes. Only of a job that ended by itself are
    files waited for: its result may show late. One that is listed late finds that its trial has ended, and leaves."""
    if last is None:
        return True
    if last.job is not None:
        return not last.job.state.is_live and last.job.state is not JobState.ENDED
    return context.scheduler_error is None and last.claimed_by is None


def _gone_on(last: Attempt) -> Active | Lost:
    """It came to its end, and a longer trial has joined the run since."""
    longest = last.milestones[-1]
    if last.job is not None and last.job.state.is_live:
        record = last.job.job_id if last.job_id is None else None
        return Active(
            last, f"its training has come to epoch {longest}; it goes on when that job is gone", record=record
        )
    return Lost(f"it goes on from epoch {longest}")


def _at_work(run: Run, last: Attempt, context: DecisionContext, record: str | None) -> Active:
    """Its job is alive; so is it, unless it hangs."""
    assert last.job is not None  # noqa: S101  # its caller looked
    running = last.job.state is JobState.RUNNING
    job_reason = in_words(last.job.reason or last.job.raw_state)
    if last.ended_for is not None:
        return Active(last, f"being ended: {last.ended_for.value}", record=record, terminate=last.ended_for)
    if context.paused is not None and last.job.state is JobState.QUEUED and last.claimed_by is None:
        return Active(last, f"paused: {context.paused}", record=record, terminate=Cause.PAUSED)
    if last.job.state is JobState.QUEUED and is_not_launched(last.job.reason):  # nobody would ever release it
        return Active(last, job_reason, record=record, terminate=Cause.START)
    silent = _silent_for(run, last, context) if running else None
    if silent is not None:
        return Active(
            last, f"no progress for {silent / timedelta(minutes=1):.0f} min", record=record, terminate=Cause.HANG
        )
    return Active(last, "running" if running else job_reason, running=running, record=record)


def _silent_for(run: Run, last: Attempt, context: DecisionContext) -> timedelta | None:
    """How long it has shown no progress, where that is a hang. A trainer that never tells is not asked to."""
    since = max((at for at in (last.claimed_at, run.last_progress_at) if at is not None), default=None)
    epoch = run.epoch_seconds or context.epoch_seconds
    if since is None or last.claimed_at is None or epoch is None:
        return None
    least = context.capacity.hang_after * (1 if run.epoch_seconds else HANG_START)
    silent = context.now - since
    return silent if silent > max(least, HANG_EPOCHS * timedelta(seconds=epoch)) else None


def _unlisted(last: Attempt, context: DecisionContext) -> Active | Finished | Lost:
    """The scheduler does not list the attempt, and no file says how it ended."""
    record = last.claimed_by if last.job_id is None else None
    if context.scheduler_error is not None:
        return Active(last, f"the queue does not answer: {context.scheduler_error}", record=record)
    if context.now - last.at < context.capacity.unseen_grace:
        known = last.job_id or record
        return Active(last, "just submitted" if known else UNSURE, record=record)
    job_id = last.claimed_by or last.job_id
    never_began = last.claimed_by is None and last.ending is None and not last.began and job_id is not None
    if context.capacity.queues and never_began and last.ended_for is None and last.token in context.listed:
        return Finished("cancelled", f"job {job_id} left the queue before it started: it was cancelled")
    what = f"job {job_id} is gone from the queue" if job_id else "its submission never reached the queue"
    vanished = job_id is not None and last.ending is None and last.ended_for is None
    return Lost(f"{what}{_said(last)}", attempt=last, vanished=vanished)


def _said(last: Attempt) -> str:
    return f": {last.ending.message}" if last.ending is not None else ""


def _described(last: Attempt) -> str:
    if last.ending is None:
        return "ended without a result"
    where = f" (see {last.ending.where})" if last.ending.where else ""
    return f"{last.ending.message}{where}"
