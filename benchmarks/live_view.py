"""Measure `status` and the first frames of `watch` at 1,000 trials, in fresh processes, after their imports.

`python -m benchmarks.live_view [TRIALS]` (default 1000). The sweep's files are real, and the scheduler answers at once.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.live_sweep import listed_jobs, make_sweep
from benchmarks.timing import is_within, print_row
from unetsweep.app import executors
from unetsweep.app.executors import SLURM
from unetsweep.app.job_requests import payload_of
from unetsweep.app.status import status
from unetsweep.cli.live_view import Feed, View
from unetsweep.cli.screen import Screen
from unetsweep.clock import utc_now
from unetsweep.core.observation import Job
from unetsweep.report.terminal_text import Terminal
from unetsweep.schedulers.packed.packed_slurm import PackedSlurm
from unetsweep.store.sweep_dir import SweepDir

ROUNDS = 5
STATUS_S, FIRST_S, DATA_S = 1.0, 0.5, 1.0
"""The budgets in seconds."""
TERMINAL = Terminal(160, 50)


class Queue(PackedSlurm):
    """A queue that answers at once."""

    trials, running = 0, 0

    def jobs(self, tokens: Collection[str]) -> tuple[Job, ...]:
        return listed_jobs(tokens, self.trials, self.running)

    def max_elements(self) -> int:
        return 1001


def use_queue(trials: int, running: int) -> None:
    """Let the commands of this process ask a queue that lists the running trials."""
    Queue.trials, Queue.running = trials, running
    queue = replace(SLURM, scheduler=lambda folder: Queue(payload_of, folder), accounts=lambda job_ids: ())
    executors.EXECUTORS = {"slurm": queue}


def measure_status(root: Path, running: int) -> Mapping[str, float]:
    """Return the seconds of `status` without its imports."""
    begin = time.perf_counter()
    found = status(SweepDir(root))
    seconds = time.perf_counter() - begin
    assert found.counts.get("running") == running, found.counts
    return {"status": seconds}


def measure_watch(root: Path, running: int) -> Mapping[str, float]:
    """Return the seconds until `watch` has drawn something, and until it has drawn all trials, without its imports."""
    begin = time.perf_counter()
    with open(os.devnull, "w") as output:
        feed = Feed(SweepDir(root), reconciles=False)
        view = View(SweepDir(root), Screen(output.fileno(), colours=True))
        feed.start()
        view.update(feed.latest, TERMINAL, utc_now(), at_once=True)
        first = time.perf_counter() - begin
        while feed.latest is None:
            time.sleep(0.005)
        view.update(feed.latest, TERMINAL, utc_now(), at_once=False)
        data = time.perf_counter() - begin
    feed.stop()
    assert len(feed.latest.running) == running
    return {"first": first, "data": data}


SUBJECTS = {"status": measure_status, "watch": measure_watch}


def measure(root: Path, trials: int, running: int) -> Mapping[str, float]:
    """Return the medians of fresh processes."""
    found: dict[str, list[float]] = {}
    for subject in [*SUBJECTS] * ROUNDS:
        command = [sys.executable, "-m", "benchmarks.live_view", subject, str(root), str(trials), str(running)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        for name, seconds in json.loads(done.stdout).items():
            found.setdefault(name, []).append(seconds)
    return {name: statistics.median(each) for name, each in found.items()}


def main() -> bool:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    met = []
    with tempfile.TemporaryDirectory() as folder:
        for running in (trials, trials // 10):
            root = Path(folder) / f"sweep{running}"
            make_sweep(root, trials, running)
            took = measure(root, trials, running)
            for name, what, budget in (
                ("status", "`status`", STATUS_S),
                ("first", "first frame of `watch`", FIRST_S),
                ("data", "first frame of `watch` with all trials", DATA_S if running == trials else FIRST_S),
            ):
                of = f"{trials} trials, {running} of them running"
                is_met, speed = is_within(took[name], budget)
                text = f"{took[name]:.2f} s (median of {ROUNDS}){speed}"
                met.append(print_row(f"{what}, {of}", text, f"{budget:g} s", is_met))
    return all(met)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [subject, folder, trials, running]:
            use_queue(int(trials), int(running))
            print(json.dumps(SUBJECTS[subject](Path(folder), int(running))))
        case _:
            sys.exit(not main())
