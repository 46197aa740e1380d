"""Configs, images and checkpoints that a training refuses before it starts or resumes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import training_scenes as scenes

from unetsweep import package
from unetsweep.app import train as by_hand
from unetsweep.contract import dumps, encode
from unetsweep.datasets.manifest import divide, pin
from unetsweep.errors import ConfigError, TrainingError
from unetsweep.training.checkpoints import LAST
from unetsweep.training.module import learning_rate
from unetsweep.training.ranks import DistributedContext
from unetsweep.training.run import device_of, train

pytestmark = pytest.mark.train


def test_a_corrupt_checkpoint_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / LAST).write_bytes(b"PK\x03\x04 corrupt")
    with pytest.raises(
        TrainingError, match=r"last\.ckpt is no checkpoint of a run .*; remove it to train from the first epoch"
    ):
        train(scenes.config(root), tmp_path)
    with pytest.raises(
        TrainingError, match=r"last\.ckpt is no .*; move it away, then run `unetsweep retry eyes --failed`"
    ):
        train(scenes.config(root), tmp_path, name="eyes/0003")


def test_changed_images_are_not_trained_on(tmp_path: Path) -> None:
    images = scenes.write_images(tmp_path / "set")
    out = scenes.trained(tmp_path / "out", scenes.config(images, epochs=1))
    picture = images / "train/image/00.png"
    picture.write_bytes((images / "train/image/01.png").read_bytes())
    with pytest.raises(TrainingError, match="trained on other images"):
        train(scenes.config(images, epochs=2), out)


def test_a_training_resumes_after_a_leak_is_allowed_but_not_with_another_split(tmp_path: Path) -> None:
    plain = scenes.config(scenes.write_images(tmp_path / "set"), epochs=1)
    manifest = pin(**divide(plain.data))
    pinned = replace(plain, data=replace(plain.data, manifest=manifest))
    out = scenes.trained(tmp_path / "out", pinned)

    leaky = replace(pinned.data, split=replace(plain.data.split, allow_leak=True))
    assert scenes.progress(scenes.trained(out, replace(pinned, epochs=2, data=leaky))).keys() == {1, 2}

    fewer = {**manifest, "train": dict(list(manifest["train"].items())[1:])}
    for other in (plain.data, replace(plain.data, manifest=fewer)):
        with pytest.raises(TrainingError, match="is of another config"):
            train(replace(pinned, epochs=3, data=other), out)


def test_a_result_names_the_code_with_which_its_training_began(root: Path, tmp_path: Path) -> None:
    scenes.trained(tmp_path / "out", scenes.config(root, epochs=2), code_later={"package": "edited"})
    assert scenes.result(tmp_path / "out", 2)["code"] == package.code()


def test_a_schedule_that_depends_on_the_last_epoch_allows_no_other_milestone(root: Path, tmp_path: Path) -> None:
    config = scenes.config(root, epochs=4, trainer={"schedule": "cosine"})
    with pytest.raises(ConfigError, match=r"trainer\.schedule: cosine ends at epoch 4"):
        train(config, tmp_path, milestones=(2, 4))
    rates = [learning_rate(config, epoch) for epoch in (1, 2, 3, 4)]
    assert rates == pytest.approx([1e-3, 8.5355e-4, 5e-4, 1.4645e-4], rel=1e-4)
    out = scenes.trained(tmp_path / "out", config)
    assert [line[3] for line in scenes.progress(out).values()] == rates


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_reported_with_host_and_rank(root: Path) -> None:
    config = scenes.config(root, accelerator="gpu", processes=2)
    with pytest.raises(TrainingError, match=rf"rank 1 of 2 on {os.uname().nodename}: the config asks for a GPU"):
        device_of(config, DistributedContext(rank=1, size=2))


def test_another_number_of_processes_than_in_the_config_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="processes: found 2, but 1 were started"):
        train(scenes.config(root, processes=2), tmp_path)


def test_a_batch_with_one_value_per_channel_is_refused_before_the_first_step(tmp_path: Path) -> None:
    images = scenes.write_images(tmp_path / "set", count=7, side=16)  # five training images: batches of 4 leave one
    config = scenes.config(images, model={"depth": 4})
    with pytest.raises(ConfigError, match=r"batch_size: found 4, so with 5 training images an epoch"):
        train(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    scenes.trained(tmp_path / "five", replace(config, batch_size=5, epochs=1))
    scenes.trained(tmp_path / "none", replace(config, model=replace(config.model, norm="none"), epochs=1))


def test_a_crop_that_leaves_one_value_per_channel_is_refused_before_the_first_step(tmp_path: Path) -> None:
    images = scenes.write_images(tmp_path / "set", count=7, side=32)
    config = scenes.config(
        images, model={"depth": 4}, trainer={"augment": [{"RandomCrop": {"height": 16, "width": 8}}]}
    )
    with pytest.raises(ConfigError, match=r"an image of 16 pixels leaves .* larger images \(data\.image_size, trainer"):
        train(config, tmp_path / "out")


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ([{"OneOf": {"transforms": ["Transpose"], "p": 2}}], r"trainer\.augment\[0\]: OneOf: p: found 2"),
        ([{"RandomCrop": {"height": 16, "width": 8}}], r"batch_size: found 4, .* an image of 16 pixels leaves"),
    ],
)
def test_a_training_by_hand_is_refused_with_the_users_file(augment: object, message: str, tmp_path: Path) -> None:
    images = scenes.write_images(tmp_path / "set", count=7, side=48)
    config = scenes.config(images, model={"depth": 4}, trainer={"augment": augment})
    data = replace(config.data, allow_odd_masks=True, split=replace(config.data.split, groups="none", allow_leak=True))
    path = tmp_path / "mine.json"
    path.write_text(dumps(encode(replace(config, data=data, accelerator="cpu"))))
    with pytest.raises(ConfigError, match=rf"mine\.json: {message}"):
        by_hand.train(path, tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()
