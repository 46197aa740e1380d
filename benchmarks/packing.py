"""Eight trainings in places for four: in one job each, packed four to a job, and each as four processes (DDP).

`python -m benchmarks.packing`: our trainer on sample images, on a SLURM that answers (`make slurm-up`). No budget.
What a job costs besides its training (its start in the queue, an interpreter, torch) is in it: a user pays it too.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.local_sweeps import Sweeps
from benchmarks.timing import line

SWEEP = """
data: {root: eyes, image_size: 64, split: {val: 0.25, groups: groups.csv}}
space: {epochs: [6], batch_size: [4], learning_rate: [1e-4, 2e-4, 4e-4, 8e-4, 1e-3, 2e-3, 4e-3, 8e-3]}
model: {base: 8, depth: 3, norm: none, padding: same}
"""
WAYS = {
    "one job each, four at once": "run: {parallel: 4}\nslurm: {mem: 1200M, time: 10m}\n",
    "packed four to a job": "run: {parallel: 4}\nslurm: {mem: 4800M, time: 10m, pack: 4}\n",
    "four processes (DDP) each, one at once": "run: {parallel: 1}\nslurm: {mem: 4800M, time: 10m, processes: 4}\n",
}


def main() -> bool:
    from unetsweep.schedulers.slurm.commands import available

    if not available():
        print("packing: no SLURM answers here, so this is left out; `make slurm-up` starts one", file=sys.stderr)
        return True
    with tempfile.TemporaryDirectory() as folder:
        sweeps, first = Sweeps(Path(folder)), 0.0
        sweeps.unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "8")
        for number, (way, settings) in enumerate(WAYS.items()):
            seconds = _run(sweeps, f"way-{number}", SWEEP + settings)
            first = first or seconds
            line(f"eight trainings, {way}", f"{seconds:.0f} s, {seconds / first:.2f} of the first", "none", True)
    return True


def _run(sweeps: Sweeps, name: str, yaml: str) -> float:
    """Seconds from the submission to the last result."""
    (sweeps.folder / f"{name}.yaml").write_text(f"name: {name}\n{yaml}")
    start = time.monotonic()
    sweeps.unetsweep("submit", f"{name}.yaml", "--executor", "slurm")
    while len(sweeps.results(name)) < 8:
        time.sleep(0.2)
    seconds = time.monotonic() - start
    states = {result["state"] for result in sweeps.results(name)}
    if states != {"complete"}:
        sys.exit(f"packing: {json.dumps(sweeps.results(name)[0], indent=1)}")
    while subprocess.run(["squeue", "--me", "-h"], check=True, capture_output=True).stdout:
        time.sleep(0.5)
    return seconds


if __name__ == "__main__":
    sys.exit(not main())
