"""A SLURM profile for a cluster, from what was found of it. Pure: facts in, values out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unetsweep.schedulers.slurm.parse_nodes import NodeGroup, PartitionNodes

GPU_TIME_MIN, CPU_TIME_MIN = 120, 240
"""Time limits of a job with and without a GPU, in minutes, where the partition allows them: short jobs start sooner,
and a training that needs longer is requeued."""
GPU_MEMORY_MB, CPU_MEMORY_MB = 16 << 10, 8 << 10
"""Memory of a job with and without a GPU, where the nodes have it."""
GPU_CPUS = 4
_USABLE = 0.9
"""Share of a node's memory that a job may ask for: the system needs some."""
_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A cluster, as far as SLURM shows it to this user."""

    name: str | None
    partitions: tuple[PartitionNodes, ...]
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The accounts that may use a partition, by its name; a partition that is not in it is open to all."""
    accounts: tuple[str, ...] = ()
    """Those of this user; empty: accounting shows none."""
    default_account: str | None = None
    qos: tuple[str, ...] = ()
    """Those that this user may name."""

    def accounts_of(self, partition: PartitionNodes) -> tuple[str, ...]:
        """Return the accounts of this user that may use a partition, the default one first."""
        allowed = self.allowed.get(partition.name)
        mine = sorted(self.accounts, key=lambda account: account != self.default_account)
        return tuple(account for account in mine if allowed is None or account in allowed)

    def is_open(self, partition: PartitionNodes) -> bool:
        """Return whether this user may use a partition, as far as that is known."""
        return not self.accounts or bool(self.accounts_of(partition))


@dataclass(frozen=True, slots=True)
class SuggestedProfile:
    """The values of a profile."""

    name: str
    partition: PartitionNodes
    account: str | None
    gpus: int
    cpus: int
    memory_mb: int
    """0: the nodes' memory is not known, so none is asked for."""
    time_min: int


def profile_name(cluster: str | None) -> str:
    """Return a name for the profile of a cluster.

    >>> profile_name("Alpha Centauri"), profile_name(None), profile_name("default")
    ('alpha-centauri', 'cluster', 'cluster')
    """
    name = _NAME.sub("-", (cluster or "").lower()).strip("-_")[:60]
    return "cluster" if name in ("", "default") else name


def ranked(cluster: ClusterFacts) -> tuple[PartitionNodes, ...]:
    """Return the partitions, the best one for a training first: one that is up and that the user may use, with GPUs,
    with time for a training, the default one, with the most GPUs."""

    def key(partition: PartitionNodes) -> tuple[bool, ...]:
        limit = partition.limit_min
        has_gpus = partition.gpus > 0
        is_short = limit is not None and limit < (GPU_TIME_MIN if has_gpus else CPU_TIME_MIN)
        return (not partition.is_up, not cluster.is_open(partition), not has_gpus, is_short, not partition.is_default)

    return tuple(sorted(cluster.partitions, key=lambda each: (*key(each), -each.gpus)))


def suggest_profile(
    cluster: ClusterFacts, name: str, partition: str | None = None, account: str | None = None
) -> SuggestedProfile | None:
    """Return a profile; None if there is no such partition. None as `partition` or `account`: choose."""
    chosen = next((each for each in ranked(cluster) if partition in (None, each.name)), None)
    if chosen is None:
        return None
    has_gpu = chosen.gpus > 0
    wanted_time, wanted_mb = (GPU_TIME_MIN, GPU_MEMORY_MB) if has_gpu else (CPU_TIME_MIN, CPU_MEMORY_MB)
    groups = [group for group in chosen.groups if group.gpu_count or not has_gpu]
    return SuggestedProfile(
        name,
        chosen,
        account or next(iter(cluster.accounts_of(chosen)), None),
        gpus=int(has_gpu),
        cpus=_cpus(groups) if has_gpu else 1,
        memory_mb=min(wanted_mb, _memory_mb(groups)),
        time_min=min(wanted_time, chosen.limit_min or wanted_time),
    )


def _cpus(groups: Sequence[NodeGroup]) -> int:
    """Return the CPUs for one GPU that every node has."""
    return max(1, min([GPU_CPUS, *(group.cpus // group.gpu_count for group in groups)]))


def _memory_mb(groups: Sequence[NodeGroup]) -> int:
    """Return the memory for one GPU, or for a job without GPUs, that every node has; in whole GiB if that is one."""
    least = min((int(_USABLE * group.memory_mb) // max(1, group.gpu_count) for group in groups), default=0)
    return least - least % 1024 if least >= 1024 else least
