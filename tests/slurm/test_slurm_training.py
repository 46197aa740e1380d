"""Our trainer on a real SLURM: two processes per job under srun, the table, requeued jobs, and trainings that are
shared, packed or killed. Each start of a training costs seconds, so one test checks several promises on one sweep."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import Cluster
from slurm_sweeps import results_of, unetsweep, until, until_queue_is_empty

pytestmark = [pytest.mark.slurm, pytest.mark.train]

SWEEP = """
name: eyes
data: {root: eyes, image_size: 32, split: {val: 0.5}}
space: {epochs: [EPOCHS], batch_size: [BATCHES], learning_rate: [RATES]}
model: {base: 4, depth: 2, norm: batch, dropout: 0.1}
trainer: {val_every: 3}
slurm: {processes: 2, time: 10m, mem: 3G}
run: {parallel: 2}
"""
"""Two processes, batch norm, dropout and epochs without a score: the settings that make equal results hardest."""
TRAINS_S = 400.0
"""A bound: two processes train on two cores that other tests use too."""


@pytest.fixture
def workspace(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "4")
    return tmp_path


def until_trained(sweep: str, count: int) -> list[dict[str, Any]]:
    until(lambda: len(results_of(sweep)) == count, TRAINS_S)
    return results_of(sweep)


DIFFERENT = {"trial", "job_id", "seconds", "gpu_seconds", "peak_memory_mb", "host"}


def rows(sweep: str) -> list[dict[str, Any]]:
    """The results of all trials, without the fields that differ between any two trainings."""
    return [{name: value for name, value in row.items() if name not in DIFFERENT} for row in results_of(sweep)]


def epochs_trained(sweep: str) -> int:
    logs = Path("results", sweep, "runs").glob("*/progress-*.jsonl")
    return sum(len(log.read_text().splitlines()) for log in logs)


def assert_table_has_scores(results: list[dict[str, Any]]) -> None:
    """Each result has a row in the table, with its job id and its rounded scores."""
    table = unetsweep("report", "eyes", "--format", "markdown").stdout
    for result in results:
        row = next(line for line in table.splitlines() if f" {result['job_id']} " in line).replace("*", "")
        printed = [float(cell) for cell in row.strip("|").split("|")[4:]]
        expected = [result[name] for name in ("val_iou", "val_loss", "test_iou", "test_loss")]
        assert printed == [round(value, 4) for value in expected]


def sweep_of(epochs: str, batches: str = "4", rates: str = "1e-2") -> str:
    return SWEEP.replace("EPOCHS", epochs).replace("BATCHES", batches).replace("RATES", rates)


def test_trainings_of_two_processes_give_the_same_rows_alone_requeued_shared_or_packed(
    workspace: Path, cluster: Cluster
):
    text = sweep_of("24, 8, 16")
    (workspace / "eyes.yaml").write_text(text.replace("parallel: 2", "parallel: 2, keep_checkpoints: best"))
    assert "3 jobs" in unetsweep("submit", "eyes.yaml", "--no-share").stdout
    runs = Path("results/eyes/runs")
    until(lambda: any(path.read_text().count("\n") > 2 for path in runs.glob("0000/progress-1-0.jsonl")), TRAINS_S)
    (job,) = {json.loads(path.read_bytes())["job_id"] for path in runs.glob("0000/claims/*")}
    cluster.run("scontrol", "requeue", job)
    results = until_trained("eyes", 3)
    assert [result["state"] for result in results] == ["complete"] * 3, results
    assert (runs / "0000/claims/1-1").exists(), "it never started again"
    assert epochs_trained("eyes") >= 48

    # they are one array; the table has their job ids and scores; only their best checkpoints are kept
    array = {str(result["job_id"]).split("_")[0] for result in results}
    assert len(array) == 1
    assert array <= set(cluster.run("squeue", "--me", "-h", "-t", "all", "-o", "%F").split())
    claims = {json.loads(path.read_bytes())["job_id"] for path in runs.glob("*/claims/*")}
    assert sorted(claims) == sorted(result["job_id"] for result in results)
    assert_table_has_scores(results)
    until_queue_is_empty(cluster)
    assert {path.name for path in runs.glob("*/checkpoints/*")} == {"best-8.ckpt", "best-16.ckpt", "best-24.ckpt"}

    # the requeued training equals an uninterrupted one
    assert "bit for bit the same" in unetsweep("reproduce", "eyes", "0").stdout
    alone = json.loads(Path("results/eyes/reproduced/0000/milestones/24.json").read_bytes())
    same = ("val_iou", "val_loss", "test_iou", "test_loss", "best_epoch", "test_per_image")
    assert {name: results[0][name] for name in same} == {name: alone[name] for name in same}

    # one shared run serves all three, with half the epochs
    (workspace / "shared.yaml").write_text(text.replace("name: eyes", "name: shared"))
    dry_run = unetsweep("submit", "shared.yaml", "--dry-run").stdout
    assert "epochs asked 48, epochs to train 24" in dry_run
    unetsweep("submit", "shared.yaml")
    until_trained("shared", 3)
    assert rows("shared") == rows("eyes")
    assert epochs_trained("shared") == 24

    # two trainings side by side in one job
    packed = sweep_of("8, 16").replace("name: eyes", "name: packed").replace("mem: 3G", "mem: 4G, pack: 2")
    (workspace / "packed.yaml").write_text(packed)
    assert "(1 job of up to 2 runs each)" in unetsweep("submit", "packed.yaml", "--no-share").stdout
    assert len({str(result["job_id"]).partition(".")[0] for result in until_trained("packed", 2)}) == 1
    assert rows("packed") == rows("eyes")[1:]
    until_queue_is_empty(cluster)


@pytest.mark.thorough  # the first test of this file does it with two processes; tests/training/test_ranks.py with three
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_requeued_training_ends_with_the_same_bits_as_an_uninterrupted_one(
    size: int, workspace: Path, cluster: Cluster
):
    text = sweep_of("24", str(size)).replace("processes: 2", f"processes: {size}").replace("mem: 3G", "mem: 4G")
    (workspace / "eyes.yaml").write_text(text)
    unetsweep("submit", "eyes.yaml")
    run = Path("results/eyes/runs/0000")
    until(lambda: any(path.read_text().count("\n") > 2 for path in run.glob("progress-1-0.jsonl")), TRAINS_S)
    (job,) = {json.loads(path.read_bytes())["job_id"] for path in run.glob("claims/*")}
    cluster.run("scontrol", "requeue", job)
    (result,) = until_trained("eyes", 1)
    assert (run / "claims/1-1").exists(), "it never started again"
    assert "bit for bit the same" in unetsweep("reproduce", "eyes", "0").stdout
    alone = json.loads(Path("results/eyes/reproduced/0000/milestones/24.json").read_bytes())
    print(f"{size} ranks, requeued: {result['weights_sha256']}\n{size} ranks, alone: {alone['weights_sha256']}")  # noqa: T201  # -s
    assert result["weights_sha256"] == alone["weights_sha256"]


@pytest.mark.thorough  # the first test of this file is a shorter version
def test_a_shared_grid_trains_half_of_the_epochs_and_every_row_equals_that_of_a_separate_training(
    workspace: Path, cluster: Cluster
):
    text = sweep_of("2, 4, 6, 8, 20", "2, 4", "1e-3, 1e-2")
    (workspace / "eyes.yaml").write_text(text)
    assert "epochs asked 160, epochs to train 80" in unetsweep("submit", "eyes.yaml", "--dry-run").stdout
    unetsweep("submit", "eyes.yaml")
    (workspace / "alone.yaml").write_text(text.replace("name: eyes", "name: alone"))
    unetsweep("submit", "alone.yaml", "--no-share")
    until(lambda: len(rows("eyes")) == len(rows("alone")) == 20, 1200)

    assert [row["state"] for row in rows("eyes")] == ["complete"] * 20
    assert rows("eyes") == rows("alone")
    assert (epochs_trained("eyes"), epochs_trained("alone")) == (80, 160)


DIES = """
import os, signal
replace = os.replace
def dying(source, target, **more):
    if str(target).endswith("milestones/3.json") and not os.path.exists(MARK):
        open(MARK, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target, **more)
