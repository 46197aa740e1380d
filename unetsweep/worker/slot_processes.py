"""The processes of one training in a slot of a packed job."""

import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unetsweep.worker.rank_command import Rank, RankCommand
from unetsweep.worker.warm import WarmServer

EXIT_S = 15.0
"""How long processes may take to exit after a signal, before they are killed."""
DUMP_S = 2.0
"""How long processes may take to print their stacks."""


@dataclass(slots=True)
class SlotProcesses:
    """A training that was started in a slot."""

    number: int
    """Its number in the slot table."""
    run: int
    attempt: int
    restart: int
    is_owner: bool
    """Its element owns its attempt."""
    log: Path
    ranks: Sequence[Rank]
    started_at: float = field(default_factory=time.monotonic)
    kill_at: float | None = None
    """When it will be killed, once it was asked to exit."""
    published_at: float | None = None
    """When all its results were first observed."""
    status: int = 0
    """The first exit status that is not 0, as a shell reports it."""

    def is_over(self) -> bool:
        """Whether all ranks have ended. Once one has failed, the others are killed after `EXIT_S`."""
        codes = [rank.poll() for rank in self.ranks]
        failed = next((code for code in codes if code), 0)
        self.status = self.status or (failed if failed >= 0 else 128 - failed)
        if self.status and self.kill_at is None:  # the other ranks would wait for the failed one
            self.kill_at = time.monotonic() + EXIT_S
        return None not in codes

    def stop(self, *, dump_stacks: bool = False) -> None:
        """Ask the ranks to exit, unless that was done before."""
        if self.kill_at is not None:
            return
        self.kill_at = time.monotonic() + EXIT_S
        if dump_stacks:
            self._send(signal.SIGUSR1)
            time.sleep(DUMP_S)
        self._send(signal.SIGTERM)

    def kill_when_due(self) -> None:
        if self.kill_at is not None and time.monotonic() > self.kill_at:
            self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for rank in self.ranks:
            if rank.poll() is None:
                rank.send_signal(number)


def start_ranks(
    command: Sequence[str],
    size: int,
    log: Path,
    environment: Mapping[str, str],
    cpus: Collection[int],
    server: WarmServer | None = None,
) -> list[Rank]:
    """Start `size` ranks on these CPUs, all or none. Each gets its rank and the size as last arguments.

    `server`: it forks them; None: they are new processes.
    """
    ranks: list[Rank] = []
    try:
        for rank in range(size):
            each = RankCommand((*command, str(rank), str(size)), log, environment, tuple(cpus))
            ranks.append(each.start() if server is None else server.start(each))
    except (OSError, subprocess.SubprocessError):  # the ranks that were started would wait for this one
        for started in ranks:
            started.kill()
            started.wait()
        raise
    return ranks
