"""The claim by which a started job takes ownership of its run.

Rule 1: a job claims its run before it imports torch; the highest (attempt, restart) owns the run.
Rule 2: every start first checks whether there is anything to do; if not, it leaves.
"""

import contextlib
import errno
import hashlib
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import TrainingError
from unetsweep.process import Identity
from unetsweep.record_files import link_record, read_record
from unetsweep.records import AttemptFile, ClaimFile

CLAIM_WAIT_S = 120.0
"""How long the other ranks wait for rank 0's claim. Ranks start within seconds; this allows for a slow node."""
PORTS = range(20_000, 32_000)
"""Below those that Linux gives to outgoing connections (net.ipv4.ip_local_port_range: from 32768)."""
PORTS_TRIED = 200


@dataclass(frozen=True, slots=True)
class ElementStart:
    """One start of one element of a submission."""

    root: Path
    token: str
    index: int
    restart: int
    job_id: str

    @property
    def submission(self) -> Path:
        """Folder of the submission. If it is gone the sweep was moved, and another one may be in its place."""
        return self.root / paths.submission(self.token)


@dataclass(frozen=True, slots=True)
class Claim:
    """One start's claim of its run."""

    folder: Path
    """Folder of the run."""
    submission: Path
    """Folder of the submission; see `ElementStart.submission`."""
    attempt: int
    restart: int
    port: int

    @property
    def name(self) -> str:
        return paths.claim_name(self.attempt, self.restart)

    def holds(self) -> bool:
        """Whether this claim still owns the run: no later one exists, the attempt is not marked lost, and the sweep is
        still in its place."""
        if not self.submission.is_dir() or (self.folder / "attempts" / f"{self.attempt}.lost.json").exists():
            return False
        mine = (self.attempt, self.restart)
        return max(claims_of(self.folder), default=mine) == mine  # a trainer command may delete its claim


def enter(start: ElementStart, folder: Path, attempt: int, rank: int) -> Claim | None:
    """Claim the run on rank 0, and wait for that claim on the other ranks. None if there is nothing to do."""
    name = paths.claim_name(attempt, start.restart)
    path = folder / "claims" / name
    until = time.monotonic() + CLAIM_WAIT_S
    while True:
        reason = _nothing_to_do(start, folder, attempt)
        if reason:
            print(f"leaving: {reason}", flush=True)  # noqa: T201
            return None
        if rank == 0:
            return _claim(start, folder, attempt, path)
        if path.exists():
            return Claim(folder, start.submission, attempt, start.restart, read_record(ClaimFile, path).port)
        if time.monotonic() > until:
            raise TrainingError(f"rank {rank} waited {CLAIM_WAIT_S:.0f} s for rank 0 to claim {folder} as {name}")
        time.sleep(0.05)


def _nothing_to_do(start: ElementStart, folder: Path, attempt: int) -> str | None:
    intent = read_record(AttemptFile, folder / "attempts" / f"{attempt}.json")
    if (intent.token, intent.index) != (start.token, start.index):
        return f"attempt {attempt} of {folder.name} belongs to submission {intent.token}"
    if (folder / "attempts" / f"{attempt}.lost.json").exists():
        return f"attempt {attempt} of {folder.name} was marked lost"
    if max(claims_of(folder), default=(0, 0)) > (attempt, start.restart):
        return f"a later start has claimed {folder.name}"
    if all((folder / paths.milestone(each.epochs)).exists() for each in intent.trials):
        return f"{folder.name} has its results already"
    trials = [start.root / paths.trial_dir(each.trial) for each in intent.trials]
    if all((trial / paths.RESULT).exists() for trial in trials):
        return f"the trials of {folder.name} have ended already"
    if all((trial / paths.CANCELLED).exists() for trial in trials):
        return f"the trials of {folder.name} were cancelled"
    return None


def _claim(start: ElementStart, folder: Path, attempt: int, path: Path) -> Claim | None:
    path.parent.mkdir(exist_ok=True)
    taken = claims_of(folder)
    mine = (attempt, start.restart)
    port = free_port(f"{start.job_id} {folder.name}")
    host, me = socket.gethostname(), Identity.of_this_process()
    node = os.environ.get("SLURMD_NODENAME") or host
    record = ClaimFile(start.job_id, utc_now(), port, host, node, me.boot, me.pid, me.start_ticks)
    if (taken and max(taken) >= mine) or not link_record(path, record):
        print(f"leaving: {folder.name} is owned by claim {paths.claim_name(*max(claims_of(folder)))}", flush=True)  # noqa: T201
        return None
    print(f"job {start.job_id} on {socket.gethostname()} claims {folder.name} as {path.name}", flush=True)  # noqa: T201
    return Claim(folder, start.submission, attempt, start.restart, port)


def claims_of(folder: Path) -> list[tuple[int, int]]:
    """(attempt, restart) of every start that has claimed the run."""
    with contextlib.suppress(FileNotFoundError):
        return [claim for name in os.listdir(folder / "claims") if (claim := paths.claim_of(name)) is not None]
    return []


def free_port(name: str) -> int:
    """A TCP port of this machine that is free, and most likely still is when the ranks have imported PyTorch.

    It is none of those that the kernel gives to outgoing connections, and follows from `name`, so that trainings that
    start together do not choose the same. OSError if none is free.
    """
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    for number in range(PORTS_TRIED):
        port = PORTS[(first + number) % len(PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise OSError(errno.EADDRINUSE, f"{PORTS_TRIED} ports from {PORTS[first % len(PORTS)]} on are taken")