os.replace = dying
"""
"""Kills the trainer once, after the checkpoint of milestone 3 is written and before its result is."""

SHARED = """
name: eyes
data: {root: eyes, image_size: 64, split: {val: 0.5}}
space: {epochs: [EPOCHS], batch_size: [4], learning_rate: [1e-2]}
model: {base: 4, depth: 2, norm: batch}
slurm: {time: 10m, mem: 3G, setup: ['export PYTHONPATH=FOLDER']}
"""


@pytest.mark.thorough  # tests/training has these kills; this has them inside a SLURM job
def test_a_shared_training_loses_nothing_if_it_is_killed_around_a_milestone(workspace: Path, cluster: Cluster):
    text, mark = SHARED.replace("FOLDER", str(workspace)), workspace / "died"
    (workspace / "sitecustomize.py").write_text(DIES.replace("MARK", repr(str(mark))))
    (workspace / "eyes.yaml").write_text(text.replace("EPOCHS", "3, 20"))
    run = Path("results/eyes/runs/0000")
    attempts = run / "attempts"
    unetsweep("submit", "eyes.yaml")
    until(mark.exists, TRAINS_S)
    assert (run / "checkpoints/best-3.ckpt").exists()
    assert not (run / "milestones/3.json").exists()
    # the reconciler job would continue the sweep after five minutes; `submit` does it now
    until(lambda: unetsweep("submit", "eyes.yaml") and (attempts / "2.json").exists())

    until((run / "milestones/3.json").exists, TRAINS_S)
    claim = max(run.glob("claims/*"), key=lambda path: path.name)
    os.kill(json.loads(claim.read_bytes())["pid"], signal.SIGKILL)
    until(lambda: unetsweep("submit", "eyes.yaml") and (attempts / "3.json").exists())
    until_trained("eyes", 2)
    assert len(list(attempts.glob("?.json"))) == 3, "it was not resubmitted"

    (workspace / "eyes.yaml").write_text(text.replace("EPOCHS", "3, 20, 26"))
    unetsweep("submit", "eyes.yaml")
    until_trained("eyes", 3)
    (workspace / "alone.yaml").write_text(text.replace("EPOCHS", "3, 20, 26").replace("name: eyes", "name: alone"))
    unetsweep("submit", "alone.yaml", "--no-share", "--executor", "local", "--watch")
    assert [row["state"] for row in rows("eyes")] == ["complete"] * 3
    assert rows("eyes") == rows("alone")
