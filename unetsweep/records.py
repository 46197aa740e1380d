"""The small files of a sweep directory as types: each is one frozen dataclass.

`record_files` reads and writes them. docs/files.md says when each file is written, and by whom. `contract.py` has the
files that a trainer writes or reads (config, result, progress).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from unetsweep.trial_config import ParameterValue


@dataclass(frozen=True, slots=True)
class Adoption:
    """Where a sweep lived before it was adopted."""

    folder: str
    cluster: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class SweepFile:
    """`sweep.json`: the executor, the cluster and the folder that the sweep belongs to."""

    executor: str
    """The name of an executor: `slurm` or `local`."""
    cluster: str | None
    """None: the sweep is local, or SLURM does not name it."""
    folder: str
    """The sweep's directory, as an absolute path; its jobs use this path."""
    created: datetime
    working_directory: str
    """Where a trainer command starts."""
    adopted: Adoption | None = None
    overrides: tuple[str, ...] = ()
    """`KEY=VALUE` of each `--set` that holds for this sweep, as it was given."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """`data.json`: the images of the sweep."""

    manifest: Mapping[str, Any]
    """The split: for each of train, val and test the file names with a digest of each pair."""
    leak: Mapping[str, str] = field(default_factory=dict)
    """For val and test: which of their images have a duplicate in training, as text."""
    val_groups: Mapping[str, str] | None = None
    """The image group of each validation image."""


@dataclass(frozen=True, slots=True)
class SummaryFile:
    """`report/summary.json`: an ended sweep in a few numbers, for a list of many sweeps."""

    files: str
    """The number of trials and a digest of when their files changed. If it differs now, the summary is outdated."""
    states: Mapping[str, int]
    """How many trials are in each state."""
    wanted: int
    """Trials that the sweep asks for."""
    metric: str
    best: int | None
    """The best trial; None: none is complete."""
    score: float | None
    """Its metric; with `study.repeats` the mean of its point."""
    hours: float
    """What its jobs used, by the times in the sweep's files."""
    unit: str
    """Of `hours`: `GPU`, or `CPU` if the sweep uses no GPU."""
    damaged: int = 0
    """Trials with a file that cannot be read."""


@dataclass(frozen=True, slots=True)
class TrialFile:
    """`trials/NNNN/trial.json`: one point of the space."""

    trial: int
    params: Mapping[str, ParameterValue]
    config_id: str
    """Digest of its config."""
    run: int
    """The run that serves it; trials that differ only in epochs share one."""
    epochs: int
    """Its milestone in that run."""
    batch_size: int
    run_key: str
    """Equal for trials that one training could serve."""
    training_seed: int
    at: datetime
    sampler: str | None = None
    study_seed: int | None = None
    code: str | None = None
    """Hash of the package that its jobs run; None: the installed one."""


@dataclass(frozen=True, slots=True)
class MarkFile:
    """A file whose presence says something: `cancelled.json`, `K.retry-exempt.json`, `K.retries-reset.json`, ..."""

    at: datetime


@dataclass(frozen=True, slots=True)
class AttemptTrial:
    """One trial that an attempt was submitted for."""

    trial: int
    epochs: int


@dataclass(frozen=True, slots=True)
class AttemptFile:
    """`attempts/K.json`: the intent to submit a run, written before sbatch."""

    run: int
    attempt: int
    token: str
    index: int
    at: datetime
    trials: tuple[AttemptTrial, ...]
    throttle: int | None = None
    mem: str | None = None
    micro_batch: int | None = None


@dataclass(frozen=True, slots=True)
class JobFile:
    """`K.job.json`: the job of an attempt, or of a reconciler job's intent."""

    job_id: str
    run: int | None = None
    """The run and the attempt that the file belongs to; None: a reconciler job, or not recorded."""
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class ThrottleFile:
    """`attempts/K.throttle.json`: the throttle of the attempt's array, if it was changed after the submission."""

    throttle: int | None


