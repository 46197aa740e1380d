"""The observation: everything that a reconciliation knows when it decides, from the files and the scheduler.

Rule 1: nothing here decides. None means "not known" or "does not exist"; each field says which.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from unetsweep.core.causes import Cause
from unetsweep.core.failures import Failure as Failure
from unetsweep.core.failures import ResultProblem
from unetsweep.core.jobs import Job as Job
from unetsweep.core.jobs import JobState as JobState
from unetsweep.core.spending import Spending
from unetsweep.trial_config import ParameterValue


@dataclass(frozen=True, slots=True)
class Ending:
    """What a start left when it ended: an error file, or only an exit status."""

    kind: str
    """`exception`, `environment`, `time`, `gpu_memory`, `disk`, `device`, `network`; `exit`: only an exit status."""
    message: str
    where: str = ""
    """Path of the error file or log to read; empty: there is none."""
    status: int | None = None
    """Exit status of the attempt's processes; None: not recorded."""
    signature: str = ""
    """Equal for two errors with the same cause: their type and the lines of their traceback."""
    epochs_done: int = 0
    """Epochs that the run had finished then."""
    unclaimed: bool = False
    """The start ended before it could claim the run: a restarted job may fail on its new node."""

    @property
    def is_final(self) -> bool:
        """Whether the attempt has failed, whatever the queue says about its job."""
        return self.kind in ("exception", "environment", "time")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One submission of a run."""

    run: int
    number: int
    token: str
    index: int
    at: datetime
    """When the intent to submit it was written."""
    milestones: tuple[int, ...] = ()
    """The epochs that it was submitted for; empty: not known."""
    throttle: int | None = None
    """Most elements of its array that run at once; None: all."""
    job_id: str | None = None
    """Its recorded job id; None until it is recorded."""
    claimed_by: str | None = None
    """Job id in its newest claim; None: no process of it has started yet."""
    claimed_at: datetime | None = None
    """Time of that claim; None: there is none, or it has no time."""
    restart: int = 0
    """How often its job had been requeued before that claim."""
    began: bool = False
    """The queue does not list it, but its log shows that its job started at least once."""
    node: str | None = None
    """Where its newest start ran; None: not known."""
    lost: str | None = None
    """Why it was marked as lost; None: it was not."""
    cause: Cause | None = None
    """The cause of that loss; None: not lost, or not recorded."""
    lost_at: datetime | None = None
    """When it was marked as lost; None: it was not."""
    lost_epoch: int = 0
    """Epochs that the run had finished then."""
    refused: bool = False
    """The scheduler refused the submission. That says nothing about the run, so it does not count as a retry."""
    requeue_reason: str | None = None
    """Why its newest start saved a checkpoint and stopped, to be continued; None: it did not."""
    limit: bool = False
    """The submission was refused for a limit on queued jobs."""
    refusals: int = 0
    """How many attempts in a row before this one were refused."""
    terminated_for: Cause | None = None
    """Why a reconciliation terminated it; None if none has."""
    retry_exempt: bool = False
    """The user retried the run while this attempt may have been running. If it is lost, that does not count."""
    mem: str | None = None
    """Memory of its job; None: what the sweep asks for."""
    micro_batch: int | None = None
    """Images per step of each process; None: its whole share of the batch."""
    ending: Ending | None = None
    """How its newest start ended; None: no file says that it did."""
    job: Job | None = None
    """None: the scheduler does not list it, or was not asked."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch of a run."""

    epoch: int
    values: Mapping[str, float]
    """Its numbers by name, such as the metric; without those that are not finite."""
    at: datetime | None
    """When it was first recorded: an epoch that is trained again after a loss keeps its time. None: not known."""
    seconds: float | None = None
    """Wall time of the epoch; None: not known."""


