"""Whole trainings: results, equal bits after kills and resumes, shared milestones, several processes."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_scenes as scenes
from training_scenes import FOUR, MILESTONES, left_behind, trained

from unetsweep.analysis.reproducibility import unequal
from unetsweep.contract import result_from
from unetsweep.core.metric import METRICS
from unetsweep.datasets.scores import iou, summed
from unetsweep.errors import TrainingError
from unetsweep.training import data
from unetsweep.training.checkpoints import LAST, load_unet, weights_digest
from unetsweep.training.evaluate import evaluate
from unetsweep.training.run import train

pytestmark = pytest.mark.train

SEED_WITH_BEST_THIRD_EPOCH = 2
DIVERGING_RATE = 1e3


@pytest.mark.parametrize("metric", ["val_loss", "val_sensitivity"])
def test_the_checkpoint_is_the_epoch_with_the_best_metric(root: Path, tmp_path: Path, metric: str) -> None:
    config = scenes.config(root, epochs=6, metric=metric, learning_rate=3e-2)
    out = scenes.trained(tmp_path / "out", config)
    lines = [json.loads(text) for text in (out / "progress-1-0.jsonl").read_text().splitlines()]
    sign = -1 if metric == "val_loss" else 1
    best = max(lines, key=lambda line: (sign * line[metric], -line["epoch"]))
    result = result_from(scenes.result(out, 6), "6.json")
    assert (result.best_epoch, result.val_iou) == (best["epoch"], best["val_iou"])
    assert METRICS[metric].of_result(result) == best[metric]


def test_a_result_has_every_field_of_the_training(root: Path, whole: Path) -> None:
    result = result_from(scenes.result(whole, 4), "4.json")
    images = data.read(scenes.config(root))
    assert (result.state, result.epochs, result.epochs_run, result.micro_batch) == ("complete", 4, 4, 4)
    assert result.best_epoch in (2, 4)
    assert result.checkpoint == "checkpoints/best-4.ckpt"
    assert result.data_manifest == images.manifest
    always = {"python", "torch", "pytorch_lightning", "unetsweep"}
    of_gpu = {"cuda", "cudnn", "nccl", "driver"}
    assert set(result.versions) == {*always, "numpy", "opencv-python-headless", "albumentations", *of_gpu}
    assert result.precision == {"tf32_convolutions": None, "tf32_matmuls": None, "variables": None}
    assert set(result.hardware) == {"cpu", "simd"}
    assert result.threads == 1
    assert (result.gpu_seconds, result.message, result.trial) == (0, None, None)
    assert result.seconds is not None
    assert result.seconds > 0
    assert result.peak_memory_mb is not None
    assert result.peak_memory_mb > 50
    unet, config, best = load_unet(whole / result.checkpoint)
    assert config == scenes.config(root, **FOUR)
    assert best.epoch == result.best_epoch
    test = evaluate(unet, images.test, torch.device("cpu"))
    assert (test.iou, test.loss) == (result.test_iou, result.test_loss)
    assert test.per_image() == result.test_per_image
    assert test.summary() == result.test_scores
    assert evaluate(unet, images.val, torch.device("cpu")).summary() == result.val_scores
    assert result.also_scored == {}
    assert result.weights_sha256 == weights_digest(unet.state_dict())


@pytest.mark.parametrize("size", [1, 2])
def test_the_best_checkpoint_has_the_iou_that_was_logged_for_its_epoch(size: int, request: Any) -> None:
    out = request.getfixturevalue("whole" if size == 1 else "pair")
    for milestone in MILESTONES:
        row = scenes.row(out, milestone)
        logged = scenes.progress(out)[row["best_epoch"]]
        counts = [(image["tp"], image["fp"], image["fn"]) for image in row["val_per_image"]]
        assert len(counts) == 2
        assert iou(*summed(counts)) == row["val_iou"] == logged[1]
        assert row["val_loss"] == pytest.approx(np.mean([image["loss"] for image in row["val_per_image"]]), rel=1e-12)


@pytest.mark.parametrize("size", [1, 2])
def test_scores_equal_those_of_the_saved_weights_for_any_number_of_ranks(size: int, root: Path, request: Any) -> None:
    out = request.getfixturevalue("whole" if size == 1 else "pair")  # with batch normalisation
    images = data.read(scenes.config(root))
    for milestone in MILESTONES:
        row = scenes.row(out, milestone)
        unet, _, _ = load_unet(out / row["checkpoint"])
        for part, name in ((images.val, "val"), (images.test, "test")):
            scores = evaluate(unet, part, torch.device("cpu"))
            assert scores.iou == row[f"{name}_iou"]
            assert scores.loss == pytest.approx(row[f"{name}_loss"], rel=1e-6)


def test_the_same_config_twice_gives_the_same_bits(root: Path, whole: Path, tmp_path: Path) -> None:
    again = trained(tmp_path / "again", scenes.config(root, **FOUR), milestones=MILESTONES, save_every_s=60.0)
    assert left_behind(again) == left_behind(whole)


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.thorough)])
def test_a_training_killed_at_any_point_and_resumed_equals_an_uninterrupted_one(
    step: int, root: Path, whole: Path, tmp_path: Path
) -> None:
    """`step`: 1 tries every point, 4 every fourth one."""
    config = scenes.config(root, **FOUR)
    states = scenes.states_of(trained(tmp_path / "calm", config, milestones=MILESTONES, snapshots=True))
    assert len(states) > 12
    for point in sorted(states)[::step]:
        out = states[point]
        trained(out, config, milestones=MILESTONES, claim="1-1")
        assert left_behind(out) == left_behind(whole), f"killed at ownership check {point}"


def test_two_processes_killed_and_resumed_equal_an_uninterrupted_training(
    root: Path, pair: Path, tmp_path: Path
) -> None:
    config = scenes.config(root, **FOUR, processes=2)
    calm = trained(tmp_path / "calm", config, size=2, milestones=MILESTONES, snapshots=True)
    points = int((calm / "checks-0").read_text())
    for point in (points // 2, points - 1):
        out = scenes.snapshot(calm, point)
        assert (out / LAST).exists()
        trained(out, config, size=2, milestones=MILESTONES, claim="1-1")
        assert left_behind(out) == left_behind(pair)


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.thorough), 2])
def test_a_kill_leaves_the_files_that_a_snapshot_has(size: int, root: Path, tmp_path: Path) -> None:
    config = scenes.config(root, **FOUR, processes=size)
    calm = trained(tmp_path / "calm", config, size, milestones=MILESTONES, snapshots=True)
    saving = [point for point, folder in scenes.states_of(calm).items() if list(folder.glob(f"{LAST}*.tmp"))]
    point, left = saving[-1], tmp_path / "killed"
    statuses = scenes.run(scenes.train, left, config, size=size, kill_at=point, milestones=MILESTONES)
    assert statuses[0] == -signal.SIGKILL
    expected = scenes.snapshot(calm, point)
    names = [[name for name, _, _ in scenes.contents(folder)] for folder in (expected, left)]
    assert [name for name in names[1] if not name.startswith("error-")] == names[0]
    assert scenes.weights(left / LAST) == scenes.weights(expected / LAST)
    assert scenes.progress(left) == scenes.progress(expected)
    trained(left, config, size, milestones=MILESTONES, claim="1-1")
    assert left_behind(left) == left_behind(calm)


@pytest.fixture(scope="module")
def long(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training of 24 epochs."""
    return trained(tmp_path_factory.mktemp("long") / "out", scenes.config(root, epochs=24))


