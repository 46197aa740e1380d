"""The work by `submitit.map_array`, in its own environment.

`python map_array.py WHAT FOLDER LOG SCALE THROTTLE [BEGIN]`: WHAT is `count` (the grid of `peers.EPOCHS`, `BATCHES` and
`RATES`) or a number of trials.
"""

import random
import sys
from itertools import product

import submitit

from benchmarks.peers import work


def main(what: str, folder: str, log: str, scale: str, throttle: str, begin: str = "") -> None:
    executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
    executor.update_parameters(timeout_min=5, slurm_mem="200M", slurm_array_parallelism=int(throttle))
    if begin:
        executor.update_parameters(slurm_additional_parameters={"begin": begin})
    if what == "count":
        epochs = [each for each, _, _ in product((100, 200, 300, 400, 1000), (2, 4), (1e-4, 1e-3))]
        executor.map_array(work.count, [log] * len(epochs), epochs)
        return
    draw, count = random.Random(0), int(what)  # noqa: S311
    lengths = [work.lengths(float(scale))[number % work.TRIALS] for number in range(count)]
    executor.map_array(work.run_trial, [log] * count, lengths, [10 ** draw.uniform(-4, 0) for _ in range(count)])


if __name__ == "__main__":
    main(*sys.argv[1:])
