"""The least memory of a training, and the field that is named if there is not so much."""

from dataclasses import replace

import pytest

from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig, TrialConfig
from unetsweep.core.memory import ImageSizes, Memory, memory_needed, memory_problem

SIDE = 128
CONFIG = TrialConfig(
    DataConfig("images", image_size=SIDE), 8, 4, 1e-3, ModelConfig(base=8, depth=3), TrainerConfig(), processes=1
)
IMAGES = ImageSizes(100 * SIDE**2, SIDE**2, SIDE**2)


def test_a_training_that_needs_exactly_what_there_is_is_not_refused() -> None:
    need = memory_needed(CONFIG, IMAGES, gpus=False)
    assert need.images == 100 * SIDE**2 * 4  # RGB and the mask, one byte each
    assert memory_problem(CONFIG, IMAGES, Memory(need.total, "this machine has"), gpus=False) is None
    assert memory_problem(CONFIG, IMAGES, Memory(need.total - 1, "this machine has"), gpus=False) is not None


def test_with_gpus_only_the_images_and_the_parameters_count() -> None:
    need, on_cpu = (memory_needed(CONFIG, IMAGES, gpus=gpus) for gpus in (True, False))
    assert (need.images, need.network, need.step) == (on_cpu.images, on_cpu.network // 4, 0)


def test_each_process_has_its_own_images_and_a_share_of_the_batch() -> None:
    one, two = (memory_needed(replace(CONFIG, processes=count), IMAGES, gpus=False) for count in (1, 2))
    assert (two.images, two.network, two.step) == (2 * one.images, 2 * one.network, one.step)


LARGE = ImageSizes(100 * 20_000**2, 20_000**2, 20_000**2)
AUGMENTED = replace(IMAGES, augmented=8000**2)


@pytest.mark.parametrize(
    ("change", "images", "field"),
    [
        ({"batch_size": 40_000}, IMAGES, "batch_size"),
        ({"model": ModelConfig(base=4096, depth=3)}, IMAGES, "model.base"),
        ({"model": ModelConfig(depth=7)}, IMAGES, "model.depth"),
        ({"data": DataConfig("images", image_size=20_000)}, LARGE, "data.image_size"),
        ({"data": DataConfig("images")}, LARGE, "data.image_size"),
        ({}, AUGMENTED, "trainer.augment"),
    ],
)
def test_the_field_whose_ordinary_value_would_fit_is_named(change: dict, images: ImageSizes, field: str) -> None:
    found = memory_problem(replace(CONFIG, **change), images, Memory(16 << 30, "slurm.mem is"), gpus=False)
    assert found is not None
    assert found.field == field
    assert "slurm.mem is 16.0 GiB; use a smaller value" in found.message


def test_the_message_has_all_numbers() -> None:
    found = memory_problem(replace(CONFIG, batch_size=40_000), IMAGES, Memory(16 << 30, "this machine has"), gpus=False)
    assert found is not None
    assert found.message == (
        "found 40000; a training needs at least 352 GiB of memory (6 MiB for all images, 2 MiB for the network, 352 "
        "GiB for a step with 40000 images), and this machine has 16.0 GiB; use a smaller value"
    )
