"""Our trainer on a real SLURM: two processes a job under srun, the table, a job requeued on the way."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import Cluster, wait_for, without_accounts

pytestmark = [pytest.mark.slurm, pytest.mark.train]

SWEEP = """
name: eyes
data: {root: eyes, image_size: 32, split: {groups: groups.csv}}
space: {epochs: [EPOCHS], batch_size: [4], learning_rate: [RATES]}
model: {base: 4, depth: 2}
slurm: {processes: 2, time: 10m, mem: 3G}
run: {parallel: 2}
"""


@pytest.fixture
def place(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "4")
    return tmp_path


def unetsweep(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "unetsweep", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def results() -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(Path("results/eyes/trials").glob("*/result.json"))]


def test_an_array_of_two_process_trainings_fills_the_table_and_keeps_its_best_checkpoints(
    place: Path, cluster: Cluster
):
    text = SWEEP.replace("EPOCHS", "1, 2").replace("RATES", "1e-2").replace("parallel: 2", "parallel: 2, keep: best")
    (place / "eyes.yaml").write_text(text)
    assert "2 jobs" in unetsweep("submit", "eyes.yaml", "--no-share")
    wait_for(lambda: len(results()) == 2, 180)
    array = {str(result["job_id"]).split("_")[0] for result in results()}
    assert len(array) == 1
    assert array <= set(cluster.run("squeue", "--me", "-h", "-t", "all", "-o", "%F").split())
    claims = [json.loads(path.read_bytes()) for path in Path("results/eyes/runs").glob("*/claims/*")]
    assert sorted(claim["job_id"] for claim in claims) == sorted(result["job_id"] for result in results())
    table = unetsweep("report", "eyes", "--format", "markdown")
    for result in results():
        assert result["state"] == "complete"
        row = next(line for line in table.splitlines() if f" {result['job_id']} " in line).replace("*", "")
        shown = [float(cell) for cell in row.strip("|").split("|")[4:]]
        asked = [result[name] for name in ("val_iou", "val_loss", "test_iou", "test_loss")]
        assert shown == [round(value, 4) for value in asked]
    wait_for(lambda: not cluster.run("squeue", "--me", "-h", "-o", "%i").split(), 60)
    assert {path.name for path in Path("results/eyes/runs").glob("*/checkpoints/*")} == {"best-1.ckpt", "best-2.ckpt"}


@without_accounts  # which change nothing in what is trained
def test_leaders_are_confirmed_by_jobs_and_a_job_s_row_is_reproduced_here(place: Path, cluster: Cluster):
    text = SWEEP.replace("EPOCHS", "2").replace("RATES", "1e-2, 2e-2").replace("{groups: groups.csv}", "{val: 0.5}")
    (place / "eyes.yaml").write_text(text)
    unetsweep("submit", "eyes.yaml")
    wait_for(lambda: len(results()) == 2, 180)
    journal = Path("results/eyes/study.journal")
    wait_for(lambda: journal.exists() and not journal.with_name("study.journal.behind").exists(), 60)
    before = journal.read_bytes()

    assert "4 trainings, 4 of them new" in unetsweep("confirm", "eyes", "--top", "2", "--seeds", "2")
    wait_for(lambda: len(list(Path("results/eyes/confirm/trials").glob("*/result.json"))) == 4, 180)

    told = json.loads(unetsweep("report", "eyes", "--format", "json"))
    assert [row["runs"] for row in told["confirmed"]["leaders"]] == [2, 2]
    jobs = {row["job_id"] for row in told["rows"]}
    listed = set(cluster.run("squeue", "--me", "-h", "-t", "all", "-o", "%i").split())
    confirmed = json.loads(unetsweep("report", "eyes/confirm", "--format", "json"))["rows"]
    assert {row["job_id"] for row in confirmed} <= listed - jobs
    assert journal.read_bytes() == before
    assert "bit for bit the same" in unetsweep("reproduce", "eyes", "0")


@without_accounts  # which change nothing in what is trained
def test_a_requeued_training_ends_as_one_that_was_left_alone(place: Path, cluster: Cluster):
    (place / "eyes.yaml").write_text(SWEEP.replace("EPOCHS", "60").replace("RATES", "1e-2"))
    unetsweep("submit", "eyes.yaml")
    run = Path("results/eyes/runs/0000")
    wait_for(lambda: any(path.read_text().count("\n") > 2 for path in run.glob("progress-1-0.jsonl")), 60)
    (job,) = {json.loads(path.read_bytes())["job_id"] for path in run.glob("claims/*")}
    cluster.run("scontrol", "requeue", job)
    wait_for(lambda: len(results()) == 1, 240)
    (result,) = results()
    assert result["state"] == "complete", result["message"]
    assert (run / "claims" / "1-1").exists(), "it never started again"
    unetsweep("train", "results/eyes/trials/0000/config.json", "--out", "alone")
    alone = json.loads(Path("alone/result.json").read_bytes())
    same = ("val_iou", "val_loss", "test_iou", "test_loss", "best_epoch", "test_per_image")
    assert {name: result[name] for name in same} == {name: alone[name] for name in same}


@without_accounts  # which change nothing in what is trained
def test_packed_trainings_of_two_processes_each_give_the_rows_of_trainings_alone(place: Path, cluster: Cluster):
    text = SWEEP.replace("EPOCHS", "2").replace("RATES", "1e-2, 2e-2").replace("mem: 3G", "mem: 4G, pack: 2")
    (place / "eyes.yaml").write_text(text)
    assert "(1 job of up to 2 trainings each)" in unetsweep("submit", "eyes.yaml")
    wait_for(lambda: len(results()) == 2, 240)
    assert [result["state"] for result in results()] == ["complete"] * 2
    assert len({str(result["job_id"]).partition(".")[0] for result in results()}) == 1
    wait_for(lambda: not cluster.run("squeue", "--me", "-h", "-o", "%i").split(), 60)
    for trial in ("0", "1"):
        assert "bit for bit the same" in unetsweep("reproduce", "eyes", trial)


GRID = """
name: eyes
data: {root: eyes, image_size: 32, split: {val: 0.5}}
space: {epochs: [EPOCHS], batch_size: [2, 4], learning_rate: [1e-3, 1e-2]}
model: {base: 4, depth: 2, MODEL}
trainer: {val_every: EVERY}
slurm: {processes: PROCESSES, time: 10m, mem: 3G}
run: {parallel: 2}
"""
VARYING = {"trial", "job_id", "seconds", "gpu_seconds", "peak_memory_mb", "host"}


def rows(sweep: str) -> list[dict[str, Any]]:
    paths = sorted(Path("results", sweep).glob("trials/*/result.json"))
    results = [json.loads(path.read_bytes()) for path in paths]
    return [{name: value for name, value in result.items() if name not in VARYING} for result in results]


def epochs_trained(sweep: str) -> int:
    logs = Path("results", sweep, "runs").glob("*/progress-*.jsonl")
    return sum(len(log.read_text().splitlines()) for log in logs)


@pytest.mark.parametrize(
    ("model", "every", "processes"),
    [("norm: none", "1", "1"), ("norm: batch, dropout: 0.1", "3", "2")],
    ids=["plain", "val_every 3, batch norm, dropout, DDP of 2"],
)
@without_accounts  # which change nothing in what is trained
def test_a_grid_of_epochs_trains_half_of_them_and_every_row_is_that_of_a_training_of_its_own(
    place: Path, cluster: Cluster, model: str, every: str, processes: str
):
    text = GRID.replace("MODEL", model).replace("EVERY", every).replace("PROCESSES", processes)
    (place / "eyes.yaml").write_text(text.replace("EPOCHS", "2, 4, 6, 8, 20"))
    assert "epochs asked 160, epochs to train 80" in unetsweep("submit", "eyes.yaml", "--dry-run")
    unetsweep("submit", "eyes.yaml")
    (place / "alone.yaml").write_text(text.replace("EPOCHS", "2, 4, 6, 8, 20").replace("name: eyes", "name: alone"))
    unetsweep("submit", "alone.yaml", "--no-share")
    wait_for(lambda: len(rows("eyes")) == len(rows("alone")) == 20, 400)

    assert rows("eyes") == rows("alone")
    assert (epochs_trained("eyes"), epochs_trained("alone")) == (80, 160)


DIES = """
import os, signal
replace = os.replace
def dying(source, target, **more):
    if str(target).endswith("horizons/3.json") and not os.path.exists(MARK):
        open(MARK, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target, **more)
