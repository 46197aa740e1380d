"""How passes scale: real directories of 1,000 to 100,000 trials, and a simulated sweep.

`python -m benchmarks.scale [TRIALS ...]` prints rows of a Markdown table: seconds and peak memory of a reconciliation
with nothing to do, of one that finds 100 endings, and of one that brings the study's journal up to date where that is
so large that it may lag; each in a fresh process, on files, with a queue in memory.
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
from datetime import timedelta
from pathlib import Path
from typing import Any

SLOTS, ENDINGS = 200, 100
"""Trainings at once, all of them at work when a reconciliation begins; and how many have ended when another does."""
HEADING = "| what | trials | seconds | of that CPU | peak memory, MB |\n|---|---:|---:|---:|---:|"


def make(root: Path, trials: int) -> None:
    """A sweep in its middle: the last `SLOTS` trials train, all before them are complete."""
    from unetsweep import contract
    from unetsweep.core import paths
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(root)
    directory.create("name: many\n", "slurm")
    token, at = "a" * 12, (directory._now() - timedelta(hours=1)).isoformat()
    for number in range(trials):
        config = contract.TrialConfig(contract.DataConfig("images"), 8, 4, 1e-3 + 1e-8 * number)
        folder = root / paths.trial_dir(number)
        folder.mkdir()
        _write(folder / paths.CONFIG, contract.encode(config))
        _write(folder / paths.TRIAL, directory._trial_file(number, config, {"sampler": "random", "seed": 0}))
        if number < trials - SLOTS:  # no reconciliation opens the runs of trials that have ended, so they are left out
            _write(folder / paths.RESULT, contract.encode(contract.Result(trial=number, val_iou=0.5, epochs=8)))
            continue
        run, index = root / paths.run_dir(number), number - (trials - SLOTS)
        for name in ("attempts", "claims", "milestones"):
            (run / name).mkdir(parents=True)
        milestones = [{"trial": number, "epochs": 8}]
        intent = {"token": token, "index": index, "at": at, "throttle": None, "milestones": milestones}
        _write(run / "attempts" / "1.json", intent)
        _write(run / "attempts" / "1.job.json", {"job_id": f"18808_{index}"})
        _write(run / "claims" / "1-0", {"job_id": f"18808_{index}", "at": at, "node": "n1"})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps({"schema": 1, **content}))


def spec_of(trials: int, parallel: int = SLOTS) -> Any:
    from unetsweep.contract import DataConfig
    from unetsweep.core.space import Choices, Range, Space
    from unetsweep.core.spec import RunSpec, StudySpec, SweepSpec

    space = Space.of(epochs=Choices((8,)), batch_size=Choices((4,)), learning_rate=Range(1e-5, 1e-1, log=True))
    return SweepSpec("many", DataConfig("images"), space, StudySpec("random", trials=trials), run=RunSpec(parallel))


class Queue:
    """A queue in which the trainings of `make` run, but for those that have ended."""

    kind, queues = "slurm", True

    def __init__(self, ended: int) -> None:
        self._ended, self._sent = ended, 0

    def max_elements(self) -> int:
        return 1001

    def room(self) -> int | None:
        return None

    def jobs(self, tokens: Collection[str]) -> Sequence[Any]:
        from unetsweep.core.observation import Job, JobState

        if "a" * 12 not in tokens:
            return []
        words = [("ENDED", "COMPLETED") if k < self._ended else ("RUNNING", "RUNNING") for k in range(SLOTS)]
        return [Job(f"18808_{k}", "a" * 12, k, JobState[state], word) for k, (state, word) in enumerate(words)]

    def last_words(self, jobs: Mapping[str, str]) -> Mapping[str, Any]:
        return {}

    def word_in(self, log: str) -> None:
        return None

    def submit_reconciler(self, reconciler: Any) -> str:
        self._sent += 1
        return str(self._sent)

    def submit(self, submission: Any) -> Sequence[str]:
        raise AssertionError("there is nothing to submit")

    cancel = end = submit


def one_pass(root: Path, trials: int, ended: int) -> dict[str, float]:
    """In this process: seconds and peak memory of a reconciliation that finds so many endings."""
    from unetsweep.clock import SystemClock
    from unetsweep.core import paths
    from unetsweep.core.ports import ReconcilerRequest
    from unetsweep.core.spec import Resources
    from unetsweep.reconcile.context import SweepContext
    from unetsweep.reconcile.loop import reconcile
    from unetsweep.search.study import JournalStudy
    from unetsweep.store.reconciler_jobs import ReconcilerJobs
    from unetsweep.store.sweep_dir import SweepDir

    for number in range(trials - SLOTS, trials - SLOTS + ended):
        _write(root / paths.run_dir(number) / "milestones" / "8.json", {"state": "complete", "val_iou": 0.6})
    spec, directory = spec_of(trials), SweepDir(root)
    study = JournalStudy(root / paths.STUDY)
    world = SweepContext(
        spec,
        directory,
        Queue(ended),
        study,
        SystemClock(),
        ReconcilerJobs(root),
        lambda token, sent: None,  # type: ignore[arg-type,return-value]
        lambda token, keep: ReconcilerRequest(token, "many", root, Resources(), keep.after, keep.delay_s),
    )
    begin, used = time.perf_counter(), time.process_time()
    reconciliation = reconcile(world)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - used
    told = sum(type(action).__name__ == "FinishTrial" for action in reconciliation.done)
    assert told == ended, f"{told} of {ended} endings were told"
    return {"s": seconds, "cpu": cpu, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measured(root: Path, trials: int, ended: int) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.scale", "--pass", str(root), str(trials), str(ended)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def row(what: str, trials: int, took: Mapping[str, float]) -> None:
    print(f"| {what} | {trials:,} | {took['s']:.2f} | {took['cpu']:.2f} | {took['mb']:.0f} |", flush=True)


def on_files(trials: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "many"
        begin = time.perf_counter()
        make(root, trials)
        print(f"made {trials} trials in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
        (root / "study.journal.behind").touch()
        measured(root, trials, 0)  # writes the study's journal, as passes before it did
        row("a reconciliation with nothing to do", trials, measured(root, trials, 0))
        row(f"a reconciliation that finds {ENDINGS} endings", trials, measured(root, trials, ENDINGS))
        if (root / "study.journal.behind").exists():
            os.utime(root / "study.journal", (0, 0))
            row("a reconciliation that brings the study up to date", trials, measured(root, trials, 0))


def main(words: Sequence[str]) -> None:
    match words:
        case ["--pass", root, trials, ended]:
            print(json.dumps(one_pass(Path(root), int(trials), int(ended))))
        case ["simulated", *sizes]:
            from benchmarks.scale_simulated import simulated

            simulated(*(int(size) for size in sizes))
        case _:
            print(HEADING, flush=True)
            for size in words or ("1000", "10000", "100000"):
                on_files(int(size))


if __name__ == "__main__":
    main(sys.argv[1:])
