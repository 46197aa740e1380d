"""A training keeps the predicted masks of some validation images, and is not changed by that."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
import training_scenes as scenes
from training_scenes import MILESTONES

from unetsweep.contract import result_from
from unetsweep.datasets.mask_png import decode_mask
from unetsweep.datasets.panels import confusion
from unetsweep.datasets.predicted_masks import file_name, read_predictions
from unetsweep.training import data, kept_masks
from unetsweep.training.checkpoints import ArtifactWriter
from unetsweep.training.unet import UNet


@pytest.mark.train
@pytest.mark.parametrize("size", [1, 2])
def test_each_milestone_keeps_the_masks_that_its_result_counts(size: int, root: Path, request: Any) -> None:
    out = request.getfixturevalue("whole" if size == 1 else "pair")
    images = data.read(scenes.config(root)).val
    for milestone in MILESTONES:
        result = result_from(scenes.result(out, milestone), "result")
        found = read_predictions(out / file_name(milestone))
        assert found.weights_sha256 == result.weights_sha256
        assert [mask.image for mask in found.masks] == list(images.names)
        counts = [
            confusion(decode_mask(mask, "x"), truth) for mask, truth in zip(found.masks, images.masks, strict=True)
        ]
        assert counts == [(row["tp"], row["fp"], row["fn"]) for row in result.val_per_image]


@pytest.mark.train
def test_one_and_two_processes_keep_the_same_masks(whole: Path, pair: Path) -> None:
    for milestone in MILESTONES:
        one, two = (read_predictions(out / file_name(milestone)) for out in (whole, pair))
        assert [mask.image for mask in one.masks] == [mask.image for mask in two.masks]


def test_predicting_changes_neither_the_network_nor_random_numbers(root: Path) -> None:
    config = scenes.config(root)
    unet, images = UNet(config.model).train(), data.read(config).val
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    random = torch.get_rng_state()
    masks = kept_masks.predict_some(unet, images, torch.device("cpu"))
    assert len(masks) == len(images.names)
    assert unet.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_disk_without_room_for_masks_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def full(path: Path, *_: Any, **__: Any) -> bool:
        tried.append(path.name)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("unetsweep.training.checkpoints.write_stream", full)
    kept_masks.write_masks(ArtifactWriter(tmp_path, "1-0", lambda: True), 3, "0" * 64, ())
    assert tried == ["3.predictions.json"]


def test_a_training_that_lost_its_run_keeps_no_masks(tmp_path: Path) -> None:
    kept_masks.write_masks(ArtifactWriter(tmp_path, "1-0", lambda: False), 3, "0" * 64, ())
    assert [path.name for path in (tmp_path / "milestones").iterdir()] == []
