"""A grid of 24 trials with neither shared trainings nor pruning, with the one, the other, and both: epochs, best IoU.

`python -m benchmarks.pruned_search`: on this machine's processes and sample images. No budget: it shows what each
saves, and what it costs in val_IoU. Which trials are pruned depends on who is how far when a reconciliation looks, so
it differs a little from run to run.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.local_sweeps import Sweeps
from benchmarks.timing import line

SPACE = """
data: {root: eyes, image_size: 128, split: {val: 0.25, groups: groups.csv}}
space: {epochs: [9, 18, 27], batch_size: [2, 4], learning_rate: [1e-4, 1e-3, 1e-2, 3e-2]}
model: {base: 8, depth: 3, norm: batch, padding: same}
run: {parallel: 2, reconcile_interval: 5}
"""
PRUNER = "study: {sampler: grid, pruner: {name: asha, min_epochs: 3, reduction_factor: 3}}\n"
PLAIN = "study: {sampler: grid}\n"
WAYS = {
    "neither": (PLAIN, ["--no-share"]),
    "shared": (PLAIN, []),
    "pruned (ASHA)": (PRUNER, ["--no-share"]),
    "shared and pruned": (PRUNER, []),
}


def main() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        sweeps, all_of_them = Sweeps(Path(folder)), 0
        sweeps.unetsweep("data", "sample", "eyes", "--size", "128", "--eyes", "8")
        for number, (way, (study, options)) in enumerate(WAYS.items()):
            name = f"way-{number}"
            seconds = sweeps.run(name, SPACE + study, *options)
            results, trained = sweeps.results(name), sweeps.epochs_trained(name)
            all_of_them = all_of_them or trained
            best = max(result["val_iou"] for result in results if result["val_iou"] is not None)
            pruned = sum(result["state"] == "pruned" for result in results)
            line(
                f"a grid of {len(results)} trials, {way}",
                f"{trained} epochs ({trained / all_of_them:.0%}), {pruned} pruned, best val_IoU {best:.4f}, "
                f"{seconds:.0f} s",
                "none",
                True,
            )
    return True


if __name__ == "__main__":
    sys.exit(not main())
