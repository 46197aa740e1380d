"""The batches of a training: which samples, augmented how, on which rank."""

import dataclasses
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
import training_scenes

from unetsweep.errors import ConfigError, DataError
from unetsweep.training import data


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [5, 7, 8, 12])
def test_the_ranks_share_the_samples_of_each_step(count: int, size: int) -> None:
    for batch in data.steps(count, 4, seed=3, epoch=1):
        shares = [data.share(batch, rank, size) for rank in range(size)]
        real = sorted(index for share in shares for index, weight in share if weight)
        assert real == sorted(batch)
        assert all(shares)
        for share in shares:  # the mean over the ranks of the weighted sums is the mean over the batch
            assert all(weight in (0, size / len(batch)) for _, weight in share)


def test_an_epoch_has_every_image_once_and_each_epoch_another_order() -> None:
    epochs = [data.steps(10, 4, seed=0, epoch=e) for e in range(4)]
    assert [len(step) for step in epochs[0]] == [4, 4, 2]
    assert all(sorted(chain(*epoch)) == list(range(10)) for epoch in epochs)
    assert len({tuple(chain(*epoch)) for epoch in epochs}) == 4
    assert epochs[2] == data.steps(10, 4, seed=0, epoch=2) != data.steps(10, 4, seed=1, epoch=2)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_one_and_two_ranks_have_the_same_pixels(root: Path, workers: int) -> None:
    config = training_scenes.config(root, trainer={"workers": workers})
    images = data.read(config).train

    def epoch(rank: int, size: int) -> list[data.Batch]:
        return list(data.loader(config, images, rank=rank, size=size, epoch=lambda: 5))

    alone, first, second = epoch(0, 1), epoch(0, 2), epoch(1, 2)
    assert [len(b.images) for b in alone] == [4, 2]
    for whole, *halves in zip(alone, first, second, strict=True):
        of = {int(i): image for half in halves for i, image in zip(half.indices, half.images, strict=True)}
        assert len(of) == len(whole.indices)
        for index, image in zip(whole.indices, whole.images, strict=True):
            assert torch.equal(image, of[int(index)])


