"""What a sweep's YAML file asks for, checked and with every default filled in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig
from unetsweep.core.space import Point, Space, size

Metric = Literal["val_iou", "val_loss"]


@dataclass(frozen=True, slots=True)
class StudySpec:
    """How points are chosen."""

    sampler: str = "grid"
    """`grid`, `list`, `random`, `tpe`, or the name of an Optuna sampler class."""
    sampler_args: dict[str, Any] = field(default_factory=dict)
    trials: int | None = None
    """How many trials; None for a grid, which has as many as points."""
    metric: Metric = "val_iou"
    seed: int = 0
    pruner: str | None = None
    """`asha`, `hyperband`, `median`, or the name of an Optuna pruner class; None: nothing is pruned."""
    pruner_args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a run may be sent again, by what went wrong."""

    node: int = 3
    """The cluster lost the job: its node failed, it ended before its training began, the queue forgot it."""
    memory: int = 2
    """The host ran out of memory: again with twice the memory, up to `slurm.mem_max`."""
    unexplained: int = 2
    """It ended with no result, no error and no reason, or met a full disk."""
    hang: int = 1
    """It stopped to make progress."""
    requeue: int = 20
    """Starts in a row (preemption, time limit, node failure) that finished no epoch."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """How much goes on at once, and who drives it."""

    parallel: int | None = None
    """Most trainings at once; None: as many as the scheduler runs, or locally as the cores allow."""
    driver: Literal["jobs", "cli"] = "jobs"
    """Who reconciles: the jobs themselves (`jobs`), or only the command line (`cli`): a terminal or cron."""
    retries: Retries = Retries()
    reconcile_interval: int = 60
    """Seconds after which the jobs reconcile while they train."""
    share: bool = True
    """Trials that differ only in `epochs` are one training."""
    keep_checkpoints: Literal["all", "best"] = "all"
    """Checkpoints: `best` deletes what only a longer or repeated training could use, when a run's trials have ended."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What each job asks of the cluster: the profile with the sweep's own words on top."""

    profile: str = "default"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: int = 0
    """GPUs of each job; 0 trains on CPU."""
    pack: int = 1
    """Trainings side by side in each job, which share its GPUs out."""
    processes: int = 1
    """DDP processes of each training; with GPUs one for each that it has."""
    cpus: int | None = None
    """CPUs of each process; None: the cluster's default, of a packed job one for each process."""
    mem: str | None = None
    """Memory of the job, as SLURM writes it: 4G."""
    mem_max: str | None = None
    time_min: int = 60
    """Time limit of the job in minutes."""
    python: str | None = None
    """Interpreter of the jobs; None: the submitting one."""
    setup: tuple[str, ...] = ()
    """Lines for the job's shell before the training, such as `module load cuda`."""
    sbatch: dict[str, Any] = field(default_factory=dict)
    """Any other sbatch option by its long name: `{reservation: eyes}`."""
    reconciler: dict[str, Any] = field(default_factory=dict)
    """The same for the 1-CPU job that looks after the sweep, instead of the trainings': `{partition: cpu}`."""

    @property
    def training_gpus(self) -> int:
        """GPUs of one training; one that it shares with others counts whole."""
        return self.processes if self.gpus else 0


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """One sweep."""

    name: str
    data: DataConfig
    space: Space
    study: StudySpec = field(default_factory=StudySpec)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    run: RunSpec = field(default_factory=RunSpec)
    slurm: Resources = field(default_factory=Resources)

    @property
    def minimize(self) -> bool:
        return self.study.metric == "val_loss"


def listed_points(study: StudySpec) -> tuple[Point, ...]:
    """The points of the sampler `list`, each with the seed of its training; none for another sampler."""
    points = study.sampler_args.get("points", ()) if study.sampler == "list" else ()
    return tuple({"seed": study.seed, **point} for point in points)


def listed_left(spec: SweepSpec, taken: Iterable[Point]) -> tuple[Point, ...]:
    """The listed points that are not in `taken` (points with their seeds), in the file's order."""
    keys = {(spec.space.key(point), point["seed"]) for point in taken}
    return tuple(point for point in listed_points(spec.study) if (spec.space.key(point), point["seed"]) not in keys)


def trials_wanted(spec: SweepSpec) -> int:
    """How many trials the sweep has when it is complete."""
    if spec.study.sampler == "list":
        return len(listed_points(spec.study))
    points = size(spec.space)
    if spec.study.trials is None:
        return int(points)
    return int(min(spec.study.trials, points))
