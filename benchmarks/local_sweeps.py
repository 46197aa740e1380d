"""Sweeps on this machine for the benchmarks: written, run to their end, and counted."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Sweeps:
    """A temporary folder with sample images and sweeps."""

    folder: Path

    def unetsweep(self, *words: str) -> str:
        """Standard output; the benchmark ends with the command's words where it fails."""
        command = [sys.executable, "-m", "unetsweep", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        if done.returncode:
            sys.exit(f"unetsweep {' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def run(self, name: str, yaml: str, *options: str) -> float:
        """Submit it and wait for its end; seconds."""
        (self.folder / f"{name}.yaml").write_text(f"name: {name}\n{yaml}")
        start = time.monotonic()
        self.unetsweep("submit", f"{name}.yaml", "--executor", "local", "--watch", *options)
        return time.monotonic() - start

    def results(self, name: str) -> list[dict[str, Any]]:
        paths = sorted((self.folder / "results" / name / "trials").glob("*/result.json"))
        return [json.loads(path.read_bytes()) for path in paths]

    def epochs_asked(self, name: str) -> int:
        return sum(result["epochs"] for result in self.results(name))

    def epochs_trained(self, name: str) -> int:
        """Lines of progress: one an epoch, whichever run trained it."""
        logs = (self.folder / "results" / name / "runs").glob("*/progress-*.jsonl")
        return sum(len(log.read_text().splitlines()) for log in logs)
