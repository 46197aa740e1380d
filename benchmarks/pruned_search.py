"""Compare a grid of 24 trials with and without shared runs, each with and without pruning: epochs, best IoU.

`python -m benchmarks.pruned_search`: in processes of this machine, on sample images. No budget: it shows what each
saves and what it costs in val_IoU. Which trials are pruned depends on how far each training is when a reconciliation
observes it, so the numbers differ a little from run to run.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.sweep_folder import SweepFolder
from benchmarks.timing import print_row

SPACE = """
data: {root: eyes, image_size: 128, split: {val: 0.25, groups: groups.csv}}
space: {epochs: [9, 18, 27], batch_size: [2, 4], learning_rate: [1e-4, 1e-3, 1e-2, 3e-2]}
model: {base: 8, depth: 3, norm: batch, padding: same}
run: {parallel: 2, reconcile_interval: 5}
"""
PRUNED = "study: {sampler: grid, pruner: {name: asha, min_epochs: 3, reduction_factor: 3}}\n"
PLAIN = "study: {sampler: grid}\n"
VARIANTS = {
    "neither": (PLAIN, ["--no-share"]),
    "shared": (PLAIN, []),
    "pruned (ASHA)": (PRUNED, ["--no-share"]),
    "shared and pruned": (PRUNED, []),
}


def main() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        sweeps, all_epochs = SweepFolder(Path(folder)), 0
        sweeps.unetsweep("data", "sample", "eyes", "--size", "128", "--eyes", "8")
        for number, (variant, (study, options)) in enumerate(VARIANTS.items()):
            name = f"variant-{number}"
            seconds = sweeps.run_locally(name, SPACE + study, *options)
            results, trained = sweeps.results(name), sweeps.epochs_trained(name)
            all_epochs = all_epochs or trained
            best = max(result["val_iou"] for result in results if result["val_iou"] is not None)
            pruned = sum(result["state"] == "pruned" for result in results)
            print_row(
                f"a grid of {len(results)} trials, {variant}",
                f"{trained} epochs ({trained / all_epochs:.0%}), {pruned} pruned, best val_IoU {best:.4f}, "
                f"{seconds:.0f} s",
                "none",
                True,
            )
    return True


if __name__ == "__main__":
    sys.exit(not main())
