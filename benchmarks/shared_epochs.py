"""The docs' grid, epochs scaled down by 50, with trainings shared and with each trial's own: epochs, and every row.

`python -m benchmarks.shared_epochs`: twice on this machine's processes, on small sample images.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.local_sweeps import Sweeps
from benchmarks.timing import line

GRID = """
data: {root: eyes, image_size: 32, split: {val: 0.5, groups: groups.csv}}
space: {epochs: [2, 4, 6, 8, 20], batch_size: [2, 4], learning_rate: [1e-4, 1e-3]}
model: {base: 4, depth: 2}
run: {parallel: 2}
"""
HALF = 0.5
VARYING = {"trial", "job_id", "seconds", "gpu_seconds", "peak_memory_mb", "host"}
"""What no two trainings have in common."""


def row(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in VARYING}


def main() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        sweeps = Sweeps(Path(folder))
        sweeps.unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "4")
        shared, alone = sweeps.run("shared", GRID), sweeps.run("alone", GRID, "--no-share")
        asked = sweeps.epochs_asked("shared")
        trained, all_of_them = sweeps.epochs_trained("shared"), sweeps.epochs_trained("alone")
        pairs = list(zip(sweeps.results("shared"), sweeps.results("alone"), strict=True))
    equal = sum(row(one) == row(other) for one, other in pairs)
    return line(
        "epochs trained for the docs' grid (2, 4, 6, 8, 20 epochs, 2 batch sizes, 2 rates)",
        f"{trained} of {asked} ({trained / asked:.0%}); {all_of_them} with `--no-share`; {equal} of {len(pairs)} rows "
        f"equal to the bit; {shared:.0f} s against {alone:.0f} s",
        f"{HALF:.0%}, all rows equal",
        trained <= HALF * asked and equal == len(pairs),
    )


if __name__ == "__main__":
    sys.exit(not main())