@pytest.mark.parametrize("sign", [pytest.param(signal.SIGKILL, marks=pytest.mark.thorough), signal.SIGTERM])
def test_a_training_killed_in_the_middle_of_an_epoch_and_resumed_equals_an_uninterrupted_one(
    sign: int, root: Path, long: Path, tmp_path: Path
) -> None:
    workers = {"workers": 1} if sign == signal.SIGTERM else {}  # the number of workers changes no bit
    config, out = scenes.config(root, epochs=24, trainer=workers), tmp_path / "out"
    ranks = scenes.start(scenes.train, out, config)
    while not (out / "progress-1-0.jsonl").exists() or len(scenes.progress(out)) < 3:
        time.sleep(0.01)
    os.kill(ranks[0].pid, sign)
    assert scenes.wait(ranks) == [-sign]  # a signal is never a normal end
    trained(out, config, claim="2-0")
    assert scenes.row(out, 24) == scenes.row(long, 24)
    assert unequal(*(result_from(scenes.result(folder, 24), str(folder)) for folder in (long, out))) == []
    assert scenes.weights(out / LAST) == scenes.weights(long / LAST)
    assert scenes.progress(out) == scenes.progress(long)
    resumed = (out / "progress-2-0.jsonl").read_text().splitlines()
    assert 0 < len(resumed) < 24


