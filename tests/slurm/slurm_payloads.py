"""Payloads of the test jobs. Jobs import this module, so it imports nothing of the tests."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetsweep.core.ports import Submission
from unetsweep.schedulers.slurm import submitit_jobs

_WATCHED = ("SLURM_", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Note:
    """Each process writes a file with its rank, times and environment, and runs for some seconds."""

    folder: str
    seconds: float = 0.0

    def __call__(self) -> None:
        start = time.time()
        index, rank = os.environ.get("SLURM_ARRAY_TASK_ID", "0"), os.environ.get("SLURM_PROCID", "0")
        restart = os.environ.get("SLURM_RESTART_COUNT", "0")
        variables = {name: value for name, value in os.environ.items() if name.startswith(_WATCHED)}
        note = {"index": int(index), "rank": int(rank), "pid": os.getpid(), "environment": variables}
        path = Path(self.folder) / f"{index}-{rank}-{restart}.json"
        _write(path, note | {"start": start})
        sys.stdout.write(f"element {index} rank {rank} restart {restart}\n")
        time.sleep(self.seconds)
        _write(path, note | {"start": start, "end": time.time()})


@dataclass(frozen=True)
class Leave:
    """Writes a note, and takes some seconds to end after a SIGTERM."""

    folder: str
    seconds: float = 1.0

    def __call__(self) -> None:
        signal.signal(signal.SIGTERM, self._leave)
        Note(self.folder, 600)()

    def _leave(self, *_: object) -> None:
        time.sleep(self.seconds)
        sys.exit(7)


@dataclass(frozen=True)
class Fail:
    """Raises an error, like a trainer with a bug."""

    def __call__(self) -> None:
        raise RuntimeError("the loss went for a walk")


@dataclass(frozen=True)
class SubmitAnother:
    """Submits another job from this one, as an exit hook does."""

    submission: Submission
    payload: Note

    def __call__(self) -> None:
        if os.environ["SLURM_PROCID"] == "0":
            submitit_jobs.submit(self.submission, self.payload)


@dataclass(frozen=True)
class RunShell:
    """Runs a shell command, like a trainer command of a user."""

    command: str

    def __call__(self) -> None:
        subprocess.run(self.command, shell=True, check=True)  # noqa: S602


def notes(folder: Path) -> list[dict[str, Any]]:
    """All notes in the folder, sorted by element, rank and restart."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def _write(path: Path, value: object) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value))
    temporary.rename(path)
