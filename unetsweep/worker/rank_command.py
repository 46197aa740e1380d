"""How a job starts one rank of a training, as a new process."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unetsweep import process
from unetsweep.process import die_with_parent


class Rank(Protocol):
    """A process of a training: the part of `subprocess.Popen` that a job uses."""

    def poll(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...

    def wait(self) -> int: ...


@dataclass(frozen=True, slots=True)
class RankCommand:
    """How to start a rank."""

    command: tuple[str, ...]
    """`python -m unetsweep.worker` with arguments."""
    log: Path
    environment: Mapping[str, str]
    cpus: tuple[int, ...]

    @property
    def arguments(self) -> list[str]:
        """The arguments of `unetsweep.worker`."""
        return list(self.command[self.command.index("unetsweep.worker") + 1 :])

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it as a new process. Raises OSError and SubprocessError."""
        tie = die_with_parent()

        def prepare() -> None:
            tie()
            prepare_rank(self.cpus)

        with self.log.open("ab") as stream:
            return process.start(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=self.environment,
                preexec_fn=prepare,
            )


def prepare_rank(cpus: Sequence[int]) -> None:
    """What a new rank does before it runs its program."""
    os.sched_setaffinity(0, cpus)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until the rank handles it; by default it would end the rank
