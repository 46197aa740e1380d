"""Jobs, as a scheduler lists them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class JobState(Enum):
    """The states of a job that decisions distinguish; a scheduler has many more."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    CANCELLED = "cancelled"
    """A user or an administrator ended it, or we did."""
    NODE_FAILED = "node failed"
    """The cluster lost it: its node failed or did not boot, or the job was preempted."""
    UNRECOGNISED = "unrecognised"
    """A state that we do not know. It counts as alive, so that nothing runs twice."""

    @property
    def is_live(self) -> bool:
        """Whether the job may still write into its run, now or later."""
        return self is JobState.QUEUED or self is JobState.RUNNING or self is JobState.UNRECOGNISED


@dataclass(frozen=True, slots=True)
class Job:
    """One job (or one element of an array) as the scheduler lists it."""

    job_id: str
    """`18808`, or `18808_3` in an array. For a local job: a number that unetsweep counts."""
    token: str
    """Identifies the submission; it is part of the job's name."""
    index: int
    """Its index in the array; 0 for a plain job."""
    state: JobState
    raw_state: str
    """The state as the scheduler writes it: `PENDING`, `CANCELLED`."""
    reason: str = ""
    """Why it waits or ended, as the scheduler writes it: `Resources`, `QOSMaxJobsPerUserLimit`; empty: not known."""
    ended_at: datetime | None = None
    """When it ended; None: it has not, or the scheduler does not say."""
    node: str | None = None
    """Where it runs or ran; None: not known."""
    suspended_for: timedelta = timedelta(0)
    """How long its current start has been suspended in total, as far as that is known."""
    starts_at: datetime | None = None
    """When the scheduler expects it to start; None: it has started, or the scheduler does not say."""
    is_unlisted: bool = False
    """The queue no longer lists it; it is known from accounting or from its log."""
