"""A search of 24 trials with neither shared trainings nor pruning, with the one, and with both: epochs and best IoU.

`python -m benchmarks.pruned_search`: three times the same points (a random sampler with one seed, so that what is
pruned changes no later point), on this machine's processes and sample images. No budget: it shows what each saves.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.local_sweeps import Sweeps
from benchmarks.timing import line

SPACE = """
data: {root: eyes, image_size: 64, split: {val: 0.25, groups: groups.csv}}
space: {epochs: [3, 9, 27], batch_size: [2, 4], learning_rate: [1e-4, 1e-3, 1e-2, 3e-2]}
model: {base: 4, depth: 2, norm: batch, padding: same}
run: {parallel: 2, beat: 2}
"""
PRUNER = "study: {sampler: random, trials: 24, seed: 0, pruner: {name: asha, min_resource: 3, reduction_factor: 3}}\n"
PLAIN = "study: {sampler: random, trials: 24, seed: 0}\n"
WAYS = {
    "neither": (PLAIN, ["--no-share"]),
    "shared": (PLAIN, []),
    "pruned (ASHA)": (PRUNER, ["--no-share"]),
    "shared and pruned": (PRUNER, []),
}


def main() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        sweeps, all_of_them = Sweeps(Path(folder)), 0
        sweeps.unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "8")
        for number, (way, (study, options)) in enumerate(WAYS.items()):
            name = f"way-{number}"
            seconds = sweeps.run(name, SPACE + study, *options)
            results, trained = sweeps.results(name), sweeps.epochs_trained(name)
            all_of_them = all_of_them or trained
            best = max(result["val_iou"] for result in results if result["val_iou"] is not None)
            pruned = sum(result["state"] == "pruned" for result in results)
            line(
                f"a search of {len(results)} trials, {way}",
                f"{trained} epochs ({trained / all_of_them:.0%}), {pruned} pruned, best val_IoU {best:.4f}, "
                f"{seconds:.0f} s",
                "none",
                True,
            )
    return True


if __name__ == "__main__":
    sys.exit(not main())
