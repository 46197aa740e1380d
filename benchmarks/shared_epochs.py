"""Compare a grid with shared runs and with one run for each trial: epochs that are trained, and rows that are equal.

`python -m benchmarks.shared_epochs`: runs the grid, with the epochs of sweeps/grid.yaml divided by 50, twice in
processes of this machine, on small sample images.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.sweep_folder import SweepFolder
from benchmarks.timing import print_row

GRID = """
data: {root: eyes, image_size: 32, split: {val: 0.5, groups: groups.csv}}
space: {epochs: [2, 4, 6, 8, 20], batch_size: [2, 4], learning_rate: [1e-4, 1e-3]}
model: {base: 4, depth: 2}
run: {parallel: 2}
"""
HALF = 0.5
VARYING = {"trial", "job_id", "seconds", "gpu_seconds", "peak_memory_mb", "host"}
"""Fields of a result that differ between any two trainings."""


def comparable_fields(result: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that two trainings of one config have in common."""
    return {name: value for name, value in result.items() if name not in VARYING}


def main() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        sweeps = SweepFolder(Path(folder))
        sweeps.unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "4")
        shared_s, alone_s = sweeps.run_locally("shared", GRID), sweeps.run_locally("alone", GRID, "--no-share")
        asked = sweeps.epochs_asked("shared")
        shared_epochs, all_epochs = sweeps.epochs_trained("shared"), sweeps.epochs_trained("alone")
        pairs = list(zip(sweeps.results("shared"), sweeps.results("alone"), strict=True))
    equal = sum(comparable_fields(one) == comparable_fields(other) for one, other in pairs)
    return print_row(
        "epochs trained for a grid like sweeps/grid.yaml (2, 4, 6, 8, 20 epochs, 2 batch sizes, 2 rates)",
        f"{shared_epochs} of {asked} ({shared_epochs / asked:.0%}); {all_epochs} with `--no-share`; {equal} of "
        f"{len(pairs)} rows equal to the bit; {shared_s:.0f} s against {alone_s:.0f} s",
        f"{HALF:.0%}, all rows equal",
        shared_epochs <= HALF * asked and equal == len(pairs),
    )


if __name__ == "__main__":
    sys.exit(not main())
