"""Measure how reconciliations scale: on real directories of 1,000 to 100,000 trials, and in a simulated sweep.

`python -m benchmarks.scale [TRIALS ...]` prints rows of a Markdown table: seconds and peak memory of a reconciliation
with nothing to do, of one that finds 100 ended trials, and of one that exports the study's journal when it is
large enough to lag. Each runs in a fresh process, on files, with a queue in memory.
`python -m benchmarks.scale simulated [TRIALS [SLOTS]]`: a whole sweep on a simulated clock, all of it in memory.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.scale_simulated import print_simulated_sweep
from benchmarks.scale_spec import EPOCHS, MAX_ARRAY_SIZE, make_spec
from unetsweep.clock import SystemClock, utc_now
from unetsweep.contract import DataConfig, Result, TrialConfig, encode
from unetsweep.core import paths
from unetsweep.core.actions import Element, FinishTrial, Submit
from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.space import Space
from unetsweep.core.spec import Resources
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.loop import reconcile
from unetsweep.search.study import JournalStudy
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import make_trial_file

SLOTS = 200
"""Trainings that are active when a reconciliation begins."""
ENDED = 100
"""How many of them have ended when the second reconciliation begins."""
TOKEN = "a" * 12
HEADING = "| what | trials | seconds | of that CPU | peak memory, MB |\n|---|---:|---:|---:|---:|"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one reconciliation took."""

    seconds: float
    cpu_seconds: float
    peak_memory_mb: float


def make_sweep(root: Path, trials: int) -> None:
    """Make a sweep that is half done: the last `SLOTS` trials are training, all before them are complete."""
    at = utc_now() - timedelta(hours=1)
    directory = SweepDir(root, lambda: at)
    directory.create("name: many\n", "slurm")
    for number in range(trials):
        config = TrialConfig(DataConfig("images"), EPOCHS, 4, 1e-3 + 1e-8 * number)
        folder = root / paths.trial_dir(number)
        folder.mkdir()
        _write(folder / paths.CONFIG, encode(config))
        _write(folder / paths.TRIAL, encode(make_trial_file(number, config, Space.unknown(), at)))
        if number < trials - SLOTS:  # without its run: no reconciliation opens the runs of ended trials
            _write(folder / paths.RESULT, encode(Result(trial=number, val_iou=0.5, epochs=EPOCHS)))
    elements = [Element(run, 1, ((run, EPOCHS),)) for run in range(trials - SLOTS, trials)]
    directory.create_attempts(elements, None, "slurm", TOKEN)
    directory.record_jobs(elements, [f"18808_{index}" for index in range(SLOTS)])
    for index, element in enumerate(elements):
        run = root / paths.run_dir(element.run)
        (run / "claims").mkdir()
        (run / "milestones").mkdir()
        _write(run / "claims" / "1-0", {"job_id": f"18808_{index}", "at": at.isoformat(), "node": "n1"})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps({"schema": 1, **content}))


class Queue:
    """A queue that lists the jobs of `make_sweep`, of which the first `ended` have ended."""

    kind, queues = "slurm", True

    def __init__(self, ended: int) -> None:
        self._ended, self._reconciler_jobs = ended, 0

    def max_elements(self) -> int:
        return MAX_ARRAY_SIZE

    def remaining_submissions(self, resources: Resources) -> int | None:
        return None

    def jobs(self, tokens: Collection[str]) -> Sequence[Job]:
        if TOKEN not in tokens:
            return []
        ended, running = (JobState.ENDED, "COMPLETED"), (JobState.RUNNING, "RUNNING")
        return [Job(f"18808_{k}", TOKEN, k, *(ended if k < self._ended else running)) for k in range(SLOTS)]

    def final_states(self, jobs: Mapping[str, str]) -> Mapping[str, tuple[JobState, str]]:
        return {}

    def state_in_log(self, log: str) -> tuple[JobState, str] | None:
        return None

    def set_throttle(self, job_id: str, throttle: int | None) -> None:
        raise AssertionError("no benchmark changes run.parallel")

    def submit_reconciler(self, request: ReconcilerRequest) -> str:
        self._reconciler_jobs += 1
        return str(self._reconciler_jobs)

    def submit(self, submission: Submission) -> Sequence[str]:
        raise AssertionError("there is nothing to submit")

    def cancel(self, job_ids: Collection[str]) -> None:
        raise AssertionError("there is nothing to cancel")

    def end(self, job_id: str) -> None:
        raise AssertionError("there is nothing to terminate")


def reconcile_once(root: Path, trials: int, ended: int) -> Cost:
    """Reconcile in this process, after so many trainings have ended, and return what it took."""
    for number in range(trials - SLOTS, trials - SLOTS + ended):
        milestone = {"state": "complete", "val_iou": 0.6}
        _write(root / paths.run_dir(number) / "milestones" / f"{EPOCHS}.json", milestone)
    context = SweepContext(
        make_spec(trials, SLOTS),
        SweepDir(root),
        Queue(ended),
        JournalStudy(root / paths.STUDY),
        SystemClock(),
        ReconcilerJobs(root),
        _no_submission,
        lambda token, sent: ReconcilerRequest(token, "many", root, Resources(), sent.after, sent.delay_s),
    )
    begin, cpu = time.perf_counter(), time.process_time()
    reconciliation = reconcile(context)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    finished = sum(isinstance(action, FinishTrial) for action in reconciliation.done)
    assert finished == ended, f"{finished} of {ended} ended trials were finished"
    return Cost(seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _no_submission(token: str, action: Submit) -> Submission:
    raise AssertionError("there is nothing to submit")


def measure(root: Path, trials: int, ended: int) -> Cost:
    """Reconcile in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.scale", "--reconcile", str(root), str(trials), str(ended)]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(**json.loads(process.stdout))


def print_row(what: str, trials: int, cost: Cost) -> None:
    numbers = f"{cost.seconds:.2f} | {cost.cpu_seconds:.2f} | {cost.peak_memory_mb:.0f}"
    print(f"| {what} | {trials:,} | {numbers} |", flush=True)


def print_reconciliations(trials: int) -> None:
    """Print the rows of a sweep on files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "many"
        begin = time.perf_counter()
        make_sweep(root, trials)
        print(f"made {trials} trials in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
        study = JournalStudy(root / paths.STUDY)
        study.mark_stale()
        measure(root, trials, 0)  # writes the study's journal, as earlier reconciliations would have
        print_row("a reconciliation with nothing to do", trials, measure(root, trials, 0))
        print_row(f"a reconciliation that finds {ENDED} ended trials", trials, measure(root, trials, ENDED))
        if study.is_stale():
            os.utime(root / paths.STUDY, (0, 0))
            print_row("a reconciliation that exports the study's journal", trials, measure(root, trials, 0))


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["--reconcile", root, trials, ended]:
            print(json.dumps(asdict(reconcile_once(Path(root), int(trials), int(ended)))))
        case ["simulated", *sizes]:
            print_simulated_sweep(*(int(size) for size in sizes))
        case _:
            print(HEADING, flush=True)
            for size in arguments or ("1000", "10000", "100000"):
                print_reconciliations(int(size))


if __name__ == "__main__":
    main(sys.argv[1:])
