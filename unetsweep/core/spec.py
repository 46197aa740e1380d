"""The specification of a sweep: its YAML file, validated and with every default filled in."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig
from unetsweep.core.metric import Metric, metric_of
from unetsweep.core.space import Choices, Domain, Point, Range, Space, contains, is_fixed
from unetsweep.core.spending import Limits
from unetsweep.trial_config import ParameterValue

GpuOption = Literal["gpus-per-node", "gres", "gpus-per-task"]
NO_SAMPLER = "none"
"""Only the listed points are trained."""


@dataclass(frozen=True, slots=True)
class StudySpec:
    """How points are chosen, and which trials end early."""

    sampler: str = "grid"
    """`grid`, `none`, `random`, `tpe`, or the name of an Optuna sampler class."""
    sampler_args: dict[str, Any] = field(default_factory=dict)
    trials: int | None = None
    """How many points; None: all of a grid. With one repeat each is one trial."""
    metric: str = "val_iou"
    """Name of a number in result.json."""
    seed: int = 0
    pruner: str | None = None
    """`asha`, `hyperband`, `median`, or the name of an Optuna pruner class; None: nothing is pruned."""
    pruner_args: dict[str, Any] = field(default_factory=dict)
    direction: Literal["minimize", "maximize"] | None = None
    """Whether less or more of the metric is better; None: that is known (`core.metric.METRICS`)."""
    limits: Limits = field(default_factory=Limits)
    repeats: int = 1
    """Trainings of each point, with seeds of their own. Each is a trial; sampler, pruner and best row see the mean."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a run is resubmitted, by the cause of the loss."""

    node: int = 3
    """The cluster lost the job: its node failed, it ended before its training began, or it vanished from the queue."""
    memory: int = 2
    """The host ran out of memory: each retry requests twice the memory, up to `slurm.mem_max`."""
    unexplained: int = 2
    """It ended with no result, no error and no reason, or the disk was full."""
    hang: int = 1
    """It made no progress any more."""
    requeue: int = 20
    """Starts in a row (after preemption, time limit or node failure) that finish no epoch."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """How many trainings run at once, and what reconciles the sweep."""

    parallel: int | None = None
    """The maximum number of trainings at once; None: as many as the scheduler runs, or as the local cores allow."""
    driver: Literal["jobs", "cli"] = "jobs"
    """What reconciles: the jobs of the sweep (`jobs`), or only the command line (`cli`), in a terminal or cron."""
    retries: Retries = Retries()
    reconcile_interval: int = 60
    """Seconds between two reconciliations by the jobs while they train."""
    share: bool = True
    """Whether trials that differ only in `epochs` share a run."""
    keep_checkpoints: Literal["all", "best"] = "all"
    """`best`: when all trials of a run have ended, delete the checkpoints that only a further training would use."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What each job requests from the cluster: the profile, overridden by the sweep's own settings."""

    profile: str = "default"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: int = 0
    """GPUs of each job; 0: train on the CPU."""
    gpu_type: str | None = None
    """Type of these GPUs, or MIG profile, as the cluster names it: `h100`, `1g.10gb`. None: any."""
    gpu_option: GpuOption = "gpus-per-node"
    """The option of sbatch with which this cluster wants to be asked for GPUs."""
    pack: int = 1
    """Trainings side by side in each job; they divide its GPUs among them."""
    reuse: bool = False
    """Whether a job takes the next training when one has ended, also without `pack`."""
    processes: int = 1
    """DDP processes of each training; with GPUs, one for each GPU of the training."""
    cpus: int | None = None
    """CPUs of each process; None: the cluster's default, or one in a packed job."""
    mem: str | None = None
    """Memory of the job in SLURM's notation: `4G`; `0` is all memory of the node. None: the cluster's default."""
    mem_per_cpu: str | None = None
    """Instead of `mem`: memory for each CPU."""
    mem_per_gpu: str | None = None
    """Instead of `mem`: memory for each GPU."""
    mem_max: str | None = None
    """Most memory that a retry requests; None: no retry requests more."""
    time_min: int = 60
    """Time limit of the job in minutes."""
    python: str | None = None
    """Python interpreter of the jobs; None: the one that submits."""
    setup: tuple[str, ...] = ()
    """Shell lines that the job runs before the training, such as `module load python/3.11`."""
    sbatch: dict[str, Any] = field(default_factory=dict)
    """Other sbatch options by their long names: `{reservation: eyes}`."""
    reconciler: dict[str, Any] = field(default_factory=dict)
    """Options of the reconciler job (1 CPU) that differ from its defaults: `{partition: cpu}`; null: not sent."""

    @property
    def reconciler_partition(self) -> str | None:
        """The partition of the reconciler job; None: the cluster's default one."""
        partition = self.reconciler.get("partition", self.partition)
        return (
            None if partition is None else ",".join(map(str, partition if isinstance(partition, list) else [partition]))
        )

    @property
    def slots(self) -> int | None:
        """Trainings side by side in a job that takes one after the other; None: a job for each training."""
        return self.pack if self.pack > 1 or self.reuse else None

    @property
    def training_gpus(self) -> int:
        """GPUs of one training; a GPU that it shares counts as one."""
        return self.processes if self.gpus else 0


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """Everything that a sweep file specifies."""

    name: str
    data: DataConfig
    space: Space
    study: StudySpec = field(default_factory=StudySpec)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    run: RunSpec = field(default_factory=RunSpec)
    slurm: Resources = field(default_factory=Resources)
    points: tuple[Point, ...] = ()
    """Points that its file lists: each names all parameters or some of them, and maybe the `seed` of its training."""
    added: tuple[Point, ...] = ()
    """Points that `unetsweep add` has added. Their values may be outside the domains of the space."""

    @property
    def metric(self) -> Metric:
        """The metric that the sweep optimises."""
        return metric_of(self.study.metric, self.study.direction)

    @property
    def reported_space(self) -> Space:
        """The space with the values of added points, for reports. A range with several values stays as it is."""
        parameters = [replace(each, domain=self._reported(each.path, each.domain)) for each in self.space.parameters]
        return replace(self.space, parameters=tuple(parameters))

    def _reported(self, path: str, domain: Domain) -> Domain:
        extra = self.values_added(path)
        if not extra or (isinstance(domain, Range) and not is_fixed(domain)):
            return domain
        values, named = (domain.values, domain.named) if isinstance(domain, Choices) else ((domain.low,), ())
        return Choices((*values, *extra), named)

    def values_added(self, path: str) -> tuple[ParameterValue, ...]:
        """The values of a parameter that only added points have."""
        domain = self.space.domain(path)
        values = dict.fromkeys(point[path] for point in self.added if path in point)
        return tuple(value for value in values if not contains(domain, value))
