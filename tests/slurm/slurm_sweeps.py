"""Whole sweeps, with a trainer of some lines instead of ours: what several tests use."""

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
"""Costs nothing where all is well; two cores may have a lot to do."""


def unetsweep(*words: str, check: int | None = 0) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "unetsweep", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert check is None or done.returncode == check, done.stdout + done.stderr
    return done


def results_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(Path(f"results/{name}/trials").glob("*/result.json"))]


def until_ended(name: str, seconds: float = PATIENCE_S) -> list[dict[str, Any]]:
    """The results of all, as soon as they are there: nobody reconciles here, so the jobs must do it themselves."""
    deadline = time.monotonic() + seconds
    wanted = json.loads(unetsweep("status", name, "--json").stdout)["wanted"]
    while len(list(Path(f"results/{name}/trials").glob("*/result.json"))) < wanted:
        assert time.monotonic() < deadline, unetsweep("status", name, "--json").stdout
        time.sleep(0.1)
    assert json.loads(unetsweep("status", name, "--json").stdout)["wanted"] == wanted
    return results_of(name)


def until(fine: Callable[[], T], seconds: float = PATIENCE_S) -> T:
    """What `fine` says, as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := fine()):
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.05)
    return found


def until_left(cluster: Cluster) -> None:
    """Until no job of ours is in the queue."""
    wait_for(lambda: not cluster.run("squeue", "--me", "-h"), PATIENCE_S)


def starts() -> Counter[str]:
    return Counter(line.split()[0] for line in Path("trained.log").read_text().splitlines() if " start " in line)


def most_at_once() -> int:
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    now = most = 0
    for _, what, *_ in sorted(rows, key=lambda row: float(row[2])):
        now += 1 if what == "start" else -1
        most = max(most, now)
    return most
