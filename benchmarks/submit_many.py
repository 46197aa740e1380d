"""Measure submitting a thousand trials of a trivial trainer, and a reconciliation over them with nothing to do.

`python -m benchmarks.submit_many [TRIALS]` (default 1000). Needs a SLURM that answers (`make slurm-up`). The jobs would
begin tomorrow, so none of them runs during the measurement; they are cancelled at the end. The sweep is in the folder
that TMPDIR names. `submit` is measured with the sweep in memory too, because some file systems take longer for a
thousand new files than everything else together. So another row shows how long plain Python takes there for the same
folders and files.
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.slurm_calls import CallCounter, is_slurm_available
from benchmarks.timing import is_within, print_row
from unetsweep.atomic import link_all
from unetsweep.contract import Result, encode
from unetsweep.core import paths

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

PRINT_OPENED = """\
import sys
from unetsweep.cli.main import program
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
try:
    program(sys.argv[1:], standalone_mode=False)
except SystemExit as ended:
    assert not ended.code, ended
print("opened", *sorted({name for name in opened if "/trials/" in name or name.endswith("study.journal")}))
"""
"""Runs a command and prints which files of trials, and whether the study, it opened."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with the sweep's file, and SLURM commands that count their calls."""

    folder: Path
    trials: int

    @property
    def root(self) -> Path:
        """The sweep's directory."""
        return self.folder / "results" / "many"

    def make(self) -> None:
        rates = ", ".join(f"{0.001 + number * 1e-6:.6f}" for number in range(self.trials))
        (self.folder / "many.yaml").write_text(SWEEP.format(folder=self.folder, rates=rates))
        (self.folder / "trainer.sh").write_text('echo \'{"val_iou": 0.5}\' > "$2/result.json"\n')
        self._counter.install()

    def submit(self, *options: str, code: str | None = None) -> tuple[str, float, Mapping[str, int]]:
        """Submit the sweep; return standard output, seconds and calls of SLURM's commands. `code`: Python to run it."""
        file = f"{self.folder}/many.yaml"
        return self._run(["submit", file, "--executor", "slurm", *self._results, *options], code)

    def cancel(self) -> None:
        self._run(["cancel", "many", *self._results])

    def _run(self, arguments: list[str], code: str | None = None) -> tuple[str, float, Mapping[str, int]]:
        completed = self._counter.run([sys.executable, *(["-c", code] if code else ["-m", "unetsweep"]), *arguments])
        return completed.stdout, completed.seconds, completed.calls

    @property
    def _counter(self) -> CallCounter:
        return CallCounter(self.folder / "bin")

    @property
    def _results(self) -> tuple[str, str]:
        return ("--results", f"{self.folder}/results")


def measure_dry_run(workspace: Workspace) -> bool:
    text, seconds, calls = workspace.submit("--dry-run", "--json")
    plan = json.loads(text)
    return print_row(
        f"`submit --dry-run` of {workspace.trials} trials",
        f"{seconds:.2f} s, {plan['arrays']} array of {plan['jobs']} jobs; {calls['sbatch']} sbatch calls",
        "one array, no call",
        (plan["arrays"], plan["jobs"], calls["sbatch"]) == (1, workspace.trials, 0),
    )


def measure_submit(workspace: Workspace, *, in_memory: bool = False) -> bool:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, seconds, calls = workspace.submit()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = (
        1000 * (getattr(after, name) - getattr(before, name)) / workspace.trials for name in ("ru_utime", "ru_stime")
    )
    each = 1000 * seconds / workspace.trials
    is_fast, speed = is_within(each, SUBMIT_MS)
    reconcilers = len(list((workspace.root / "reconcilers").glob("*.job.json")))
    return print_row(
        f"`submit` of {workspace.trials} trials (whole command){', files in memory' if in_memory else ''}",
        f"{each:.2f} ms a trial (CPU: {user:.2f} user, {system:.2f} system); "
        f"sbatch calls: {calls['sbatch'] - reconcilers} for them, {reconcilers} for the reconciler job{speed}",
        f"{SUBMIT_MS:.0f} ms, 1 call for them",
        is_fast and calls["sbatch"] - reconcilers == 1,
    )


def measure_plain_files(workspace: Workspace) -> bool:
    """Measure how long the file system takes for the files of the trials, each flushed, without unetsweep."""
    files = [
        (workspace.folder / "plain" / path.relative_to(workspace.root), path.read_bytes())
        for part in (paths.TRIALS, paths.RUNS)
        for path in sorted((workspace.root / part).rglob("*"))
        if path.is_file()
    ]
    begin = time.perf_counter()
    for path, content in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    each = 1000 * (time.perf_counter() - begin) / workspace.trials
    return print_row(
        f"writing and flushing the same {len(files)} files one after the other, without unetsweep",
        f"{each:.2f} ms a trial",
        "none",
        is_met=True,
    )


def measure_reconciliation(workspace: Workspace, trials: str, max_squeue_calls: int) -> bool:
    """Measure a reconciliation with nothing to do."""
    rounds = [workspace.submit() for _ in range(ROUNDS)]
    seconds = statistics.median(seconds for _, seconds, _ in rounds)
    is_fast, speed = is_within(seconds, RECONCILE_S)
    squeue, sbatch = (max(calls[name] for _, _, calls in rounds) for name in ("squeue", "sbatch"))
    return print_row(
        f"a reconciliation over {workspace.trials} {trials} trials with nothing to do",
        f"{seconds:.2f} s (median of {ROUNDS}), {squeue} squeue and {sbatch} sbatch calls{speed}",
        f"{RECONCILE_S:.0f} s, {max_squeue_calls} and 0",
        is_fast and squeue <= max_squeue_calls and sbatch == 0,
    )


def measure_ended_trials(workspace: Workspace) -> bool:
    """Measure the same once all trials have results, and check that no file of an ended trial is opened."""
    result = encode(Result(val_iou=0.5))
    trials = range(workspace.trials)
    link_all([(workspace.root / paths.trial_dir(number) / paths.RESULT, result) for number in trials])
    is_met = measure_reconciliation(workspace, "ended", 0)
    text, _, _ = workspace.submit(code=PRINT_OPENED)
    (opened,) = [row.split()[1:] for row in text.splitlines() if row.startswith("opened")]
    count = f"{len(opened)} ({opened[0]})" if opened else "0"
    what = f"files of {workspace.trials} ended trials, or the study, opened by it"
    return is_met & print_row(what, count, "0", not opened)


def main() -> bool:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    if not is_slurm_available("submit_many"):
        return True
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder), trials)
        workspace.make()
        is_met = measure_dry_run(workspace) & measure_submit(workspace) & measure_plain_files(workspace)
        try:
            is_met &= measure_reconciliation(workspace, "waiting", 1)
        finally:
            workspace.cancel()
        is_met &= measure_ended_trials(workspace)
    if Path(MEMORY).is_dir():
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            workspace = Workspace(Path(folder), trials)
            workspace.make()
            is_met &= measure_submit(workspace, in_memory=True)
            workspace.cancel()
    return is_met


if __name__ == "__main__":
    sys.exit(not main())
