"""Trainers of the user's own on a real SLURM: the programs of the docs, killed and at their time limits.

All sweeps run side by side in one test: each only waits most of the time.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from page_programs import digest, epochs_of, write_programs
from slurm_cluster import Cluster
from slurm_sweeps import results_of, unetsweep, until, until_queue_is_empty

pytestmark = [pytest.mark.slurm, pytest.mark.train]

LOOP = """\
space: {{epochs: {epochs}, batch_size: 32, lr: {rates}}}
study: {{metric: mse, direction: minimize, seed: 7, {study}}}
trainer: {{command: "{python} {program} {epoch_s} {{out}}", resumes: true}}
run: {{parallel: 2}}
slurm: {{time: {time}, mem: 1500M}}
"""
SHELL = """\
space: {epochs: [10, 26]}
study: {pruner: {name: asha, min_epochs: 4}}
trainer: {command: "bash slow.sh", resumes: true}
slurm: {time: 1m, mem: 200M}
"""
EPOCHS = 16
ENDS_S = 400.0
"""A bound: two starts of at most a minute, and what lies between them."""


@pytest.fixture
def workspace(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the programs of the page. Those of PyTorch sleep in each epoch."""
    monkeypatch.chdir(tmp_path)
    write_programs(tmp_path)
    report = "    run.report(epoch, mse"
    loop = (
        Path("resuming.py")
        .read_text()
        .replace(report, f"    import sys, time; time.sleep(float(sys.argv[1]))\n{report}")
    )
    Path("resuming.py").write_text(loop)
    Path("deaf.py").write_text(loop.replace("run.should_stop()", "False"))
    shell = Path("train.sh").read_text().replace("-lt 30 ]", "-lt 15 ]")
    Path("slow.sh").write_text(shell.replace("    epoch=$((epoch + 1))", "    epoch=$((epoch + 1)); sleep 3"))
    return tmp_path


def submit(name: str, program: str, epoch_s: float, time: str, rates: str, study: str) -> Path:
    """Submit a sweep of a program; return the folder of its runs."""
    values = {"epochs": EPOCHS, "program": program, "epoch_s": epoch_s, "time": time, "rates": rates, "study": study}
    Path(f"{name}.yaml").write_text(LOOP.format(python=sys.executable, **values))
    unetsweep("submit", f"{name}.yaml")
    return Path("results", name, "runs")


def run_alone(out: Path) -> None:
    """Run the training without an interruption, and without a sweep."""
    variables = {
        "UNETSWEEP_OUT": str(out),
        "UNETSWEEP_CLAIM": "1-0",
        "UNETSWEEP_MILESTONES": str(EPOCHS),
        "UNETSWEEP_SEED": "7",
        "UNETSWEEP_PARAMS": json.dumps({"lr": 0.01, "epochs": EPOCHS}),
    }
    subprocess.run([sys.executable, "resuming.py", "0"], env={**os.environ, **variables}, check=True, timeout=300)


def run_of(runs: Path, rate: float) -> Path:
    """The run with this learning rate."""
    trials = (json.loads(path.read_bytes()) for path in runs.parent.glob("trials/*/trial.json"))
    (found,) = [runs / f"{trial['run']:04d}" for trial in trials if trial["params"]["lr"] == rate]
    return found


def kill_program(run: Path) -> None:
    """Kill the program that trains a run, when it has finished two epochs."""
    until(lambda: any(path.read_text().count("\n") >= 2 for path in run.glob("progress-1-0.jsonl")), ENDS_S)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"resuming.py" in line and str(run.resolve()).encode() in line:
            os.kill(int(path.parent.name), signal.SIGKILL)
            return
    raise AssertionError(f"nothing trains {run}")


def results(name: str, count: int) -> list[dict[str, Any]]:
    until(lambda: len(results_of(name)) == count, ENDS_S)
    return results_of(name)


def epochs_of_all(run: Path) -> list[int]:
    """The epochs that all starts of one job reported."""
    claims = sorted(path.stem.partition("-")[2] for path in run.glob("progress-*.jsonl"))
    return [epoch for claim in claims for epoch in epochs_of(run, claim)]


def score(run: Path) -> tuple[Any, ...]:
    found = json.loads((run / f"milestones/{EPOCHS}.json").read_bytes())
    return found["state"], found["epochs_run"], found["mse"]


def test_trainers_that_are_killed_or_reach_their_time_limit_end_as_if_uninterrupted(workspace: Path, cluster: Cluster):
    tpe = "sampler: tpe, trials: 2, pruner: {name: asha, min_epochs: 4}"
    limit = submit("limit", "resuming.py", 4, "1m", "1e-2", "sampler: grid") / "0000"
    deaf = submit("deaf", "deaf.py", 5, "1m", "1e-2", "sampler: grid") / "0000"
    Path("shell.yaml").write_text(SHELL)
    unetsweep("submit", "shell.yaml")
    runs = submit("killed", "resuming.py", 1, "10m", "[1e-3, 1e-2]", tpe)
    killed = run_of(runs, 1e-2)
    kill_program(killed)
    run_alone(workspace / "alone")

    for name, count, run in (("killed", 2, killed), ("limit", 1, limit), ("deaf", 1, deaf)):
        found = results(name, count)
        assert {each["state"] for each in found} <= {"complete", "pruned"}, found
        assert score(run) == score(workspace / "alone"), name
        assert digest(run) == digest(workspace / "alone"), name

    # the one that was killed trained one epoch again at most
    first, second = epochs_of(killed, "1-0"), epochs_of(killed, "2-0")
    assert second[-1] == EPOCHS
    assert second[0] in (first[-1], first[-1] + 1)
    # the one that asks stopped before the limit, and its job was requeued: no epoch was trained twice
    assert (limit / "requeue-1-0.json").exists()
    assert epochs_of_all(limit) == list(range(1, EPOCHS + 1))
    # the one that never asks was killed at the limit, and submitted again; the end of its job was announced
    assert json.loads((deaf / "attempts/1.lost.json").read_bytes())["cause"] == "TIME"
    assert epochs_of(deaf, "2-0")[0] > 1
    assert json.loads((deaf / "deadline-1-0.json").read_bytes())["reason"] is None

    # the shell script needs no more in its progress than the epoch
    assert [(each["state"], each["epochs_run"]) for each in results("shell", 2)] == [("complete", 10), ("complete", 26)]
    shell = Path("results/shell/runs/0000")
    assert (shell / "requeue-1-0.json").exists()
    assert epochs_of_all(shell) == list(range(1, 27))
    until_queue_is_empty(cluster)
