"""What the nodes of each partition have, in sinfo's output. Pure functions on text: nothing runs here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from unetsweep.config.units import slurm_minutes
from unetsweep.schedulers.slurm.answers import marked, row_format

NODES = ("sinfo", row_format("%P|%a|%l|%G|%c|%m|%D"))
"""One row for each partition and kind of node. %P has a star at the default partition."""
_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes of one partition that have the same resources."""

    nodes: int
    cpus: int
    memory_mb: int
    gpus: Mapping[str, int] = field(default_factory=dict)
    """How many GPUs of each type a node has; the type is empty if SLURM names none."""

    @property
    def gpu_count(self) -> int:
        """All GPUs of a node."""
        return sum(self.gpus.values())


@dataclass(frozen=True, slots=True)
class PartitionNodes:
    """A partition and its nodes."""

    name: str
    is_default: bool
    is_up: bool
    limit_min: int | None
    """Minutes that a job may run; None: unlimited, or not known."""
    groups: tuple[NodeGroup, ...]

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return sum(group.nodes * group.gpu_count for group in self.groups)

    @property
    def gpu_types(self) -> tuple[str, ...]:
        """The types of its GPUs that SLURM names."""
        return tuple(dict.fromkeys(kind for group in self.groups for kind in group.gpus if kind))


def parse_nodes(text: str) -> tuple[PartitionNodes, ...]:
    """Return the partitions in NODES' output, in their order; ValueError if sinfo did not answer.

    >>> parse_nodes("unetsweep|gpu*|up|1-00:00:00|gpu:a100:4|64|512000+|2|unetsweep")[0].groups
    (NodeGroup(nodes=2, cpus=64, memory_mb=512000, gpus={'a100': 4}),)
    """
    found: dict[str, PartitionNodes] = {}
    for row in (line.split("|") for line in marked(text)):
        if len(row) != _COLUMNS or row[0] == "PARTITION":
            continue
        name, avail, limit, gres, cpus, memory, nodes = row
        group = NodeGroup(_number(nodes), _number(cpus), _number(memory), gpus_of(gres))
        known = found.get(name.rstrip("*"))
        groups = (*(known.groups if known else ()), group)
        found[name.rstrip("*")] = PartitionNodes(
            name.rstrip("*"), name.endswith("*"), avail == "up", slurm_minutes(limit), groups
        )
    return tuple(found.values())


def gpus_of(gres: str) -> dict[str, int]:
    """Return how many GPUs of each type a node has.

    >>> gpus_of("gpu:a100:4(S:0,1),shard:8"), gpus_of("gpu:2"), gpus_of("gpu:3090:1,gpu:v100:2"), gpus_of("(null)")
    ({'a100': 4}, {'': 2}, {'3090': 1, 'v100': 2}, {})
    """
    found: dict[str, int] = {}
    for item in re.sub(r"\([^)]*\)", "", gres).split(","):
        name, *rest = item.strip().split(":")
        if name != "gpu":
            continue
        count = int(rest.pop()) if rest and rest[-1].isdecimal() else 1
        kind = rest[0] if rest else ""
        found[kind] = found.get(kind, 0) + count
    return found


def _number(text: str) -> int:
    """Return a number of sinfo; `8+` means that some nodes have more."""
    digits = re.match(r"\d+", text.strip())
    return int(digits[0]) if digits else 0
