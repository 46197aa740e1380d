"""Measure how long `unetsweep data check` takes on one core, over as many images as the 100-image data set has.

`python -m benchmarks.data_check [EYES]` (default 20): draws 4 x EYES training images and EYES test images of 512x512 in
a temporary folder and checks them without the cache, in a process that is bound to one core if the system can do that.
There is nothing to compare with, so the budget is in seconds.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import command_runner, is_within, medians, print_row, time_in_turns
from unetsweep.datasets.sample import draw_sample

ROUNDS = 3
BUDGET_S = 10.0
SIZE = 512


def main() -> bool:
    eyes = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "sample"
        draw_sample(root, size=SIZE, eyes=eyes, test_eyes=eyes)
        check = command_runner(sys.executable, "-m", "unetsweep", "data", "check", str(root), "--no-cache")
        with one_core():
            seconds = medians(time_in_turns(ROUNDS, {"check": check}))["check"]
    is_met, speed = is_within(seconds, BUDGET_S)
    return print_row(
        f"`unetsweep data check` over {5 * eyes} images of {SIZE}x{SIZE}, one core",
        f"{seconds:.1f} s (median of {ROUNDS}){speed}",
        f"{BUDGET_S:.0f} s",
        is_met,
    )


@contextmanager
def one_core() -> Iterator[None]:
    """Bind this process, and the children that it starts, to the first core that it may use."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


if __name__ == "__main__":
    sys.exit(not main())
