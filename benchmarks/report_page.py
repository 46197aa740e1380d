"""Measure how long `unetsweep report --format html` takes, and how large its page is.

`python -m benchmarks.report_page [TRIALS]` (default 200): writes a sweep of finished trials with progress, masks and 40
validation images of 512x512 in a temporary folder, then makes its page.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.timing import command_runner, is_within, medians, print_row, time_in_turns
from benchmarks.written_sweep import write_sweep
from unetsweep.datasets.sample import draw_sample

TRIALS, EPOCHS, SIZE, EYES = 200, 200, 512, 20
ROUNDS = 3
BUDGET_S, BUDGET_MB = 10.0, 8.0


def main() -> bool:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    with tempfile.TemporaryDirectory() as folder:
        images, root, page = Path(folder) / "images", Path(folder) / "many", Path(folder) / "page.html"
        draw_sample(images, SIZE, EYES, 1)
        write_sweep(root, images, trials, EPOCHS, pruned=range(1, trials, 3))
        command = (sys.executable, "-m", "unetsweep", "report", str(root), "--format", "html", "--output", str(page))
        seconds = medians(time_in_turns(ROUNDS, {"page": command_runner(*command)}))["page"]
        megabytes = page.stat().st_size / 1e6
    is_within_budget, speed = is_within(seconds, BUDGET_S)
    is_fast = print_row(
        f"`report --format html` over {trials} finished trials of {EPOCHS} epochs",
        f"{seconds:.1f} s (median of {ROUNDS}){speed}",
        f"{BUDGET_S:.0f} s",
        is_within_budget,
    )
    is_small = print_row("its page", f"{megabytes:.2f} MB", f"{BUDGET_MB:.0f} MB", megabytes <= BUDGET_MB)
    return is_fast and is_small


if __name__ == "__main__":
    sys.exit(not main())