os.replace = dying
"""
"""Ends the trainer once, when the horizon's checkpoint is written and its result is about to be."""


@pytest.mark.parametrize("when", ["between horizons", "between a horizon's checkpoint and its result"])
@without_accounts  # which change nothing in what is trained
def test_a_shared_job_that_is_killed_loses_nothing(place: Path, cluster: Cluster, when: str):
    text = GRID.replace("MODEL", "norm: batch").replace("EVERY", "1").replace("PROCESSES", "1")
    text = text.replace("[2, 4]", "[4]").replace("[1e-3, 1e-2]", "[1e-2]").replace("image_size: 32", "image_size: 64")
    run, mark = Path("results/eyes/runs/0000"), place / "died"
    if when == "between horizons":
        (place / "eyes.yaml").write_text(text.replace("EPOCHS", "3, 60"))
        unetsweep("submit", "eyes.yaml")
        wait_for(lambda: (run / "horizons/3.json").exists(), 60)
        (claim,) = run.glob("claims/*")
        os.kill(json.loads(claim.read_bytes())["pid"], signal.SIGKILL)
    else:
        (place / "sitecustomize.py").write_text(DIES.replace("MARK", repr(str(mark))))
        dies = f"mem: 3G, setup: ['export PYTHONPATH={place}']"
        (place / "eyes.yaml").write_text(text.replace("EPOCHS", "3, 60").replace("mem: 3G", dies))
        unetsweep("submit", "eyes.yaml")
        wait_for(mark.exists, 60)
        assert (run / "checkpoints/best-3.ckpt").exists()
        assert not (run / "horizons/3.json").exists()
    attempts = run / "attempts"
    # by itself it goes on when the keeper looks, after five minutes; a person need not wait for that
    wait_for(lambda: bool(unetsweep("submit", "eyes.yaml")) and (attempts / "2.json").exists(), 120)
    wait_for(lambda: len(rows("eyes")) == 2, 120)
    assert len(list(attempts.glob("?.json"))) == 2, "it was not sent again"

    (place / "eyes.yaml").write_text(text.replace("EPOCHS", "3, 60, 70"))
    unetsweep("submit", "eyes.yaml")
    wait_for(lambda: len(rows("eyes")) == 3, 120)
    (place / "alone.yaml").write_text(text.replace("EPOCHS", "3, 60, 70").replace("name: eyes", "name: alone"))
    unetsweep("submit", "alone.yaml", "--no-share", "--executor", "local", "--watch")
    assert [row["state"] for row in rows("eyes")] == ["complete"] * 3
    assert rows("eyes") == rows("alone")
