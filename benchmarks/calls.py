"""SLURM's commands behind small wrappers that note each call: how often a command asks the scheduler."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COUNTED = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sinfo")


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended well."""

    stdout: str
    seconds: float
    calls: Mapping[str, int]
    """By command of SLURM's."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A folder that stands first on PATH."""

    folder: Path

    def make(self) -> None:
        self.folder.mkdir()
        for name in filter(shutil.which, COUNTED):
            wrapper = self.folder / name
            real, log = shutil.which(name), self._log(name)
            now = "date +%s.%N >>"
            wrapper.write_text(f'#!/bin/sh\n{now}"{log}"\n"{real}" "$@"\nstatus=$?\n{now}"{log}.ends"\nexit $status\n')
            wrapper.chmod(0o755)

    def run(self, command: Sequence[str], cwd: Path | None = None, **environment: str) -> Done:
        """Run it to its end, with counting begun anew; the benchmark ends with its words where it fails."""
        for name in COUNTED:
            self._log(name).write_text("")
        start = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environment() | environment, cwd=cwd
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return Done(done.stdout, seconds, {name: len(self.times(name)) for name in COUNTED})

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}

    def times(self, name: str) -> list[float]:
        """When each call of a command began, in seconds since 1970."""
        return _numbers(self._log(name))

    def ends(self, name: str) -> list[float]:
        """When each was answered."""
        return _numbers(Path(f"{self._log(name)}.ends"))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.calls"


def _numbers(path: Path) -> list[float]:
    return [float(text) for text in path.read_text().split()] if path.exists() else []