@dataclass(frozen=True, slots=True)
class PruneDecision:
    """The content of a run's `prune.json`: which milestones of one attempt are pruned, and why."""

    attempt: int
    trial: int
    """The trial through which the run was judged."""
    milestones: tuple[int, ...]
    epoch: int
    reason: str
    is_lifted: bool = False
    """Whether the user has retried the run since, so that the decision no longer holds."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its attempts, its progress and its results."""

    number: int
    published_states: Mapping[int, str] = field(default_factory=dict)
    """The state of each published milestone, by its epochs; `failed` for one in `refused_results`."""
    attempts: tuple[Attempt, ...] = ()
    unreadable: str | None = None
    """Which file of the run cannot be read, and why; then at most its attempts are known. None: all can."""
    progress: tuple[EpochReport, ...] = ()
    """Every finished epoch once, in order. If two claims report an epoch, the later one's value counts."""
    last_progress_at: datetime | None = None
    """When the newest claim last reported an epoch; None: it has not yet."""
    prune_decision: PruneDecision | None = None
    """The newest decision to prune; None: there is none."""
    retries_reset_at: int = 0
    """The number of the last attempt before the user's retry: attempts up to it do not count. 0: no retry."""
    refused_results: Mapping[int, ResultProblem] = field(default_factory=dict)
    """Why published results do not count for the sweep, by their epochs."""
    epoch_after_restart: int | None = None
    """The epoch at which a program is that has begun again, after an earlier start was further; None: none has."""

    @property
    def counted_attempts(self) -> tuple[Attempt, ...]:
        """The attempts that count for the retry policy: those since the user last retried the run."""
        return tuple(each for each in self.attempts if each.number > self.retries_reset_at and not each.retry_exempt)

    @property
    def last(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def has_published_all(self) -> bool:
        """Whether the last attempt has published every milestone that it was submitted for."""
        milestones = self.last.milestones if self.last is not None else ()
        return bool(milestones) and all(epochs in self.published_states for epochs in milestones)

    @property
    def pruned_milestones(self) -> tuple[int, ...]:
        """The milestones that are pruned in the last attempt. A new `Prune` replaces them, so it must include them."""
        prune, last = self.prune_decision, self.last
        return prune.milestones if prune is not None and last is not None and prune.attempt == last.number else ()

    @property
    def epochs_done(self) -> int:
        """How many epochs are finished, by any attempt."""
        return self.progress[-1].epoch if self.progress else 0

    @property
    def current_epoch(self) -> int:
        """How many epochs the training that runs now has behind it."""
        return self.epochs_done if self.epoch_after_restart is None else self.epoch_after_restart

    @property
    def epoch_seconds(self) -> float | None:
        """Median wall time of an epoch; None: not known."""
        known = [point.seconds for point in self.progress if point.seconds is not None]
        return median(known) if known else None


@dataclass(frozen=True, slots=True)
class Trial:
    """One open trial: a point of the space that has no result yet."""

    number: int
    run: int
    epochs: int
    """Its milestone in the run."""
    cancelled: bool = False
    """Whether the user cancelled it."""
    batch_size: int = 0
    """Its global batch; 0: not known."""
    config_id: str = ""
    """Digest of its config; empty: not known."""
    params: Mapping[str, ParameterValue] | None = field(default=None, compare=False)
    """What the sweep varies, by path; None: not known. No decision depends on it."""
    cancelled_at: datetime | None = None
    """When the user cancelled it; None: never, or not known."""
    unreadable: str | None = None
    """Which file of the trial cannot be read, and why; then its run and epochs are not known. None: all can."""


@dataclass(frozen=True, slots=True)
class ReconcilerJob:
    """The newest reconciler job: the one that reconciles when no other job does."""

    number: int
    """The highest number, even if the job with that number was refused."""
    token: str
    at: datetime
    """When the intent to submit it was written."""
    lost: bool = False
    """Whether it was refused or cancelled, or never reached the queue."""
    as_training: bool = False
    refusal: str | None = None
    """Why the scheduler refused the newest one; None: it did not. If it did, the rest is of the newest accepted one."""
    refused_at: datetime | None = None
    limit: bool = False
    job: Job | None = None
    """None: the scheduler does not list it, or was not asked."""


@dataclass(frozen=True, slots=True)
class CollectableRun:
    """A run that is marked because its last checkpoints may be deleted."""

    run: int
    at_work: bool
    """Whether a process of the run may be running: no file says that its newest start has ended."""
    since: datetime
    """When its last trial ended."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that is observed at one time: of the ended trials only the number and, if they are few, failures."""

    ended: int = 0
    """How many trials have ended."""
    trials: tuple[Trial, ...] = ()
    """The open trials."""
    runs: Mapping[int, Run] = field(default_factory=dict)
    """The runs of the open trials, by their numbers."""
    cancelled: bool = False
    """Whether the user cancelled the whole sweep, so that it gets no new trials."""
    scheduler_error: str | None = None
    """Why the scheduler did not answer; then a job that is not listed may still exist. None: it answered."""
    failures: tuple[Failure, ...] = ()
    """The failures of the ended trials, if only few have ended and all of them failed; else empty."""
    unjudged: int = 0
    """Ended trials that are missing in `failures` because they were cancelled, or a file of theirs is unreadable."""
    last_reconciler_job: ReconcilerJob | None = None
    """None: there was none yet."""
    collectable: tuple[CollectableRun, ...] = ()
    """The runs whose last checkpoints may be deleted."""
    listed: frozenset[str] = frozenset()
    """Tokens for which the scheduler lists at least one element, even if that element's trial has ended."""
    spending: Spending | None = None
    """What it has used of its limit. None: there is no limit, or it was not read; then the limit stops nothing."""
