"""What was seen in one look; nothing here decides.

Optional means *not known or not there*, said at each field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from statistics import median

from unetsweep.core.causes import Cause


class JobState(Enum):
    """A scheduler's many words, reduced to what a decision turns on."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    CANCELLED = "cancelled"
    """Somebody ended it on purpose."""
    NODE_FAILED = "node failed"
    """The cluster lost it: its node or its boot, or took its place for another job."""
    UNRECOGNISED = "unrecognised"
    """A word that we do not know: counts as alive."""

    @property
    def is_live(self) -> bool:
        """Whether the job may still write into its run."""
        return self is JobState.QUEUED or self is JobState.RUNNING or self is JobState.UNRECOGNISED


@dataclass(frozen=True, slots=True)
class Job:
    """One job (or one element of an array) as the scheduler lists it."""

    job_id: str
    """`18808`, or `18808_3` in an array; locally a number of ours."""
    token: str
    index: int
    """Element of the array; 0 for a plain job."""
    state: JobState
    raw_state: str
    """The scheduler's own word: `PENDING`, `CANCELLED`."""
    reason: str = ""
    """Why it waits, in the scheduler's words: `Resources`, `QOSMaxJobsPerUserLimit`; or empty."""
    ended_at: datetime | None = None
    """When it ended, where the scheduler says so."""
    node: str | None = None
    """Where it runs or ran, where the scheduler says so."""
    is_recalled: bool = False
    """The queue lists it no more; its accounts or its log tell of it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a start left when it ended: an error file, or an exit status with nothing else."""

    kind: str
    """`exception`, `environment`, `time`, `gpu_memory`, `disk`; `exit`: there is only a status, which says nothing."""
    message: str
    where: str = ""
    """Path of the error file or log to read."""
    status: int | None = None
    """Exit status of the attempt's processes, where it was written down."""
    signature: str = ""
    """The same for two errors that came the same way: type and lines of the traceback."""
    epochs_done: int = 0
    """Finished epochs of the run when it came."""

    @property
    def is_final(self) -> bool:
        """Whether nothing that the queue may still say could change what it means."""
        return self.kind in ("exception", "environment", "time")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One submission of a run."""

    run: int
    number: int
    token: str
    index: int
    at: datetime
    """When the intent was written."""
    milestones: tuple[int, ...] = ()
    """The epochs that it was sent for; empty: not known."""
    throttle: int | None = None
    """Most elements of its array that run at once; None: all."""
    job_id: str | None = None
    """None: no record of ours says which job it became."""
    claimed_by: str | None = None
    """Job id in the highest claim of this attempt; None: no process of it has started yet."""
    claimed_at: datetime | None = None
    began: bool = False
    """The queue lists it no more, and its log shows that its job was started (once: it may have been queued again)."""
    node: str | None = None
    """Where its newest start was, as far as a file of it tells."""
    lost: str | None = None
    """Why it was given up; None: it was not."""
    cause: Cause | None = None
    """The class of what `lost` tells."""
    lost_at: datetime | None = None
    lost_epoch: int = 0
    """Finished epochs of the run when it was given up."""
    refused: bool = False
    """The scheduler would not take it: the cluster's affair, which counts against no run."""
    requeue_reason: str | None = None
    """Why its newest start stopped in good order before its milestones; None: it did not."""
    limit: bool = False
    """… because too much was queued."""
    refusals: int = 0
    """How many attempts in a row, up to this one, were refused before it."""
    ended_for: Cause | None = None
    """Why a reconciliation of ours ended it; None: none did."""
    retry_exempt: bool = False
    """The user retried the run while it may have been at work: should it be lost, that does not count."""
    mem: str | None = None
    """Memory of its job where that is not the sweep's."""
    micro_batch: int | None = None
    """Images a step of each process, where that is not the whole share of the batch."""
    ending: Ending | None = None
    job: Job | None = None
    """None: the scheduler does not list it (or was not asked)."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch of a run."""

    epoch: int
    val_iou: float | None
    """None where this epoch was not validated, or the value is not finite. So for the loss."""
    val_loss: float | None
    at: datetime | None
    """When it was first written down: an epoch that is trained again after a loss keeps its time."""
    seconds: float | None = None
    """Wall time of the epoch."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """`stop.json`: the milestones of one attempt that are pruned."""

    attempt: int
    trial: int
    milestones: tuple[int, ...]
    epoch: int
    """How far the run was when it was decided."""
    reason: str
    is_lifted: bool = False
    """The user retried the run since."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training, and how far it is."""

    number: int
    milestones: Mapping[int, str] = field(default_factory=dict)
    """Epochs of each milestone that is published, with its state word."""
    attempts: tuple[Attempt, ...] = ()
    unreadable: str | None = None
    """Which file of it cannot be read, and why; then the rest is not known either."""
    progress: tuple[EpochReport, ...] = ()
    """Every finished epoch once, in order; where two claims tell of one epoch, the later's value."""
    last_progress_at: datetime | None = None
    """When the newest line of the highest claim was written; None: no line yet."""
    stopped: Stopped | None = None
    retries_reset_at: int = 0
    """What became of the attempts up to this one does not count: the user retried the run."""

    @property
    def counted(self) -> tuple[Attempt, ...]:
        """The attempts since the user last retried the run."""
        return tuple(each for each in self.attempts if each.number > self.retries_reset_at and not each.retry_exempt)

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def has_published_all(self) -> bool:
        """Whether the last attempt has left all that it was sent for: what is wanted since is another attempt's."""
        last = self.last
        return (
            last is not None and bool(last.milestones) and all(epochs in self.milestones for epochs in last.milestones)
        )

    @property
    def stopped_milestones(self) -> tuple[int, ...]:
        """Those that the last attempt is told to end early; a new stop takes the place of this one."""
        last = self.last
        is_its = self.stopped is not None and last is not None and self.stopped.attempt == last.number
        return self.stopped.milestones if self.stopped is not None and is_its else ()

    @property
    def epochs_done(self) -> int:
        """Finished epochs, whichever attempt did them."""
        return self.progress[-1].epoch if self.progress else 0

    @property
    def epoch_seconds(self) -> float | None:
        """Median wall time of an epoch; None where no line tells."""
        known = [point.seconds for point in self.progress if point.seconds is not None]
        return median(known) if known else None


