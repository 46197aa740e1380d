"""What it takes to submit a thousand trials of a trivial trainer, and a reconciliation over them with nothing to do.

`python -m benchmarks.submit_many [TRIALS]` (1000). Needs a SLURM that answers (`make slurm-up`);
its jobs wait until tomorrow, so that none of them runs beside the measurement, and are cancelled at the end.
The sweep lies where TMPDIR says, and in a second row, which no budget holds for, in memory: some file systems take
longer over a thousand new files than all else takes.
"""

import json
import resource
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import Counted
from benchmarks.timing import line

ROUNDS = 5
SUBMIT_MS = 3.0
RECONCILE_S = 1.0
MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it

SWEEP = """\
name: many
data: {{root: {folder}}}
space: {{epochs: [1], batch_size: [1], learning_rate: [{rates}]}}
trainer: {{command: "/bin/sh {folder}/trainer.sh {{config}} {{out}}"}}
slurm: {{gpus: 0, mem: 10M, time: 1m, sbatch: {{begin: now+1day}}}}
"""

OPENED = """\
import sys
from unetsweep.cli.main import program
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
program(sys.argv[1:], standalone_mode=False)
print("opened", *sorted({name for name in opened if "/trials/" in name or name.endswith("study.journal")}))
"""
"""Runs a command and prints which files of trials, and whether the study, were opened."""


@dataclass(frozen=True, slots=True)
class Place:
    """A temporary folder with the sweep's file, and SLURM commands that count their calls."""

    folder: Path

    @property
    def counted(self) -> Counted:
        return Counted(self.folder / "bin")

    def make(self, trials: int) -> None:
        rates = ", ".join(f"{0.001 + number * 1e-6:.6f}" for number in range(trials))
        (self.folder / "many.yaml").write_text(SWEEP.format(folder=self.folder, rates=rates))
        (self.folder / "trainer.sh").write_text('echo \'{"val_iou": 0.5}\' > "$2/result.json"\n')
        self.counted.make()

    def unetsweep(self, *arguments: str, code: str | None = None) -> tuple[str, float, Mapping[str, int]]:
        """Standard output, seconds, and calls of each counted command; `code`: Python to run it in."""
        done = self.counted.run([sys.executable, *(["-c", code] if code else ["-m", "unetsweep"]), *arguments])
        return done.stdout, done.seconds, done.calls


def dry_run(place: Place, submit: tuple[str, ...], trials: int) -> bool:
    text, seconds, calls = place.unetsweep(*submit, "--dry-run", "--json")
    plan = json.loads(text)
    return line(
        f"`submit --dry-run` of {trials} trials",
        f"{seconds:.2f} s, {plan['arrays']} array of {plan['jobs']} jobs; {calls['sbatch']} sbatch calls",
        "one array, no call",
        (plan["arrays"], plan["jobs"], calls["sbatch"]) == (1, trials, 0),
    )


def real(place: Place, submit: tuple[str, ...], trials: int, *, in_memory: bool = False) -> bool:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, seconds, calls = place.unetsweep(*submit)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    each = 1000 * seconds / trials
    reconcilers = len(list((place.folder / "results/many/reconcilers").glob("*.job.json")))
    return line(
        f"`submit` of {trials} trials (whole command){', files in memory' if in_memory else ''}",
        f"{each:.2f} ms a trial (CPU: {1000 * own / trials:.2f} own, {1000 * system / trials:.2f} the kernel's); "
        f"sbatch calls: {calls['sbatch'] - reconcilers} for them, {reconcilers} for the reconciler job",
        "none" if in_memory else f"{SUBMIT_MS:.0f} ms, 1 call for them",
        in_memory or (each <= SUBMIT_MS and calls["sbatch"] - reconcilers == 1),
    )


def idle(place: Place, submit: tuple[str, ...], what: str, squeues: int) -> bool:
    """A reconciliation with nothing to do; at most `squeues` questions to the scheduler."""
    rounds = [place.unetsweep(*submit) for _ in range(ROUNDS)]
    seconds = statistics.median(seconds for _, seconds, _ in rounds)
    asked, sent = (max(calls[name] for _, _, calls in rounds) for name in ("squeue", "sbatch"))
    return line(
        f"a reconciliation over {what} with nothing to do",
        f"{seconds:.2f} s (median of {ROUNDS}), {asked} squeue and {sent} sbatch calls",
        f"{RECONCILE_S:.0f} s, {squeues} and 0",
        seconds <= RECONCILE_S and asked <= squeues and sent == 0,
    )


def ended(place: Place, submit: tuple[str, ...], trials: int) -> bool:
    """The same when all have results: what is ended is not opened again."""
    from unetsweep.atomic import link_all
    from unetsweep.contract import Result, encode
    from unetsweep.core import paths

    root = place.folder / "results" / "many"
    result = encode(Result(val_iou=0.5))
    link_all([(root / paths.trial_dir(number) / paths.RESULT, result) for number in range(trials)])
    kept = idle(place, submit, f"{trials} ended trials", 0)
    text, _, _ = place.unetsweep(*submit, code=OPENED)
    (opened,) = [row.split()[1:] for row in text.splitlines() if row.startswith("opened")]
    words = f"{len(opened)} ({opened[0]})" if opened else "0"
    return kept & line(f"files of {trials} ended trials, or the study, opened by it", words, "0", not opened)


def main() -> bool:
    from unetsweep.schedulers.slurm.commands import available

    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    if not available():
        print("submit_many: no SLURM answers here, so this is left out; `make slurm-up` starts one", file=sys.stderr)
        return True
    with tempfile.TemporaryDirectory() as folder:
        place, submit = made(Path(folder), trials)
        kept = dry_run(place, submit, trials) & real(place, submit, trials)
        try:
            kept &= idle(place, submit, f"{trials} waiting trials", 1)
        finally:
            place.unetsweep("cancel", "many", *submit[-2:])
        kept &= ended(place, submit, trials)
    if Path(MEMORY).is_dir():
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            place, submit = made(Path(folder), trials)
            real(place, submit, trials, in_memory=True)
            place.unetsweep("cancel", "many", *submit[-2:])
    return kept


def made(folder: Path, trials: int) -> tuple[Place, tuple[str, ...]]:
    """The place, and the command that submits its sweep."""
    place = Place(folder)
    place.make(trials)
    return place, ("submit", f"{folder}/many.yaml", "--executor", "slurm", "--results", f"{folder}/results")


if __name__ == "__main__":
    sys.exit(not main())
