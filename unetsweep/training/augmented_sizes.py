"""The sizes that training images may have after the augmentation, and whether they fit in a batch.

Rule 1: images of one batch have one size. Evaluation takes images one by one, so it needs no common size.
Rule 2: a transform whose probability is below 1 may leave an image as it is.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unetsweep.errors import Problem
from unetsweep.texts import counted
from unetsweep.training.augment_steps import FIELD, GROUPS, albumentations, first_error, little_memory, parse_list

Size = tuple[int, int]
"""Width and height in pixels."""
_MOST_SIZES = 4
"""Of more sizes than these only so many are tried, from the smallest to the largest."""
_DRAWS, _FEW_DRAWS = 16, 4
"""So often a transform is tried, and one that has kept the size so far."""


class FailedTransform(Exception):
    """A transform of the list fails on an image of a size that it may get."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(message, f"{FIELD}[{number}]")


def largest_size(value: object, width: int, height: int, channels: int = 3) -> Size:
    """Return the largest size that an image of this size may have after a config's `augment`."""
    try:
        return max(_possible_sizes(_steps(value), (width, height), channels)[-1], key=_area)
    except FailedTransform:  # `size_problems` reports it
        return width, height


def size_problems(
    value: object,
    names_by_size: Mapping[Size, Sequence[str]],
    *,
    batch_size: int,
    processes: int = 1,
    channels: int = 3,
) -> list[Problem]:
    """Return why the training images cannot be augmented by a config's `augment`, or not be put into batches.

    `names_by_size`: the names of the training images of each size. A process's share of a batch is a batch of its own,
    so with one image a process every size fits.
    """
    steps = _steps(value)
    sizes = sorted(names_by_size, key=_area)
    few = (
        sizes if len(sizes) <= _MOST_SIZES else [sizes[round(at)] for at in np.linspace(0, len(sizes) - 1, _MOST_SIZES)]
    )
    try:
        found = {size: _possible_sizes(steps, size, channels) for size in few}
    except FailedTransform as error:
        return [error.problem]
    if batch_size <= processes or len({last for each in found.values() for last in each[-1]}) == 1:
        return []
    alone = f"batch_size {processes}" + (" (one image a process)" if processes > 1 else "")
    for stages in found.values():
        if len(stages[-1]) > 1:
            return [_varied(steps, stages, alone)]
    found_sizes = f"found null, and the training images have {_describe(names_by_size)}"
    advice = f"images of a batch must have one size, so set data.image_size, or use {alone}"
    return [Problem(f"{found_sizes}; {advice}", "data.image_size")]


def _varied(steps: Sequence[Any], stages: Sequence[frozenset[Size]], alone: str) -> Problem:
    """The problem of a list that makes several sizes of one, at the transform after which there is no common one."""
    number = max(n for n in range(len(steps)) if len(stages[n]) == 1)
    one, *_, other = sorted(stages[-1], key=_area)
    example = f"for example {one[0]}x{one[1]} and {other[0]}x{other[1]}"
    found = f"{type(steps[number]).__name__} leaves images of different sizes ({example}); images of a batch must have "
    return Problem(f"{found}one size: add Resize or a crop with p: 1 after it, or use {alone}", f"{FIELD}[{number}]")


def _describe(names_by_size: Mapping[Size, Sequence[str]]) -> str:
    rarest_first = sorted(names_by_size.items(), key=lambda item: (len(item[1]), item[0]))
    sizes = (f"{w}x{h} ({counted(len(names), 'image')}, for example {names[0]})" for (w, h), names in rarest_first[:4])
    return f"{len(names_by_size)} sizes: {', '.join(sizes)}"


def _area(size: Size) -> int:
    return size[0] * size[1]


def _steps(value: object) -> list[Any]:
    """The transforms of a list; `default` and `none` keep the size."""
    return parse_list(value, []) if isinstance(value, list | tuple) else []


def _possible_sizes(steps: Sequence[Any], size: Size, channels: int) -> list[frozenset[Size]]:
    """The sizes that an image of one size may have before the first and after each transform, found by trying.

    A turned image counts as unturned, since `augment.apply` fits it. Raises FailedTransform.
    """
    stages = [frozenset([size])]
    for number, step in enumerate(steps):
        before = sorted(stages[-1], key=_area)
        tried = {before[round(at)] for at in np.linspace(0, len(before) - 1, _MOST_SIZES)}
        after = {made for each in tried for made in _sizes_made(step, each, channels, number)}
        after |= set() if step.p >= 1 else stages[-1]
        stages.append(frozenset(size if each == size[::-1] else each for each in after))
    return stages


def _sizes_made(step: Any, size: Size, channels: int, number: int) -> set[Size]:
    """The sizes that one transform makes of an image. Raises FailedTransform."""
    draws = random.Random(0)  # noqa: S311
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)
    mask = (image[..., 0] > 127).astype(np.uint8)
    chance, step.p = step.p, 1.0
    pipeline = albumentations().Compose([step])
    made: set[Size] = set()
    try:
        with little_memory():
            for draw in range(_DRAWS):
                seed = draws.getrandbits(32)
                pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311
                height, width = pipeline(image=image, mask=mask)["mask"].shape[:2]
                made.add((width, height))
                if draw == _FEW_DRAWS and made == {size} and type(step).__name__ not in GROUPS:
                    break
    except Exception as error:
        found = f"{type(step).__name__} fails on an image of {size[0]}x{size[1]}: {first_error(error)}"
        raise FailedTransform(number, f"{found}; use other sizes, or pad or resize the image before it") from error
    finally:
        step.p = chance
    return made
