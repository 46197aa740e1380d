"""How long `unetsweep data check` takes over the 100-image set's number and size of images, on one core.

`python -m benchmarks.data_check [EYES]` (20): draws four times as many training images as eyes, and as many test images
as eyes, 512x512, in a temporary folder; then checks them, each time as if for the first time, each a process that is
kept on one core where the system can do that. Two things are compared nowhere, so this one counts seconds.
"""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import in_turns, line, medians, process

ROUNDS = 3
BUDGET_S = 10.0
SIZE = 512


def main() -> bool:
    from unetsweep.datasets.sample import draw_sample

    eyes = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "sample"
        draw_sample(root, size=SIZE, eyes=eyes, test_eyes=eyes)
        check = process(sys.executable, "-m", "benchmarks.data_check", "--check", str(root))
        took = medians(in_turns(ROUNDS, {"check": check}))["check"]
    return line(
        f"`unetsweep data check` over {5 * eyes} images of {SIZE}x{SIZE}, one core",
        f"{took:.1f} s (median of {ROUNDS})",
        f"{BUDGET_S:.0f} s",
        took <= BUDGET_S,
    )


def check(root: str) -> None:
    """The command, on the first core that this process may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.execv(sys.executable, [sys.executable, "-m", "unetsweep", "data", "check", root, "--no-cache"])  # noqa: S606


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2])
    else:
        sys.exit(not main())
