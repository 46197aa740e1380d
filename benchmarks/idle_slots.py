"""Measure what share of its slots an adaptive search leaves idle while trials wait, with trials of 30 to 120 s.

`python -m benchmarks.idle_slots [TRIALS] [SCALE]` (default 16 and 1): TPE on 4 slots of a SLURM that answers (`make
slurm-up`). The trials only sleep. The share that has a budget comes from the times of the sweep's files. A second share
comes from the times that the trials log; there, a job's start and end in SLURM count as idle too.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.idle_share import AttemptSpan, idle_share, read_attempt_spans
from benchmarks.slurm_calls import is_slurm_available
from benchmarks.sweep_folder import SweepFolder, wait_for_empty_queue
from benchmarks.timing import print_row

SLOTS = 4
BUDGET = 0.05
SWEEP = """\
space: {{epochs: [1], batch_size: [1], learning_rate: {{low: 1e-4, high: 1, log: true}}}}
study: {{sampler: tpe, trials: {trials}, seed: 0}}
trainer: {{command: "/bin/sh {folder}/trainer.sh {{out}} {{config}}"}}
run: {{parallel: {slots}}}
slurm: {{mem: 200M, time: 10m}}
"""
TRAINER = """\
set -- "$1" {lengths}
out=$1; shift $((1$(basename "$out") - 10000 + 1))
echo "$(date +%s.%N) begin" >>{folder}/log; sleep "$1"; echo "$(date +%s.%N) end" >>{folder}/log
echo '{{"val_iou": 0.5}}' >"$out/result.json"
"""
"""The number of the run chooses its length."""


def read_times(log: Path, event: str) -> list[float]:
    """Return the times of an event in a log, in order."""
    rows = [row.split() for row in log.read_text().splitlines()] if log.exists() else []
    return sorted(float(row[0]) for row in rows if row[1] == event)


def main() -> bool:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    scale = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    if not is_slurm_available("idle_slots"):
        return True
    draw = random.Random(0)  # noqa: S311
    lengths = [scale * draw.uniform(30, 120) for _ in range(trials)]
    with tempfile.TemporaryDirectory() as folder:
        sweeps = SweepFolder(Path(folder))
        trainer = TRAINER.format(folder=folder, lengths=" ".join(f"{length:.2f}" for length in lengths))
        (sweeps.folder / "trainer.sh").write_text(trainer)
        submitted = time.time()
        sweeps.run_on_slurm("idle", SWEEP.format(folder=folder, trials=trials, slots=SLOTS), trials)
        share = idle_share(SLOTS, trials, *read_attempt_spans(sweeps.root("idle"), time.time())) or 0.0
        wait_for_empty_queue()
        begins, ends = (read_times(sweeps.folder / "log", event) for event in ("begin", "end"))
    spans = [AttemptSpan(submitted, submitted), *map(AttemptSpan, begins, ends)]
    logged_share = idle_share(SLOTS, trials, spans, ends) or 0.0
    return print_row(
        f"slots idle while trials wait (TPE, {trials} trials of {min(lengths):.0f} to {max(lengths):.0f} s on "
        f"{SLOTS} slots)",
        f"{share:.1%}; {logged_share:.1%} with the jobs' own start and end; {ends[-1] - submitted:.0f} s, at least "
        f"{sum(lengths) / SLOTS:.0f}",
        f"{BUDGET:.0%}",
        share < BUDGET,
    )


if __name__ == "__main__":
    sys.exit(not main())
