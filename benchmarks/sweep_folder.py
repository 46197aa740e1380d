"""A folder in which a benchmark runs sweeps and counts what they did."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """A temporary folder with sample images and sweeps."""

    folder: Path

    def unetsweep(self, *arguments: str) -> str:
        """Run a command and return its standard output. When it fails the benchmark exits with its output."""
        command = [sys.executable, "-m", "unetsweep", *arguments]
        process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        if process.returncode:
            sys.exit(f"unetsweep {' '.join(arguments)}: status {process.returncode}\n{process.stdout}{process.stderr}")
        return process.stdout

    def run_locally(self, name: str, yaml: str, *options: str) -> float:
        """Run a sweep to its end on this machine and return the seconds it took."""
        self.write(name, yaml)
        start = time.monotonic()
        self.unetsweep("submit", f"{name}.yaml", "--executor", "local", "--watch", *options)
        return time.monotonic() - start

    def run_on_slurm(self, name: str, yaml: str, trials: int) -> float:
        """Run a sweep of so many trials on SLURM and return the seconds from the submission to the last result.

        The trials' jobs may still be ending: `wait_for_empty_queue` waits for them.
        """
        self.write(name, yaml)
        start = time.monotonic()
        self.unetsweep("submit", f"{name}.yaml", "--executor", "slurm")
        while len(self.results(name)) < trials:
            time.sleep(0.2)
        return time.monotonic() - start

    def write(self, name: str, yaml: str) -> None:
        (self.folder / f"{name}.yaml").write_text(f"name: {name}\n{yaml}")

    def root(self, name: str) -> Path:
        """Return the directory of a sweep."""
        return self.folder / "results" / name

    def results(self, name: str) -> list[dict[str, Any]]:
        """Return the results of the trials that have ended."""
        return [json.loads(path.read_bytes()) for path in sorted(self.root(name).glob("trials/*/result.json"))]

    def epochs_asked(self, name: str) -> int:
        return sum(result["epochs"] for result in self.results(name))

    def epochs_trained(self, name: str) -> int:
        """Return how many epochs all runs trained: each has one line of progress."""
        return sum(len(log.read_text().splitlines()) for log in self.root(name).glob("runs/*/progress-*.jsonl"))


def wait_for_empty_queue() -> None:
    """Wait until this user has no job in SLURM's queue."""
    while subprocess.run(["squeue", "--me", "-h"], check=True, capture_output=True).stdout:
        time.sleep(0.5)
