"""Evaluation: the scores equal those of the references for any number of images and ranks."""

import contextlib
from pathlib import Path
from typing import Any

import metric_checks
import numpy as np
import pytest
import torch
import training_scenes
from metric_checks import some_unet

from unetsweep.datasets.reading import Images, read_pairs
from unetsweep.training.evaluate import evaluate

CPU = torch.device("cpu")


def some_images(count: int) -> Images:
    rng = np.random.default_rng(count)
    sides = [(20 + 3 * n, 33 - 2 * n) for n in range(count)]  # different sizes, because pixels count and not images
    return Images(
        tuple(f"im{n}" for n in range(count)),
        tuple(rng.integers(0, 256, (*side, 3)).astype(np.uint8) for side in sides),
        tuple((rng.random(side) > 0.8).astype(np.uint8) for side in sides),
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return metric_checks.write_set(tmp_path_factory.mktemp("metrics") / "set")


NUMBERS = list(range(1, metric_checks.MOST + 1))


@pytest.fixture(scope="module")
def one_process(root: Path) -> dict[int, dict[str, Any]]:
    """The scores of one process, by the number of images."""
    images = read_pairs(metric_checks.pairs_of(root), None, "half", also=metric_checks.ALSO)
    unet = some_unet()
    return {n: metric_checks.as_dict(evaluate(unet, metric_checks.first(images, n), CPU)) for n in NUMBERS}


@pytest.mark.train
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("check", metric_checks.CHECKS)
def test_scores_equal_those_of_the_references(check: Any, number: int, root: Path, one_process: Any) -> None:
    check(one_process[number], root)


@pytest.mark.train
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_scores_do_not_depend_on_the_number_of_ranks_for_any_number_of_images(
    size: int, root: Path, one_process: Any, tmp_path: Path
) -> None:
    plants = {"none": contextlib.nullcontext}
    status = training_scenes.run(metric_checks.scene, tmp_path, root, {"none": NUMBERS}, plants, size=size)
    assert status == [0] * size
    for rank in range(size):
        found = metric_checks.read_scores(tmp_path, rank)
        for number in NUMBERS:
            assert found["none", number] == one_process[number], f"{number} images, rank {rank}"


def test_rows_name_their_images_and_sum_to_the_totals() -> None:
    scores = evaluate(some_unet(), some_images(3), CPU)
    rows = scores.per_image()
    assert [row["image"] for row in rows] == ["im0", "im1", "im2"]
    assert rows[1]["iou"] == rows[1]["tp"] / (rows[1]["tp"] + rows[1]["fp"] + rows[1]["fn"])
    assert [sum(row[k] for row in rows) for k in ("tp", "fp", "fn")] == scores.table.sum(0)[:3].tolist()


def test_an_evaluation_changes_neither_the_network_nor_the_random_state() -> None:
    unet = some_unet().train()
    before = {k: v.clone() for k, v in unet.state_dict().items()}
    random_state = torch.get_rng_state()
    evaluate(unet, some_images(2), CPU, "bf16-mixed")
    assert unet.training
    assert torch.is_grad_enabled()
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(torch.equal(before[k], v) for k, v in unet.state_dict().items())


def test_the_iou_is_1_if_there_is_no_vessel_and_none_is_predicted() -> None:
    unet = some_unet()
    torch.nn.init.constant_(unet.classify.bias, -1e4)
    images = some_images(1)
    empty = Images(images.names, images.images, (np.zeros_like(images.masks[0]),))
    assert evaluate(unet, empty, CPU).iou == 1.0
    assert evaluate(unet, images, CPU).iou == 0.0


def test_the_loss_of_a_network_with_nan_outputs_is_nan() -> None:
    unet = some_unet()
    torch.nn.init.constant_(unet.classify.bias, float("nan"))
    assert np.isnan(evaluate(unet, some_images(1), CPU).loss)
