"""Trials that differ only in epochs are one training, and each row is that of a training of its own, to the bit."""

import json
from pathlib import Path
from typing import Any

import pytest
from local_sweeps import Place

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
VARYING = {"trial", "job_id", "seconds", "gpu_seconds", "peak_memory_mb", "host"}


def written(place: Place, epochs: str, settings: str, name: str = "s") -> Path:
    path = place.folder / f"{name}.yaml"
    path.write_text(SWEEP.replace("EPOCHS", epochs).replace("NAME", name) + settings)
    return path


def rows(place: Place, name: str = "s") -> list[dict[str, Any]]:
    """Each trial's result, without what no two trainings have in common."""
    paths = sorted((place.folder / "results" / name).glob("trials/*/result.json"))
    results = [json.loads(path.read_text()) for path in paths]
    return [{field: value for field, value in result.items() if field not in VARYING} for result in results]


def epochs_trained(place: Place, name: str = "s") -> int:
    logs = (place.folder / "results" / name / "runs").glob("*/progress-*.jsonl")
    return sum(len(log.read_text().splitlines()) for log in logs)


@pytest.mark.parametrize("settings", [PLAIN, HARD], ids=["plain", "batch norm, dropout, val_every 3, DDP of 2"])
def test_every_row_is_that_of_a_training_of_its_own(place: Place, settings: str) -> None:
    place.submit(written(place, "2, 4, 5", settings), "--watch")
    place.submit(written(place, "2, 4, 5", settings, "alone"), "--no-share", "--watch")

    assert [row["state"] for row in rows(place)] == ["complete"] * 3
    assert rows(place) == rows(place, "alone")
    assert (epochs_trained(place), epochs_trained(place, "alone")) == (5, 11)
    assert len({row["weights"] for row in rows(place)}) > 1


def test_longer_trials_that_are_asked_for_later_train_the_difference_only(place: Place) -> None:
    place.submit(written(place, "2, 4", PLAIN), "--watch")
    path = written(place, "1, 2, 4, 6", PLAIN)
    said = place.submit(path, "--dry-run").stdout
    assert "trials 4, runs 2, jobs 2, arrays 0, epochs asked 13, epochs to train 7" in said
    assert "trials that differ only in epochs share a training: 6 epochs fewer (46%)" in said

    place.submit(path, "--watch")

    assert epochs_trained(place) == 7  # 4, two more, and one of its own: a training never goes back
    place.submit(written(place, "2, 4, 1, 6", PLAIN, "alone"), "--no-share", "--watch")
    assert sorted(rows(place), key=lambda row: row["epochs"]) == sorted(
        rows(place, "alone"), key=lambda row: row["epochs"]
    )
    assert "bit for bit the same" in place.run("reproduce", "s", "3").stdout


def test_a_cancelled_trial_within_a_training_holds_nobody_up_and_its_result_is_kept(place: Place) -> None:
    place.submit(written(place, "60, 61", PLAIN))
    runs = place.folder / "results/s/runs"
    place.wait(lambda: list(runs.glob("*/progress-*.jsonl")))
    said = place.run("cancel", "s", "0")
    assert "cancelled 1 trials of s: 0\nthe runs of these trials continue for trials that share them: 0" in said.stdout
    assert said.stderr == ""
    assert "its run continues for the trials that share it" in place.run("status", "s").stdout
    place.run("submit", "s.yaml", "--executor", "local", "--watch")
    assert [row["state"] for row in rows(place)] == ["complete", "complete"]  # it lay on the way
    assert epochs_trained(place) == 61


def test_a_training_that_is_longer_already_is_joined_by_nobody_and_the_plan_says_so(place: Place) -> None:
    place.submit(written(place, "4", PLAIN), "--watch")
    said = place.submit(written(place, "2, 4", PLAIN), "--dry-run").stdout
    assert "epochs asked 6, epochs to train 6" in said
    assert "no training is shared: no trial is a part of another trial's training" in said


def test_where_nothing_can_be_shared_the_plan_says_why(place: Place) -> None:
    cosine = PLAIN + "trainer: {schedule: cosine}\n"
    said = place.submit(written(place, "2, 4", cosine), "--dry-run").stdout
    assert "runs 2, jobs 2, arrays 0, epochs asked 6, epochs to train 6" in said
    assert "no training is shared: the schedule cosine depends on the number of epochs" in said
    told = json.loads(place.submit(written(place, "2, 4", PLAIN), "--dry-run", "--no-share", "--json").stdout)
    assert (told["runs"], told["not_shared"]) == (2, "run.share is false")