def test_a_shared_training_gives_the_rows_of_separate_trainings(root: Path, whole: Path, tmp_path: Path) -> None:
    for milestone in MILESTONES:
        config = scenes.config(root, epochs=milestone, trainer={"val_every": 2})
        alone = trained(tmp_path / str(milestone), config)
        assert scenes.row(alone, milestone) == scenes.row(whole, milestone)
        best = f"checkpoints/best-{milestone}.ckpt"
        assert scenes.weights(alone / best) == scenes.weights(whole / best)


def test_a_validation_for_another_milestone_never_counts(root: Path, tmp_path: Path) -> None:
    config = scenes.config(root, epochs=4, seed=SEED_WITH_BEST_THIRD_EPOCH, trainer={"val_every": 4})
    out = trained(tmp_path / "out", config, milestones=(3, 4))
    iou = {epoch: line[1] for epoch, line in scenes.progress(out).items()}
    assert iou[1] is iou[2] is None
    assert iou[3] > iou[4]
    assert scenes.row(out, 3)["best_epoch"] == 3
    assert scenes.row(out, 4)["best_epoch"] == 4


def test_additional_epochs_continue_from_the_end_of_the_run(root: Path, whole: Path, tmp_path: Path) -> None:
    short = scenes.config(root, epochs=3, trainer={"val_every": 2})
    out = trained(tmp_path / "out", short)
    before = (out / "milestones/3.json").stat().st_mtime_ns
    trained(out, scenes.config(root, **FOUR), milestones=MILESTONES, claim="2-0")
    assert [sorted(scenes.progress(out)), len((out / "progress-2-0.jsonl").read_text().splitlines())] == [
        [1, 2, 3, 4],
        1,
    ]
    assert (out / "milestones/3.json").stat().st_mtime_ns == before
    assert left_behind(out) == left_behind(whole)


def test_a_finished_run_is_not_changed(root: Path, whole: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}
    train(scenes.config(root, **FOUR), whole, milestones=MILESTONES, claim="9-0")
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()} == before


