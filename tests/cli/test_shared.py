"""Trials that differ only in epochs share a run; each row equals that of a separate training bit for bit."""

import json
from pathlib import Path
from typing import Any

import pytest
from local_sweeps import Workspace

pytestmark = pytest.mark.train

SWEEP = """
name: NAME
data: {root: eyes, image_size: 32}
space: {epochs: [EPOCHS], batch_size: [4], learning_rate: [1e-2]}
"""
PLAIN = "model: {base: 4, depth: 2}\n"
HARD = """
model: {base: 4, depth: 2, norm: batch, padding: same, dropout: 0.1}
trainer: {val_every: 3}
slurm: {processes: 2}
"""
DIFFERENT = {"trial", "job_id", "seconds", "gpu_seconds", "peak_memory_mb", "host"}


def write_sweep(workspace: Workspace, epochs: str, settings: str, name: str = "s") -> Path:
    path = workspace.folder / f"{name}.yaml"
    path.write_text(SWEEP.replace("EPOCHS", epochs).replace("NAME", name) + settings)
    return path


def rows(workspace: Workspace, name: str = "s") -> list[dict[str, Any]]:
    """The results of all trials, without the fields that differ between any two trainings."""
    paths = sorted((workspace.folder / "results" / name).glob("trials/*/result.json"))
    results = [json.loads(path.read_text()) for path in paths]
    return [{field: value for field, value in result.items() if field not in DIFFERENT} for result in results]


def epochs_trained(workspace: Workspace, name: str = "s") -> int:
    logs = (workspace.folder / "results" / name / "runs").glob("*/progress-*.jsonl")
    return sum(len(log.read_text().splitlines()) for log in logs)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(PLAIN, id="plain", marks=pytest.mark.thorough),
        pytest.param(HARD, id="batch norm, dropout, val_every 3, DDP of 2"),
    ],
)
def test_every_row_equals_that_of_a_separate_training(workspace: Workspace, settings: str) -> None:
    workspace.submit(write_sweep(workspace, "2, 4, 5", settings), "--watch")
    workspace.submit(write_sweep(workspace, "2, 4, 5", settings, "alone"), "--no-share", "--watch")

    assert [row["state"] for row in rows(workspace)] == ["complete"] * 3
    assert rows(workspace) == rows(workspace, "alone")
    assert (epochs_trained(workspace), epochs_trained(workspace, "alone")) == (5, 11)
    assert len({row["weights_sha256"] for row in rows(workspace)}) > 1


def test_longer_trials_that_are_added_later_train_only_the_additional_epochs(workspace: Workspace) -> None:
    workspace.submit(write_sweep(workspace, "2, 4", PLAIN), "--watch")
    path = write_sweep(workspace, "1, 2, 4, 6", PLAIN)
    output = workspace.submit(path, "--dry-run").stdout
    assert "trials 4, runs 2, jobs 2, arrays 0, epochs asked 13, epochs to train 7" in output
    assert "trials that differ only in epochs share a run: 6 epochs fewer (46%)" in output

    workspace.submit(path, "--watch")

    assert epochs_trained(workspace) == 7  # 4, two more, and 1 in a separate run, because a training never goes back
    workspace.submit(write_sweep(workspace, "2, 4, 1, 6", PLAIN, "alone"), "--no-share", "--watch")
    assert sorted(rows(workspace), key=lambda row: row["epochs"]) == sorted(
        rows(workspace, "alone"), key=lambda row: row["epochs"]
    )
    assert "bit for bit the same" in workspace.run("reproduce", "s", "3").stdout


def test_a_cancelled_trial_does_not_stop_a_shared_training_and_its_result_is_kept(workspace: Workspace) -> None:
    workspace.submit(write_sweep(workspace, "60, 61", PLAIN))
    runs = workspace.folder / "results/s/runs"
    workspace.wait(lambda: list(runs.glob("*/progress-*.jsonl")))
    done = workspace.run("cancel", "s", "0")
    assert done.stdout.startswith("cancelled 1 trial of s: 0\n")
    assert "the runs of these trials continue for trials that share them: 0" in done.stdout
    assert done.stderr == ""
    assert "cancelled; its run continues for the trials that share it" in workspace.run("status", "s").stdout
    workspace.run("submit", "s.yaml", "--executor", "local", "--watch")
    # the training reached the epochs of the cancelled trial anyway
    assert [row["state"] for row in rows(workspace)] == ["complete", "complete"]
    assert epochs_trained(workspace) == 61


def test_a_shorter_trial_does_not_join_an_existing_training_and_the_dry_run_says_so(workspace: Workspace) -> None:
    workspace.submit(write_sweep(workspace, "4", PLAIN), "--watch")
    output = workspace.submit(write_sweep(workspace, "2, 4", PLAIN), "--dry-run").stdout
    assert "epochs asked 6, epochs to train 6" in output
    assert "no run is shared: no trial is a part of another trial's training" in output


def test_if_nothing_can_be_shared_the_dry_run_says_why(workspace: Workspace) -> None:
    cosine = PLAIN + "trainer: {schedule: cosine}\n"
    output = workspace.submit(write_sweep(workspace, "2, 4", cosine), "--dry-run").stdout
    assert "runs 2, jobs 2, arrays 0, epochs asked 6, epochs to train 6" in output
    assert "no run is shared: the schedule cosine depends on the number of epochs" in output
    found = json.loads(
        workspace.submit(write_sweep(workspace, "2, 4", PLAIN), "--dry-run", "--no-share", "--json").stdout
    )
    assert (found["runs"], found["not_shared"]) == (2, "run.share is false")