@pytest.mark.parametrize(
    ("size", "environment", "available", "cores"),
    [
        (1, {}, 16, 16),
        (4, {}, 16, 4),
        (4, {}, 2, 1),
        (4, {"SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "8"}, 8, 8),  # each task is bound to its cores
        (4, {"SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "8"}, 128, 8),  # no task is bound
        (4, {"SLURM_NTASKS": "4"}, 128, 128),
        (2, {"SLURM_NTASKS": "1", "SLURM_CPUS_PER_TASK": "16"}, 4, 2),  # a slot of a packed job
    ],
)
def test_the_cores_of_a_rank(size: int, environment: dict[str, str], available: int, cores: int) -> None:
    assert data.cores_of_rank(size, environment, available) == cores


@pytest.mark.parametrize(
    ("workers", "cores", "gpu", "expected"),
    [
        (None, 4, True, 3),
        (None, 64, True, 8),
        (None, 1, True, 0),
        (None, 4, False, 0),
        (5, 4, False, 5),
        (0, 4, True, 0),
    ],
)
def test_on_a_gpu_the_other_cores_of_a_rank_prepare_images(
    workers: int | None, cores: int, gpu: bool, expected: int, root: Path
) -> None:
    config = training_scenes.config(root, trainer={"workers": workers})
    assert data.workers_of(config, cores, gpu=gpu) == expected


def test_validation_and_test_images_are_byte_equal_with_and_without_augmentation(root: Path) -> None:
    plain, augmented = (data.read(training_scenes.config(root, trainer={"augment": a})) for a in ("none", "default"))
    loaded = list(data.loader(training_scenes.config(root), augmented.train, rank=0, size=1, epoch=lambda: 0))
    for part in ("val", "test"):
        one, two = getattr(plain, part), getattr(augmented, part)
        assert one.names == two.names
        assert [i.tobytes() for i in one.images] == [i.tobytes() for i in two.images]
        assert [m.tobytes() for m in one.masks] == [m.tobytes() for m in two.masks]
    # and the training images did change in the batches, but not in memory
    assert [i.tobytes() for i in plain.train.images] == [i.tobytes() for i in augmented.train.images]
    first = loaded[0]
    assert not all(
        torch.equal(image, data.image_tensor(plain.train.images[int(i)]))
        for i, image in zip(first.indices, first.images, strict=True)
    )


def test_unaugmented_batches_are_the_unchanged_images(root: Path) -> None:
    config = training_scenes.config(root, trainer={"augment": "none"})
    images = data.read(config).train
    for batch in data.loader(config, images, rank=0, size=1, epoch=lambda: 0):
        assert batch.images.dtype == batch.masks.dtype == torch.uint8
        for index, image, mask in zip(batch.indices, batch.images, batch.masks, strict=True):
            np.testing.assert_array_equal(image.numpy().transpose(1, 2, 0), images.images[int(index)])
            np.testing.assert_array_equal(mask.numpy(), images.masks[int(index)])


def test_an_image_is_augmented_differently_in_every_epoch(root: Path) -> None:
    config = training_scenes.config(root)
    images = data.read(config).train
    versions_of: dict[int, set[bytes]] = {}
    for epoch in range(4):
        for batch in data.loader(config, images, rank=0, size=1, epoch=lambda epoch=epoch: epoch):
            for index, image in zip(batch.indices, batch.images, strict=True):
                versions_of.setdefault(int(index), set()).add(image.numpy().tobytes())
    assert all(len(versions) >= 3 for versions in versions_of.values())


def test_a_batch_larger_than_the_training_images_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size: found 7, more than 6 training images"):
        data.read(training_scenes.config(root, batch_size=7))


def crop_images(folder: Path, names: Iterable[str]) -> None:
    """Cut images and masks of 32x32 to 32x24."""
    for name in names:
        for kind in ("image", "mask"):
            path = folder / kind / f"{name}.png"
            training_scenes.cv2.imwrite(str(path), training_scenes.cv2.imread(str(path), -1)[:24])


def test_training_images_of_different_sizes_are_refused_unless_each_is_a_batch_of_its_own(tmp_path: Path) -> None:
    root = training_scenes.write_images(tmp_path / "set")
    crop_images(root / "train", ["00", "01", "02", "03"])
    config = training_scenes.config(root)
    with pytest.raises(DataError, match=r"data\.image_size: .*32x24 \(2 images, for example 01\), 32x32 \(4 images"):
        data.read(config)
    for changes in ({"batch_size": 1}, {"batch_size": 2, "processes": 2}):
        each = dataclasses.replace(config, **changes)
        images = data.read(each).train
        for rank in range(each.processes):
            batches = data.loader(each, images, rank=rank, size=each.processes, epoch=lambda: 0)
            assert {batch.images.shape[2:] for batch in batches} == {(32, 32), (24, 32)}
    sized = dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=16))
    assert {i.shape for i in data.read(sized).train.images} == {(16, 16, 3)}
    cropped = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, augment=CROPS))
    batches = data.loader(cropped, data.read(cropped).train, rank=0, size=1, epoch=lambda: 0)
    assert {batch.images.shape[2:] for batch in batches} == {(20, 20)}


CROPS = [{"RandomCrop": {"height": 20, "width": 20}}]


@pytest.mark.train
def test_images_of_any_size_are_validated_and_tested(tmp_path: Path) -> None:
    """Also with two processes that train on images of different sizes in one step."""
    root = training_scenes.write_images(tmp_path / "set")
    plain = training_scenes.config(root, epochs=1)
    crop_images(root / "test", ["01"])
    crop_images(root / "train", data.read(plain).val.names[:1])
    assert {image.shape[0] for image in data.read(plain).val.images} == {24, 32}
    crop_images(root / "train", data.read(plain).train.names[:3])
    config = dataclasses.replace(plain, batch_size=2, processes=2)
    result = training_scenes.result(training_scenes.trained(tmp_path / "out", config, size=2), 1)
    assert [image["image"] for image in result["test_per_image"]] == ["00", "01", "02"]
    assert len(result["val_per_image"]) == 2


def test_grey_levels_are_scaled_to_minus_one_to_one() -> None:
    assert data.scaled(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
