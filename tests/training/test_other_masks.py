"""`data.also_score_at`: scores under other masks, which change nothing about the training."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_scenes as scenes

from unetsweep.contract import DataConfig, Result, dumps, encode
from unetsweep.datasets.reading import Images, manifest, read_mask
from unetsweep.datasets.scores import dice, iou
from unetsweep.errors import DataError
from unetsweep.training import data
from unetsweep.training.checkpoints import LAST, load_unet, weights_digest
from unetsweep.training.evaluate import Scores, evaluating, logits
from unetsweep.training.milestones import Scored

pytestmark = pytest.mark.train

LEVELS = (0.0, 200.0)
SIDE = 24
"""The masks are resized to this side, so their edges are grey."""


def config(root: Path, *levels: float, **more: Any) -> Any:
    return scenes.config(root, epochs=2, data=DataConfig(str(root), image_size=SIDE, also_score_at=levels), **more)


@pytest.fixture(scope="module")
def with_others(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.trained(tmp_path_factory.mktemp("others") / "out", config(root, *LEVELS))


def test_other_masks_change_nothing_about_the_training(root: Path, with_others: Path, tmp_path: Path) -> None:
    without = scenes.trained(tmp_path / "out", config(root))
    for file in (LAST, "checkpoints/best-2.ckpt"):
        assert scenes.weights(without / file) == scenes.weights(with_others / file)
    assert scenes.progress(without) == scenes.progress(with_others)
    rows = [scenes.row(out, 2) for out in (without, with_others)]
    assert rows[0].pop("also_scored") == {}
    assert rows[1].pop("also_scored") != {}
    assert rows[0] == rows[1]  # with the digests of the images and of the weights


def test_each_level_has_the_scores_of_its_own_masks(root: Path, with_others: Path) -> None:
    row, images = scenes.row(with_others, 2), data.read(config(root))
    unet, _, _ = load_unet(with_others / row["checkpoint"])
    assert list(row["also_scored"]) == ["0", "200"]
    for key, level in (("0", 0), ("200", 200)):
        expected = {}
        for part, folder in (("val", "train"), ("test", "test")):
            total = np.zeros(3)
            of = getattr(images, part)
            for name, image in zip(of.names, of.images, strict=True):
                with evaluating(unet, torch.device("cpu"), "32"):
                    predicted = logits(unet, image, torch.device("cpu"))[0].numpy() > 0
                true = read_mask(root / folder / "mask" / f"{name}.png", SIDE, level) == 1
                total += (predicted & true).sum(), (predicted & ~true).sum(), (~predicted & true).sum()
            expected |= {f"{part}_iou": iou(*total), f"{part}_dice": dice(*total)}
        assert row["also_scored"][key] == expected
    assert len({row["test_iou"], *(row["also_scored"][key]["test_iou"] for key in ("0", "200"))}) == 3


def test_without_test_images_there_are_no_test_scores(root: Path, tmp_path: Path) -> None:
    """The same code runs for `score_test: false`, with which no test image is read."""
    shutil.copytree(root / "train", tmp_path / "set" / "train")
    out = scenes.trained(tmp_path / "out", config(tmp_path / "set", 0.0))
    row = scenes.row(out, 2)
    assert (row["test_iou"], row["test_loss"], row["test_per_image"], row["test_scores"]) == (None, None, [], {})
    assert set(row["also_scored"]["0"]) == {"val_iou", "val_dice"}
    assert set(row["val_scores"]) == {"dice", "precision", "sensitivity", "image_iou_mean", "image_iou_sd"}


def test_test_images_that_are_not_scored_are_not_decoded(tmp_path: Path) -> None:
    root = scenes.write_images(tmp_path / "set")
    not_scored = config(root, trainer={"score_test": False})
    scored = data.read(config(root)).manifest
    for image in (root / "test/image").iterdir():
        image.write_bytes(b"no image")
    read = data.read(not_scored)
    assert (read.test.names, read.manifest["test"]) == ((), [])
    assert (read.manifest["train"], read.manifest["val"]) == (scored["train"], scored["val"])
    assert scored["sha256"] != read.manifest["sha256"]
    with pytest.raises(DataError, match="not a complete PNG image"):
        data.read(config(root))


def test_the_digest_of_the_images_is_the_same_in_all_versions(tmp_path: Path) -> None:
    images = Images(("a",), (np.zeros((2, 2, 3), np.uint8),), (np.ones((2, 2), np.uint8),))
    digest = "9349f6dad96fd1cb037e991ada5047f326ba95a0b08dee33e70d72586cf92681"
    assert manifest(images, images, images) == {"train": ["a"], "val": ["a"], "test": ["a"], "sha256": digest}


@pytest.mark.parametrize("loss", [np.inf, np.nan])
def test_a_test_loss_that_is_not_finite_becomes_null_and_the_result_stays(loss: float) -> None:
    def scores(of: float) -> Scores:
        return Scores(("a", "b"), np.array([[1, 1, 1, of, 4], [1, 1, 1, 2, 4]]), np.zeros((2, 0, 3)))

    result = Scored(scores(1.0), scores(loss), "w").add_to(Result(val_iou=0.5), ())
    row = json.loads(dumps(encode(result)))
    assert (row["test_iou"], row["test_loss"]) == (1 / 3, None)
    assert [image["loss"] for image in row["test_per_image"]] == [None, 0.5]
    assert [image["loss"] for image in row["val_per_image"]] == [0.25, 0.5]


def test_only_scored_images_have_other_masks_and_the_digest_does_not_depend_on_them(root: Path) -> None:
    plain, others = data.read(config(root)), data.read(config(root, *LEVELS))
    assert plain.manifest == others.manifest
    assert [len(part.also) for part in (others.train, others.val, others.test)] == [0, 2, 2]
    assert all(np.array_equal(a, b) for a, b in zip(plain.test.masks, others.test.masks, strict=True))


def test_the_digest_of_weights_depends_on_every_bit_shape_type_and_name(with_others: Path) -> None:
    row = scenes.row(with_others, 2)
    unet, _, _ = load_unet(with_others / row["checkpoint"])
    state = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    assert weights_digest(state) == row["weights_sha256"]
    assert weights_digest(dict(reversed(state.items()))) == row["weights_sha256"]
    name = next(name for name, tensor in state.items() if tensor.ndim == 4)
    scattered = state[name].to(memory_format=torch.channels_last)
    assert weights_digest({**state, name: scattered}) == row["weights_sha256"]
    bits = state[name].clone()
    bits.view(torch.int32).view(-1)[0] ^= 1
    same_bytes = (state[name].view(torch.int32), state[name].flatten())
    for other in ({**state, name: tensor} for tensor in (bits, *same_bytes)):
        assert weights_digest(other) != row["weights_sha256"]
    renamed = {(f"{key}_" if key == name else key): tensor for key, tensor in state.items()}
    assert list(renamed) != list(state)
    assert weights_digest(renamed) != row["weights_sha256"]