@dataclass(frozen=True, slots=True)
class LostFile:
    """`K.lost.json`: why an attempt, or a reconciler job, was given up."""

    reason: str
    at: datetime
    cause: str | None = None
    """Name of a `core.causes.Cause`."""
    node: str | None = None
    epoch: int = 0
    """Finished epochs of the run by then."""
    refused: bool = False
    limit: bool = False
    """Refused because too many jobs were queued."""


@dataclass(frozen=True, slots=True)
class TerminationFile:
    """`attempts/K.end.json`: a reconciliation ends the attempt's job."""

    cause: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ExitFile:
    """`attempts/K.exit-R.json`: the processes of one start are gone."""

    status: int
    at: datetime
    log: str | None = None
    node: str | None = None
    last_message: str | None = None
    is_before_training: bool = False
    """Whether the job ended before its training began; the message is then the first one about an error."""


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """`claims/K-R`: a started job owns the run now."""

    job_id: str
    at: datetime
    port: int = 0
    """The port at which the ranks of the training connect."""
    host: str | None = None
    node: str | None = None
    """SLURM's name of the node."""
    boot: str | None = None
    pid: int | None = None
    start_ticks: int | None = None


@dataclass(frozen=True, slots=True)
class RequeueFile:
    """`requeue-K-R.json`: a training stopped before its last milestone, to continue in a later start."""

    reason: str = ""
    epoch: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ErrorFile:
    """`error-P.json`: a process of a training ended with an error."""

    kind: str
    message: str
    attempt: int = 0
    restart: int = 0
    traceback: str = ""
    rank: int = 0
    host: str | None = None
    echo: bool = False
    """The error only follows from that of another process: a connection to it was closed."""
    epochs_done: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PruneFile:
    """`prune.json`: the milestones of an attempt that its training need not reach."""

    attempt: int
    trial: int
    """The trial through which the run was judged."""
    milestones: tuple[int, ...]
    epoch: int
    """Epochs that the run had finished when this was decided."""
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SubmissionFile:
    """`submissions/TOKEN/intent.json`: which element of a submission is which attempt."""

    token: str
    kind: str
    at: datetime
    folder: str
    """The sweep's directory, by the path that its jobs use."""
    elements: tuple[tuple[int, int], ...]
    """(run, attempt) of each element."""


@dataclass(frozen=True, slots=True)
class ProcessFile:
    """`submissions/TOKEN/I.process.json`: the supervisor of a local job."""

    index: int
    job_id: str
    host: str
    boot: str
    pid: int
    start_ticks: int
    suspended_s: float | None = None
    """How long the machine had been suspended since its boot when the job started; None: not known."""


@dataclass(frozen=True, slots=True)
class LocalJobFile:
    """`jobs/JOB.json`: reserves the number of a local job."""

    token: str
    index: int


@dataclass(frozen=True, slots=True)
class ReconcilerFile:
    """`reconcilers/K.json`: the intent to submit a reconciler job, perhaps one that asks for what a training does."""

    token: str
    at: datetime
    as_training: bool = False


@dataclass(frozen=True, slots=True)
class PackFile:
    """`packed/TOKEN/about.json`: a submission whose jobs hold several trainings each, in `pack` slots."""

    count: int
    pack: int
    mem: str | None = None


@dataclass(frozen=True, slots=True)
class SlotReuseFile:
    """`packed/TOKEN/N.reused.json`: a training of a later submission that takes a free slot."""

    token: str
    index: int


@dataclass(frozen=True, slots=True)
class SlotTakenFile:
    """`packed/TOKEN/N.taken.json`: which job of the array runs training N."""

    task: int
    restart: int


@dataclass(frozen=True, slots=True)
class CodeFile:
    """`code.json`: which copy of the package new jobs run."""

    hash: str
    version: str
    commit: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class LeaseFile:
    """`lease`: who reconciles now."""

    name: str
    host: str
    boot: str
    pid: int
    start_ticks: int
