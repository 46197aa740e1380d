"""Compare eight trainings on four slots: one job each, packed four to a job, and four processes (DDP) each.

`python -m benchmarks.packing`: our trainer on sample images, on a SLURM that answers (`make slurm-up`). No budget.
The seconds include what a job costs besides its training (its start in the queue, an interpreter, torch), because a
user pays for that too.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.slurm_calls import is_slurm_available
from benchmarks.sweep_folder import SweepFolder, wait_for_empty_queue
from benchmarks.timing import print_row

TRIALS = 8
SWEEP = """
data: {root: eyes, image_size: 64, split: {val: 0.25, groups: groups.csv}}
space: {epochs: [6], batch_size: [4], learning_rate: [1e-4, 2e-4, 4e-4, 8e-4, 1e-3, 2e-3, 4e-3, 8e-3]}
model: {base: 8, depth: 3, norm: none, padding: same}
"""
LAYOUTS = {
    "one job each, four at once": "run: {parallel: 4}\nslurm: {mem: 1200M, time: 10m}\n",
    "packed four to a job": "run: {parallel: 4}\nslurm: {mem: 4800M, time: 10m, pack: 4}\n",
    "four processes (DDP) each, one at once": "run: {parallel: 1}\nslurm: {mem: 4800M, time: 10m, processes: 4}\n",
}


def main() -> bool:
    if not is_slurm_available("packing"):
        return True
    with tempfile.TemporaryDirectory() as folder:
        sweeps, first = SweepFolder(Path(folder)), 0.0
        sweeps.unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "8")
        for number, (layout, settings) in enumerate(LAYOUTS.items()):
            seconds = run_sweep(sweeps, f"layout-{number}", SWEEP + settings)
            first = first or seconds
            measured = f"{seconds:.0f} s, {seconds / first:.2f} of the first"
            print_row(f"eight trainings, {layout}", measured, "none", True)
    return True


def run_sweep(sweeps: SweepFolder, name: str, yaml: str) -> float:
    """Return the seconds from the submission to the last result, after the queue is empty again."""
    seconds = sweeps.run_on_slurm(name, yaml, TRIALS)
    results = sweeps.results(name)
    if {result["state"] for result in results} != {"complete"}:
        sys.exit(f"packing: a training failed: {json.dumps(results[0], indent=1)}")
    wait_for_empty_queue()
    return seconds


if __name__ == "__main__":
    sys.exit(not main())
