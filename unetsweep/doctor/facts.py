"""The results of doctor's probes that are more than a string, a number or a bool."""

from dataclasses import dataclass

from unetsweep.config.units import minutes


@dataclass(frozen=True, slots=True)
class Command:
    """How a command of SLURM answered on this machine; `problem` is empty if it worked."""

    path: str
    seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, with its limits as SLURM writes them."""

    name: str
    is_default: bool
    max_time: str
    default_time: str
    state: str


@dataclass(frozen=True, slots=True)
class Partitions:
    """The cluster's partitions, and what the profile asks for."""

    rows: tuple[Partition, ...]
    wanted: str | None
    time_min: int

    def chosen(self) -> Partition | None:
        """Return the one that jobs go to; None: it does not exist, or SLURM chooses one of several."""
        return next((r for r in self.rows if (r.is_default if self.wanted is None else r.name == self.wanted)), None)

    def are_too_short(self) -> bool:
        """Return whether the profile asks for more time than the chosen partition allows."""
        chosen = self.chosen()
        return chosen is not None and self.time_min > (minutes(chosen.max_time) or self.time_min)


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """What is free for this user; `inodes` is None if the file system does not count them."""

    bytes: int
    inodes: int | None


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that doctor runs on."""

    cores: int
    memory_gib: float
    gpus: int
