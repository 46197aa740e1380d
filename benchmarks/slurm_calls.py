"""Count how often a command calls SLURM, by wrappers around SLURM's commands that log each call."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.schedulers.slurm.commands import is_reachable

COUNTED = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sinfo")


def is_slurm_available(benchmark: str) -> bool:
    """Return whether a SLURM controller answers; print that the benchmark is skipped when none does."""
    if not is_reachable():
        print(f"{benchmark}: skipped, because no SLURM answers here; `make slurm-up` starts one", file=sys.stderr)
        return False
    return True


@dataclass(frozen=True, slots=True)
class CompletedCommand:
    """A command that has ended with status 0."""

    stdout: str
    seconds: float
    calls: Mapping[str, int]
    """Calls of each SLURM command."""


@dataclass(frozen=True, slots=True)
class CallCounter:
    """A folder of wrappers that stands first on PATH."""

    folder: Path

    def install(self) -> None:
        self.folder.mkdir()
        for name in filter(shutil.which, COUNTED):
            wrapper = self.folder / name
            real, log = shutil.which(name), self._log(name)
            now = "date +%s.%N >>"
            wrapper.write_text(f'#!/bin/sh\n{now}"{log}"\n"{real}" "$@"\nstatus=$?\n{now}"{log}.ends"\nexit $status\n')
            wrapper.chmod(0o755)

    def run(self, command: Sequence[str], cwd: Path | None = None, **environment: str) -> CompletedCommand:
        """Run a command with fresh counts. When it fails the benchmark exits with its output."""
        for name in COUNTED:
            self._log(name).write_text("")
        start = time.perf_counter()
        process = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environment() | environment, cwd=cwd
        )
        seconds = time.perf_counter() - start
        if process.returncode:
            sys.exit(f"{' '.join(command)}: status {process.returncode}\n{process.stdout}{process.stderr}")
        return CompletedCommand(process.stdout, seconds, {name: len(self.start_times(name)) for name in COUNTED})

    def environment(self) -> dict[str, str]:
        """Return this process's environment with the wrappers first on PATH."""
        return {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}

    def start_times(self, name: str) -> list[float]:
        """Return when each call of a command began, in seconds since 1970."""
        return _read_numbers(self._log(name))

    def end_times(self, name: str) -> list[float]:
        """Return when each call of a command was answered."""
        return _read_numbers(Path(f"{self._log(name)}.ends"))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.calls"


def _read_numbers(path: Path) -> list[float]:
    return [float(text) for text in path.read_text().split()] if path.exists() else []
