"""What share of its slots an adaptive search leaves idle while trials wait, with trials that last 30 to 120 s.

`python -m benchmarks.idle_slots [TRIALS] [SCALE]` (16, 1): TPE on 4 slots of a SLURM that answers (`make slurm-up`).
The trials only sleep. The share is that of `unetsweep status`, from the times of the sweep's files; beside it the share
by the trials' own words, in which a job's start and end in SLURM are idle time too.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.local_sweeps import Sweeps
from benchmarks.timing import line
from unetsweep.core.idle import Spell, idle_share

SLOTS = 4
BUDGET = 0.05
SWEEP = """\
name: idle
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
"""The run's number is that of its length."""


def times(log: Path, word: str) -> list[float]:
    rows = [row.split() for row in log.read_text().splitlines()] if log.exists() else []
    return sorted(float(row[0]) for row in rows if row[1] == word)


def main() -> bool:
    from unetsweep.schedulers.slurm.commands import available

    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    scale = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    if not available():
        print("idle_slots: no SLURM answers here, so this is left out; `make slurm-up` starts one", file=sys.stderr)
        return True
    drawn = random.Random(0)  # noqa: S311
    lengths = [scale * drawn.uniform(30, 120) for _ in range(trials)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        about = {"folder": folder, "trials": len(lengths), "slots": SLOTS}
        (folder / "idle.yaml").write_text(SWEEP.format(**about))
        shown = " ".join(f"{length:.2f}" for length in lengths)
        (folder / "trainer.sh").write_text(TRAINER.format(**about, lengths=shown))
        at = time.time()
        sweeps = Sweeps(folder)
        sweeps.unetsweep("submit", "idle.yaml", "--executor", "slurm")
        log = folder / "log"
        while len(times(log, "end")) < len(lengths):
            time.sleep(1)
        while len(list(folder.glob("results/idle/trials/*/result.json"))) < len(lengths):
            time.sleep(1)
        told = sweeps.unetsweep("status", "--json")
        while subprocess.run(["squeue", "--me", "-h"], check=True, capture_output=True).stdout:
            time.sleep(1)
        begins, ends = times(log, "begin"), times(log, "end")
    share = float(json.loads(told)["idle_share"])
    spells = [Spell(at, at), *(Spell(begin, end) for begin, end in zip(begins, ends, strict=True))]
    by_words = idle_share(SLOTS, len(lengths), spells, ends) or 0.0
    return line(
        f"slots idle while trials wait (TPE, {len(lengths)} trials of {min(lengths):.0f} to {max(lengths):.0f} s on "
        f"{SLOTS} slots)",
        f"{share:.1%}; {by_words:.1%} with the jobs' own start and end; {ends[-1] - at:.0f} s, at least "
        f"{sum(lengths) / SLOTS:.0f}",
        f"{BUDGET:.0%}",
        share < BUDGET,
    )


if __name__ == "__main__":
    sys.exit(not main())