def test_two_processes_train_like_one(root: Path, tmp_path: Path) -> None:
    images = scenes.write_images(
        tmp_path / "seven", count=7
    )  # five training images, so the last step is one sample, for one rank
    # SGD, because Adam would hide a gradient of the wrong size
    plain = {"model": {"norm": "none"}, "epochs": 3, "learning_rate": 0.05, "trainer": {"optimizer": "sgd"}}
    one = trained(tmp_path / "one", scenes.config(images, **plain))
    two = trained(tmp_path / "two", scenes.config(images, **plain, processes=2), size=2)
    for (name, a), b in zip(scenes.weights(one / LAST).items(), scenes.weights(two / LAST).values(), strict=True):
        np.testing.assert_allclose(np.frombuffer(a, "f4"), np.frombuffer(b, "f4"), atol=2e-5, err_msg=name)
    for a, b in zip(scenes.progress(one).values(), scenes.progress(two).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    assert scenes.result(two, 3)["micro_batch"] == 2


def test_a_training_that_lost_its_run_stops_and_writes_nothing_more(root: Path, whole: Path, tmp_path: Path) -> None:
    config = scenes.config(root, **FOUR)
    points = int((whole / "checks-0").read_text())
    for point in (1, points // 2, points):
        out = tmp_path / str(point)
        assert scenes.run(scenes.train, out, config, lose_at=point, milestones=MILESTONES) == [1]
        assert scenes.error(out)["type"] == "SupersededError"
        assert scenes.error(out)["message"].startswith("another attempt owns")
        assert not (out / "milestones/4.json").exists()
        assert not list(out.rglob("*.tmp"))
    pair = scenes.config(root, **FOUR, processes=2)
    assert scenes.run(scenes.train, tmp_path / "pair", pair, size=2, lose_at=5, milestones=MILESTONES) == [1, 1]
    for rank in (0, 1):
        assert scenes.error(tmp_path / "pair", rank)["message"].startswith("another attempt owns")


def test_a_loss_that_is_not_finite_ends_as_diverged(root: Path, tmp_path: Path) -> None:
    diverging = {"optimizer": "sgd", "augment": "none"}
    config = scenes.config(
        root, epochs=6, batch_size=6, learning_rate=DIVERGING_RATE, model={"norm": "none"}, trainer=diverging
    )
    out = trained(tmp_path / "out", config, milestones=(5, 6))
    for milestone in (5, 6):
        row = scenes.row(out, milestone)
        assert (row["state"], row["epochs"], row["best_epoch"]) == ("diverged", milestone, 1)
        assert row["epochs_run"] < 5
        assert row["val_iou"] is not None
        assert row["test_iou"] is not None
        assert f"in epoch {row['epochs_run']}" in row["message"]
        assert (out / row["checkpoint"]).exists()
    trained(out, config, milestones=(5, 6), claim="1-1")
    hopeless = scenes.config(root, learning_rate=1e6, batch_size=2, trainer=diverging, model={"norm": "none"})
    row = scenes.row(trained(tmp_path / "hopeless", hopeless), 3)
    assert (row["state"], row["epochs_run"], row["best_epoch"], row["checkpoint"]) == ("diverged", 1, None, None)


def test_a_folder_holds_only_one_training(root: Path, whole: Path, tmp_path: Path) -> None:
    other = scenes.config(root, epochs=5, seed=1, trainer={"val_every": 2})
    with pytest.raises(TrainingError, match=r"last\.ckpt is of another config"):
        train(other, whole, milestones=(5,))
    with pytest.raises(TrainingError, match=r"is at epoch 4: the best weights within \[1\] epochs are gone"):
        train(scenes.config(root, **FOUR), whole, milestones=(1, 5))


def train_in_slurm_job(context: Any, out: Path, config: Any) -> None:
    """Train with the environment of a SLURM job of four tasks, without a number of threads."""
    os.environ.update(SLURM_NTASKS="4", SLURM_JOB_NAME="x", SLURM_PROCID="2", SLURM_LOCALID="2", SLURM_JOB_ID="1")
    os.environ.pop("OMP_NUM_THREADS", None)
    torch.set_num_threads(2)
    scenes.train(context, out, config)
    assert torch.get_num_threads() == config.trainer.threads == 1


def test_neither_slurm_nor_the_number_of_cores_changes_a_bit(
    root: Path, whole: Path, pair: Path, tmp_path: Path
) -> None:
    for size, expected in ((1, whole), (2, pair)):
        out = tmp_path / str(size)
        assert scenes.run(train_in_slurm_job, out, scenes.config(root, **FOUR, processes=size), size=size) == [0] * size
        assert scenes.weights(out / LAST) == scenes.weights(expected / LAST)


def test_the_earlier_of_two_equally_good_epochs_is_the_best(root: Path, tmp_path: Path) -> None:
    constant = scenes.config(root, learning_rate=1e-30, model={"norm": "none"}, trainer={"optimizer": "sgd"})
    out = trained(tmp_path / "out", constant)
    assert len({line[1] for line in scenes.progress(out).values()}) == 1
    assert scenes.row(out, 3)["best_epoch"] == 1


def train_without_albumentations(context: Any, out: Path, config: Any) -> None:
    """Train while an import of albumentations fails."""
    sys.modules["albumentations"] = None  # type: ignore[assignment]  # an import raises
    scenes.train(context, out, config)


def test_training_without_augmentation_imports_no_albumentations(root: Path, tmp_path: Path) -> None:
    config = scenes.config(root, epochs=1, trainer={"augment": "none", "optimizer": "adamw", "loss": "bce_dice"})
    assert scenes.run(train_without_albumentations, tmp_path / "out", config) == [0]


def test_valid_convolutions_and_bfloat16_train(root: Path, tmp_path: Path) -> None:
    model = {"padding": "valid", "norm": "none"}
    out = trained(tmp_path / "out", scenes.config(root, epochs=1, model=model, trainer={"precision": "bf16-mixed"}))
    assert scenes.row(out, 1)["state"] == "complete"
