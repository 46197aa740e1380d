"""Our trainer on a real SLURM: two processes a job under srun, the table, a job requeued on the way, trainings that are
shared, packed or killed. Each start of a training costs seconds, so a test makes several promises of one sweep."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import Cluster
from slurm_sweeps import results_of, unetsweep, until, until_left

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
"""Two processes, batch norm, dropout, and epochs without a score: what makes it hard to come out the same."""
TRAINS_S = 400.0
"""Two processes on two cores, of which others want some too."""


@pytest.fixture
def place(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "4")
    return tmp_path


def until_trained(sweep: str, count: int) -> list[dict[str, Any]]:
    until(lambda: len(results_of(sweep)) == count, TRAINS_S)
    return results_of(sweep)


VARYING = {"trial", "job_id", "seconds", "gpu_seconds", "peak_memory_mb", "host"}


def rows(sweep: str) -> list[dict[str, Any]]:
    """Each trial's result, without what no two trainings have in common."""
    return [{name: value for name, value in row.items() if name not in VARYING} for row in results_of(sweep)]


def epochs_trained(sweep: str) -> int:
    logs = Path("results", sweep, "runs").glob("*/progress-*.jsonl")
    return sum(len(log.read_text().splitlines()) for log in logs)


def assert_the_table_has_the_jobs_numbers(results: list[dict[str, Any]]) -> None:
    table = unetsweep("report", "eyes", "--format", "markdown").stdout
    for result in results:
        row = next(line for line in table.splitlines() if f" {result['job_id']} " in line).replace("*", "")
        shown = [float(cell) for cell in row.strip("|").split("|")[4:]]
        asked = [result[name] for name in ("val_iou", "val_loss", "test_iou", "test_loss")]
        assert shown == [round(value, 4) for value in asked]


def sweep_of(epochs: str, batches: str = "4", rates: str = "1e-2") -> str:
    return SWEEP.replace("EPOCHS", epochs).replace("BATCHES", batches).replace("RATES", rates)


def test_trainings_of_two_processes_each_alone_one_requeued_one_shared_or_packed_all_give_the_same_rows(
    place: Path, cluster: Cluster
):
    text = sweep_of("24, 8, 16")
    (place / "eyes.yaml").write_text(text.replace("parallel: 2", "parallel: 2, keep_checkpoints: best"))
    assert "3 jobs" in unetsweep("submit", "eyes.yaml", "--no-share").stdout
    runs = Path("results/eyes/runs")
    until(lambda: any(path.read_text().count("\n") > 2 for path in runs.glob("0000/progress-1-0.jsonl")), TRAINS_S)
    (job,) = {json.loads(path.read_bytes())["job_id"] for path in runs.glob("0000/claims/*")}
    cluster.run("scontrol", "requeue", job)
    results = until_trained("eyes", 3)
    assert [result["state"] for result in results] == ["complete"] * 3, results
    assert (runs / "0000/claims/1-1").exists(), "it never started again"
    assert epochs_trained("eyes") >= 48

    # one array, whose jobs' numbers are in the table, and whose best checkpoints are kept
    array = {str(result["job_id"]).split("_")[0] for result in results}
    assert len(array) == 1
    assert array <= set(cluster.run("squeue", "--me", "-h", "-t", "all", "-o", "%F").split())
    claims = {json.loads(path.read_bytes())["job_id"] for path in runs.glob("*/claims/*")}
    assert sorted(claims) == sorted(result["job_id"] for result in results)
    assert_the_table_has_the_jobs_numbers(results)
    until_left(cluster)
    assert {path.name for path in runs.glob("*/checkpoints/*")} == {"best-8.ckpt", "best-16.ckpt", "best-24.ckpt"}

    # the one that was requeued is one that was left alone
    assert "bit for bit the same" in unetsweep("reproduce", "eyes", "0").stdout
    alone = json.loads(Path("results/eyes/reproduced/0000/milestones/24.json").read_bytes())
    same = ("val_iou", "val_loss", "test_iou", "test_loss", "best_epoch", "test_per_image")
    assert {name: results[0][name] for name in same} == {name: alone[name] for name in same}

    # one training for all three, of half the epochs
    (place / "shared.yaml").write_text(text.replace("name: eyes", "name: shared"))
    told = unetsweep("submit", "shared.yaml", "--dry-run").stdout
    assert "epochs asked 48, epochs to train 24" in told
    unetsweep("submit", "shared.yaml")
    until_trained("shared", 3)
    assert rows("shared") == rows("eyes")
    assert epochs_trained("shared") == 24

    # two side by side in one job
    packed = sweep_of("8, 16").replace("name: eyes", "name: packed").replace("mem: 3G", "mem: 4G, pack: 2")
    (place / "packed.yaml").write_text(packed)
    assert "(1 job of up to 2 trainings each)" in unetsweep("submit", "packed.yaml", "--no-share").stdout
    assert len({str(result["job_id"]).partition(".")[0] for result in until_trained("packed", 2)}) == 1
    assert rows("packed") == rows("eyes")[1:]
    until_left(cluster)


