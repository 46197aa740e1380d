"""Sweep files with a trainer of a few lines, and functions that run `unetsweep` and wait for such sweeps."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from slurm_cluster import Cluster, wait_for

T = TypeVar("T")
TRAINER = """
import json, os, sys, time
config, out = json.load(open(sys.argv[1])), sys.argv[2]
with open("trained.log", "a") as log:
    log.write(f"{os.path.basename(out)} start {time.time()}\\n")
time.sleep(SLEEP)
json.dump({"val_iou": config["learning_rate"]}, open(out + "/result.json", "w"))
with open("trained.log", "a") as log:
    log.write(f"{os.path.basename(out)} end {time.time()}\\n")
"""
GRID = """
name: grid
space: {epochs: [4], batch_size: [4], learning_rate: [1e-4, 2e-4, 3e-4, 4e-4]}
trainer: {command: "python3 trainer.py {config} {out}"}
run: {parallel: 2}
slurm: {time: 5m, mem: 200M}
"""
TPE = GRID.replace("name: grid", "name: tpe").replace("[1e-4, 2e-4, 3e-4, 4e-4]", "{low: 1e-4, high: 1, log: true}")
TPE += "study: {sampler: tpe, trials: 6}\n"
PATIENCE_S = 180.0
"""A bound for a busy machine; a test waits that long only if it fails."""


def unetsweep(*arguments: str, check: int | None = 0) -> "subprocess.CompletedProcess[str]":
    """Run `unetsweep ARGUMENTS…`; fail the test for a traceback, or an exit status other than `check` (None: any)."""
    command = [sys.executable, "-m", "unetsweep", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert check is None or done.returncode == check, done.stdout + done.stderr
    return done


def results_of(name: str) -> list[dict[str, Any]]:
    """The results of the trials that have ended, by number."""
    return [json.loads(path.read_bytes()) for path in sorted(Path(f"results/{name}/trials").glob("*/result.json"))]


def until_ended(name: str, seconds: float = PATIENCE_S) -> list[dict[str, Any]]:
    """Wait until all trials have ended; return their results. The test does not reconcile, so the jobs must."""
    deadline = time.monotonic() + seconds
    wanted = json.loads(unetsweep("status", name, "--json").stdout)["wanted"]
    while len(list(Path(f"results/{name}/trials").glob("*/result.json"))) < wanted:
        assert time.monotonic() < deadline, unetsweep("status", name, "--json").stdout
        time.sleep(0.1)
    assert json.loads(unetsweep("status", name, "--json").stdout)["wanted"] == wanted
    return results_of(name)


def until(condition: Callable[[], T], seconds: float = PATIENCE_S) -> T:
    """Wait until `condition` returns something true; return that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.05)
    return found


def until_queue_is_empty(cluster: Cluster) -> None:
    """Wait until no job of ours is in the queue."""
    wait_for(lambda: not cluster.run("squeue", "--me", "-h"), PATIENCE_S)


def starts() -> Counter[str]:
    """How often each run was started, by the log of `TRAINER`."""
    return Counter(line.split()[0] for line in Path("trained.log").read_text().splitlines() if " start " in line)


def most_at_once() -> int:
    """The largest number of trainings at the same time, by the log of `TRAINER`."""
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    now = most = 0
    for _, event, *_ in sorted(rows, key=lambda row: float(row[2])):
        now += 1 if event == "start" else -1
        most = max(most, now)
    return most
