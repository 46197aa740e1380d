"""Sensible first values of a sweep of the built-in trainer, from what was found of its images: `unetsweep init`.

Rule 1: a value is one that a first training of minutes to an hour can use, not the best one.
"""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig, TrialConfig
from unetsweep.core.memory import ImageSizes, memory_needed

Size = tuple[int, int]
"""Width and height in pixels."""

MAX_SIDE = 512
"""Larger images are shrunk to this: at 1024 pixels a training takes four times as long and as much memory."""
_SIDES = (MAX_SIDE, 256, 128)
"""The most that is tried, until the memory is enough."""
MIN_SIDE = 16
"""The least `data.image_size`."""
MAX_DEPTH = 4
"""As in the paper."""
MIN_DEEPEST = 8
"""Pixels a side that the deepest layer keeps at least; with fewer it sees only the border that it is padded with."""
BATCH = 4
_BASES = {True: (16, 8, 4), False: (8, 4)}
"""Channels of the first level, with and without GPUs: the first that needs at most half of the memory is taken, since
the need that is known is the least."""


@dataclass(frozen=True, slots=True)
class ImagesFound:
    """The images of a dataset."""

    sizes: Mapping[Size, int]
    """How many training images have each size."""
    training: int
    """Images that train after the split; the others validate."""
    total: int
    """All images that a training holds: those that train, validate and test."""


@dataclass(frozen=True, slots=True)
class StartingValues:
    """The settings that depend on the images, and the memory that a training with them needs at least."""

    image_size: int
    depth: int
    base: int
    batch_size: int
    memory: int
    """Bytes."""


def starting_values(images: ImagesFound, *, gpus: bool, memory: int) -> StartingValues:
    """Return values for these images. `memory`: what a training may use, in bytes.

    >>> found = ImagesFound({(999, 960): 20}, training=14, total=28)
    >>> values = starting_values(found, gpus=True, memory=16 << 30)
    >>> values.image_size, values.depth, values.base, values.batch_size
    (512, 4, 16, 4)
    """
    *candidates, last = _candidates(images, gpus=gpus)
    return next((each for each in candidates if 2 * each.memory <= memory), last)


def _candidates(images: ImagesFound, *, gpus: bool) -> Iterator[StartingValues]:
    """Yield values that need less and less memory."""
    batch_size = max(1, min(BATCH, images.training))
    for most in _SIDES:
        image_size, depth = size_and_depth(images.sizes, most)
        for base in _BASES[gpus]:
            need = _memory(images.total, image_size, depth, base, batch_size, gpus=gpus)
            yield StartingValues(image_size, depth, base, batch_size, need)


def size_and_depth(sizes: Mapping[Size, int], most: int = MAX_SIDE) -> tuple[int, int]:
    """Return `data.image_size` and `model.depth` for training images of these sizes.

    The size is that of the images, but at most `most`, and a multiple of 2 to the power of depth, so that no pooling
    needs a border.

    >>> [size_and_depth({(side, side): 1}) for side in (2000, 565, 256, 100, 64, 48, 20, 9)]
    [(512, 4), (512, 4), (256, 4), (96, 3), (64, 3), (48, 2), (20, 1), (16, 1)]
    """
    longer = [max(size) for size, count in sizes.items() for _ in range(count)]
    side = max(MIN_SIDE, min(most, statistics.median_low(longer)))
    depth = max(level for level in range(1, MAX_DEPTH + 1) if level == 1 or side >> level >= MIN_DEEPEST)
    return side - side % 2**depth, depth


def describe_size(sizes: Mapping[Size, int], image_size: int) -> str:
    """Return why images of these sizes are used at this size.

    >>> describe_size({(256, 256): 4}, 256)
    'The size of the images.'
    >>> describe_size({(64, 48): 4}, 64)
    'The images are 64x48, and are stretched to this square.'
    """
    first, last = min(sizes, key=_area), max(sizes, key=_area)
    if len(sizes) > 1:
        found = f"The images have {len(sizes)} sizes, {_text(first)} to {_text(last)}"
        return f"{found}. All are resized to this square, because a batch needs one size.{_larger(last, image_size)}"
    if first == (image_size, image_size):
        return "The size of the images."
    verb = "shrunk" if max(first) > image_size else "stretched"
    return f"The images are {_text(first)}, and are {verb} to this square.{_larger(first, image_size)}"


def _larger(largest: Size, image_size: int) -> str:
    """Say what a larger size would give, if the images have more pixels."""
    if max(largest) < image_size * 5 // 4:
        return ""
    return " A larger one keeps thinner vessels, but takes more time and memory."


def _area(size: Size) -> int:
    return size[0] * size[1]


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _memory(total: int, image_size: int, depth: int, base: int, batch_size: int, *, gpus: bool) -> int:
    model = ModelConfig(base=base, depth=depth)
    config = TrialConfig(DataConfig("", image_size=image_size), 1, batch_size, 1.0, model, TrainerConfig())
    pixels = image_size**2
    return memory_needed(config, ImageSizes(total * pixels, pixels, pixels), gpus=gpus).total