@pytest.mark.parametrize("size", [*(pytest.param(n, marks=pytest.mark.thorough) for n in (1, 2, 3)), 4])
def test_a_training_that_is_requeued_ends_with_the_bits_of_one_that_was_not(size: int, place: Path, cluster: Cluster):
    text = sweep_of("24", str(size)).replace("processes: 2", f"processes: {size}").replace("mem: 3G", "mem: 4G")
    (place / "eyes.yaml").write_text(text)
    unetsweep("submit", "eyes.yaml")
    run = Path("results/eyes/runs/0000")
    until(lambda: any(path.read_text().count("\n") > 2 for path in run.glob("progress-1-0.jsonl")), TRAINS_S)
    (job,) = {json.loads(path.read_bytes())["job_id"] for path in run.glob("claims/*")}
    cluster.run("scontrol", "requeue", job)
    (result,) = until_trained("eyes", 1)
    assert (run / "claims/1-1").exists(), "it never started again"
    assert "bit for bit the same" in unetsweep("reproduce", "eyes", "0").stdout
    alone = json.loads(Path("results/eyes/reproduced/0000/milestones/24.json").read_bytes())
    print(f"{size} ranks, requeued: {result['weights']}\n{size} ranks, alone: {alone['weights']}")  # noqa: T201  # -s
    assert result["weights"] == alone["weights"]


@pytest.mark.thorough  # the first test is a shorter version
def test_a_grid_of_epochs_trains_half_of_them_and_every_row_is_that_of_a_training_of_its_own(
    place: Path, cluster: Cluster
):
    text = sweep_of("2, 4, 6, 8, 20", "2, 4", "1e-3, 1e-2")
    (place / "eyes.yaml").write_text(text)
    assert "epochs asked 160, epochs to train 80" in unetsweep("submit", "eyes.yaml", "--dry-run").stdout
    unetsweep("submit", "eyes.yaml")
    (place / "alone.yaml").write_text(text.replace("name: eyes", "name: alone"))
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
"""Ends the trainer once, when the milestone's checkpoint is written and its result is about to be."""

SHARED = """
name: eyes
data: {root: eyes, image_size: 64, split: {val: 0.5}}
space: {epochs: [EPOCHS], batch_size: [4], learning_rate: [1e-2]}
model: {base: 4, depth: 2, norm: batch}
slurm: {time: 10m, mem: 3G, setup: ['export PYTHONPATH=PLACE']}
"""


@pytest.mark.thorough  # tests/training has these kills; this has them inside a SLURM job
def test_a_shared_job_loses_nothing_when_it_is_killed_around_a_milestone(place: Path, cluster: Cluster):
    text, mark = SHARED.replace("PLACE", str(place)), place / "died"
    (place / "sitecustomize.py").write_text(DIES.replace("MARK", repr(str(mark))))
    (place / "eyes.yaml").write_text(text.replace("EPOCHS", "3, 20"))
    run = Path("results/eyes/runs/0000")
    attempts = run / "attempts"
    unetsweep("submit", "eyes.yaml")
    until(mark.exists, TRAINS_S)
    assert (run / "checkpoints/best-3.ckpt").exists()
    assert not (run / "milestones/3.json").exists()
    # by itself it goes on when the reconciler job looks, after five minutes; a person need not wait for that
    until(lambda: unetsweep("submit", "eyes.yaml") and (attempts / "2.json").exists())

    until((run / "milestones/3.json").exists, TRAINS_S)
    claim = max(run.glob("claims/*"), key=lambda path: path.name)
    os.kill(json.loads(claim.read_bytes())["pid"], signal.SIGKILL)
    until(lambda: unetsweep("submit", "eyes.yaml") and (attempts / "3.json").exists())
    until_trained("eyes", 2)
    assert len(list(attempts.glob("?.json"))) == 3, "it was not sent again"

    (place / "eyes.yaml").write_text(text.replace("EPOCHS", "3, 20, 26"))
    unetsweep("submit", "eyes.yaml")
    until_trained("eyes", 3)
    (place / "alone.yaml").write_text(text.replace("EPOCHS", "3, 20, 26").replace("name: eyes", "name: alone"))
    unetsweep("submit", "alone.yaml", "--no-share", "--executor", "local", "--watch")
    assert [row["state"] for row in rows("eyes")] == ["complete"] * 3
    assert rows("eyes") == rows("alone")
