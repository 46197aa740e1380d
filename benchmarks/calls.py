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
            wrapper.write_text(f'#!/bin/sh\ndate +%s.%N >>"{self._log(name)}"\nexec "{shutil.which(name)}" "$@"\n')
            wrapper.chmod(0o755)

    def run(self, command: Sequence[str], cwd: Path | None = None, **environment: str) -> Done:
        """Run it to its end, with counting begun anew; the benchmark ends with its words where it fails."""
        for name in COUNTED:
            self._log(name).write_text("")
        start = time.perf_counter()
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", **environment}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return Done(done.stdout, seconds, {name: len(self.times(name)) for name in COUNTED})

    def times(self, name: str) -> list[float]:
        """When each call of a command began, in seconds since 1970."""
        return [float(text) for text in self._log(name).read_text().split()]

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.calls"
