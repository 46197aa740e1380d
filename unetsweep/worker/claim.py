"""A started job's word that it now owns the run.

Rule 1: the claim comes before torch; the highest (attempt, restart) owns the run.
Rule 2: the first act of every start: if the results are there, leave.
"""

import contextlib
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import TrainingError
from unetsweep.process import Identity
from unetsweep.records import AttemptFile, ClaimFile, link_record, read_record

CLAIM_WAIT_S = 120.0
"""How long the other ranks wait for rank 0's claim."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of one element."""

    root: Path
    token: str
    index: int
    restart: int
    job_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A started job's word that it now owns the run."""

    folder: Path
    """The run's."""
    attempt: int
    restart: int
    port: int

    @property
    def name(self) -> str:
        return paths.claim_name(self.attempt, self.restart)

    def holds(self) -> bool:
        """Whether no later attempt or restart has claimed the run, and nobody gave this one up."""
        if (self.folder / "attempts" / f"{self.attempt}.lost.json").exists():
            return False
        return max(claims_of(self.folder)) == (self.attempt, self.restart)


def enter(start: Start, folder: Path, attempt: int, rank: int) -> Claim | None:
    """The claim, made by rank 0 and awaited by the others; None where there is nothing to do."""
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
            return Claim(folder, attempt, start.restart, read_record(ClaimFile, path).port)
        if time.monotonic() > until:
            raise TrainingError(f"rank {rank} waited {CLAIM_WAIT_S:.0f} s for rank 0 to claim {folder} as {name}")
        time.sleep(0.05)


def _nothing_to_do(start: Start, folder: Path, attempt: int) -> str | None:
    intent = read_record(AttemptFile, folder / "attempts" / f"{attempt}.json")
    if (intent.token, intent.index) != (start.token, start.index):
        return f"attempt {attempt} of {folder.name} belongs to submission {intent.token}"
    if (folder / "attempts" / f"{attempt}.lost.json").exists():
        return f"attempt {attempt} of {folder.name} was given up"
    if max(claims_of(folder), default=(0, 0)) > (attempt, start.restart):
        return f"a later start has claimed {folder.name}"
    if all((folder / paths.milestone(each.epochs)).exists() for each in intent.milestones):
        return f"{folder.name} has its results already"
    trials = [start.root / paths.trial_dir(each.trial) for each in intent.milestones]
    if all((trial / paths.RESULT).exists() for trial in trials):
        return f"the trials of {folder.name} have ended without it"
    if all((trial / paths.CANCELLED).exists() for trial in trials):
        return f"the trials of {folder.name} were cancelled"
    return None


def _claim(start: Start, folder: Path, attempt: int, path: Path) -> Claim | None:
    path.parent.mkdir(exist_ok=True)
    taken = claims_of(folder)
    mine = (attempt, start.restart)
    port = free_port()
    host, me = socket.gethostname(), Identity.of_this_process()
    node = os.environ.get("SLURMD_NODENAME") or host
    record = ClaimFile(start.job_id, utc_now(), port, host, node, me.boot, me.pid, me.start)
    if (taken and max(taken) >= mine) or not link_record(path, record):
        print(f"leaving: {folder.name} is owned by {max(claims_of(folder))}", flush=True)  # noqa: T201
        return None
    print(f"job {start.job_id} on {socket.gethostname()} claims {folder.name} as {path.name}", flush=True)  # noqa: T201
    return Claim(folder, attempt, start.restart, port)


def claims_of(folder: Path) -> list[tuple[int, int]]:
    """Attempt and restart of every start that has claimed the run."""
    with contextlib.suppress(FileNotFoundError):
        pairs = [name.split("-") for name in os.listdir(folder / "claims") if name.replace("-", "").isdecimal()]
        return [(int(attempt), int(restart)) for attempt, restart in pairs]
    return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