@dataclass(frozen=True, slots=True)
class Trial:
    """One point of the space that has not ended."""

    number: int
    run: int
    epochs: int
    """Its milestone in the run."""
    cancelled: bool = False
    """The user cancelled it."""
    batch_size: int = 0
    """Its global batch; 0: not known."""
    config_id: str = ""
    """Digest of its config; empty: not known."""
    unreadable: str | None = None
    """Which file of it cannot be read, and why; then its run and epochs are not known either."""


@dataclass(frozen=True, slots=True)
class ReconcilerJob:
    """The last job that was left to reconcile when no other would."""

    number: int
    token: str
    at: datetime
    lost: bool = False
    """It was refused, or never came."""
    job: Job | None = None


@dataclass(frozen=True, slots=True)
class CollectableRun:
    """A run that was marked as one whose last checkpoints may go."""

    run: int
    at_work: bool
    """No file says that its newest start is over."""
    since: datetime
    """When a trial of it ended last."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial that ended without a result of its own."""

    trial: int
    run: int
    signature: str
    """The same for two failures that came the same way."""
    message: str


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything, at one look. Ended trials are only counted, but the first few: nobody decides on the rest."""

    ended: int = 0
    trials: tuple[Trial, ...] = ()
    runs: Mapping[int, Run] = field(default_factory=dict)
    stopped: bool = False
    """The user cancelled the whole sweep: no new trials."""
    scheduler_error: str | None = None
    """Why the scheduler did not answer; then nothing may be concluded from what is not listed."""
    failures: tuple[Failure, ...] = ()
    """Of the ended trials, where few have ended and all of them failed; else empty."""
    reconciler: ReconcilerJob | None = None
    collectable: tuple[CollectableRun, ...] = ()
    listed: frozenset[str] = frozenset()
    """Tokens of which the scheduler lists at least one element, if only one whose trial has ended."""
