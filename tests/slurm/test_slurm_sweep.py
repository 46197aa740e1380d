"""Whole sweeps on a real SLURM, with a trainer of some lines instead of ours: it is the sweep that is tested."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import bed
import pytest
from slurm_cluster import Cluster

pytestmark = pytest.mark.slurm

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


@pytest.fixture
def place(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the trainer and the sweep."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trainer.py").write_text(TRAINER.replace("SLEEP", "0.3"))
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "tpe.yaml").write_text(TPE)
    return tmp_path


def unetsweep(*words: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unetsweep", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert check is None or done.returncode == check, done.stdout + done.stderr
    return done


def until_ended(name: str, seconds: float = 60) -> list[dict[str, object]]:
    """Wait without making a pass: the jobs must do it themselves."""
    deadline = time.monotonic() + seconds
    while True:
        status = json.loads(unetsweep("status", name, "--json").stdout)
        results = list(Path(f"results/{name}/trials").glob("*/result.json"))
        if len(results) == status["wanted"]:
            return [json.loads(path.read_bytes()) for path in sorted(results)]
        assert time.monotonic() < deadline, json.dumps(status, indent=1)
        time.sleep(0.5)


def starts() -> Counter[str]:
    return Counter(line.split()[0] for line in Path("trained.log").read_text().splitlines() if " start " in line)


def most_at_once() -> int:
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    now = most = 0
    for _, what, *_ in sorted(rows, key=lambda row: float(row[2])):
        now += 1 if what == "start" else -1
        most = max(most, now)
    return most


def test_a_grid_goes_out_as_one_array_and_its_table_is_keyed_by_the_jobs(place: Path, cluster: Cluster):
    said = unetsweep("submit", "grid.yaml").stdout
    assert "on slurm" in said
    assert "4 jobs, at most 2 at once" in said
    results = until_ended("grid")
    assert starts() == Counter({"0000": 1, "0001": 1, "0002": 1, "0003": 1})
    assert most_at_once() <= 2
    table = unetsweep("report", "grid", "--format", "markdown").stdout
    jobs = [str(result["job_id"]) for result in results]
    assert len({job.split("_")[0] for job in jobs}) == 1
    for job in jobs:
        assert f"| {job} |" in table.replace("  ", " ").replace("  ", " "), table
    assert unetsweep("submit", "grid.yaml").stdout.count("submit") == 0, "the second submit had something to do"


def test_an_adaptive_search_ends_by_itself_with_its_terminal_closed(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text(TRAINER.replace("SLEEP", "1"))
    shell = subprocess.Popen(
        [sys.executable, "-m", "unetsweep", "submit", "tpe.yaml", "--watch"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not Path("trained.log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(shell.pid, signal.SIGHUP)  # the terminal goes
    shell.wait(timeout=30)
    results = until_ended("tpe")
    assert [result["state"] for result in results] == ["complete"] * 6
    assert set(starts().values()) == {1}
    assert most_at_once() <= 2


def test_jobs_start_though_their_submitter_never_came_back(place: Path, cluster: Cluster):
    dying = [sys.executable, bed.HERE / "dying_pass.py", "after", "sbatch", "submit", "grid.yaml"]
    assert subprocess.run(dying, capture_output=True, timeout=180, check=False).returncode == -signal.SIGKILL
    assert [result["state"] for result in until_ended("grid")] == ["complete"] * 4
    logs = [path.read_text() for path in Path("results/grid/submissions").glob("*/*.out")]
    assert not any("could not find submitted jobs" in log for log in logs)


def test_an_unknown_partition_is_told_in_sbatchs_words_and_costs_no_trial(place: Path, cluster: Cluster):
    (place / "grid.yaml").write_text(GRID.replace("mem: 200M", "mem: 200M, partition: nowhere"))
    said = unetsweep("submit", "grid.yaml", check=75).stderr
    assert "invalid partition specified: nowhere" in said
    assert "main" in said
    assert cluster.run("squeue", "--me", "-h") == ""
    (place / "grid.yaml").write_text(GRID)
    unetsweep("submit", "grid.yaml")
    assert [result["state"] for result in until_ended("grid")] == ["complete"] * 4


def test_cancel_ends_what_runs_and_what_waits_and_submit_does_not_bring_it_back(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text(TRAINER.replace("SLEEP", "60"))
    unetsweep("submit", "grid.yaml")
    deadline = time.monotonic() + 60
    while not Path("trained.log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    unetsweep("cancel", "grid")
    while cluster.run("squeue", "--me", "-h"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    unetsweep("submit", "grid.yaml")
    assert [result["state"] for result in until_ended("grid")] == ["cancelled"] * 4
    assert cluster.run("squeue", "--me", "-h") == ""


def test_a_failing_trainer_is_told_with_its_last_words(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text("raise SystemExit('no vessels here')")
    unetsweep("submit", "grid.yaml")
    results = until_ended("grid")
    assert [result["state"] for result in results] == ["failed"] * 4
    assert "ended with status 1" in str(results[0]["message"])
    assert "4 failed" in unetsweep("report", "grid").stdout
