"""The sizes that training images may have after the augmentation, and whether they fit in a batch.

Rule 1: images of one batch have one size. Evaluation takes images one by one, so it needs no common size.
Rule 2: a transform whose probability is below 1 may leave an image as it is. What happens rarely happens in some
        epoch, so sizes are also tried with the lowest and the highest random numbers.
Rule 3: `augment.apply` fits a turned image after the last transform; the transforms after a turn get it turned.
"""

import functools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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
_MOST_PARTS = 10
"""A group is tried `_DRAWS` times for each of its transforms, but for at most so many of them."""
_LOWEST, _HIGHEST = 0.0, 1 - 2**-40
_MANY_DRAWS = 1000


class FailedTransform(Exception):
    """A transform of the list fails on an image of a size that it may get."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(message, f"{FIELD}[{number}]")


class _Stages(NamedTuple):
    """The sizes that an image may have before the first and after each transform."""

    names: tuple[str, ...]
    """The transforms."""
    sizes: tuple[frozenset[Size], ...]

    @property
    def last(self) -> frozenset[Size]:
        """The sizes after the augmentation."""
        return self.unturned(-1)

    def unturned(self, number: int) -> frozenset[Size]:
        """The sizes at a stage, where an image that is only turned counts as unturned."""
        [own] = self.sizes[0]
        return frozenset(own if each == own[::-1] else each for each in self.sizes[number])


class _Constant(random.Random):
    """Draws the lowest or the highest number of each distribution that sizes are drawn from, again and again.

    After many draws the numbers are random, since some algorithms draw until a number fits.
    """

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self._value, self._draws = value, 0

    def random(self) -> float:
        self._draws += 1
        return self._value if self._draws < _MANY_DRAWS else super().random()

    def randint(self, a: int, b: int) -> int:
        return b if self._value else a

    def choice(self, seq: Any) -> Any:
        return seq[-1 if self._value else 0]


def largest_size(value: object, width: int, height: int, channels: int = 3) -> Size:
    """Return the largest size that an image of this size may have after a config's `augment`."""
    try:
        return max(_stages(value, (width, height), channels).last, key=_area)
    except FailedTransform:  # `size_problems` reports it
        return width, height


def least_side(value: object, sizes: Sequence[Size], channels: int = 3) -> int:
    """Return the longer side of the smallest image that a config's `augment` may make of images of these sizes."""
    try:
        made = {last for size in _few(sizes) for last in _stages(value, size, channels).last}
    except FailedTransform:  # `size_problems` reports it
        made = set(sizes)
    return min(max(size) for size in made)


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
    try:
        found = [_stages(value, size, channels) for size in _few(list(names_by_size))]
    except FailedTransform as error:
        return [error.problem]
    if batch_size <= processes or len({last for each in found for last in each.last}) == 1:
        return []
    alone = f"batch_size {processes}" + (" (one image a process)" if processes > 1 else "")
    for stages in found:
        if len(stages.last) > 1:
            return [_varied(stages, alone)]
    found_sizes = f"found null, and the training images have {_describe(names_by_size)}"
    advice = f"images of a batch must have one size, so set data.image_size, or use {alone}"
    return [Problem(f"{found_sizes}; {advice}", "data.image_size")]


def _varied(stages: _Stages, alone: str) -> Problem:
    """The problem of a list that makes several sizes of one, at the transform after which there is no common one."""
    number = max(n for n in range(len(stages.names)) if len(stages.unturned(n)) == 1)
    one, *_, other = sorted(stages.last, key=_area)
    example = f"for example {one[0]}x{one[1]} and {other[0]}x{other[1]}"
    found = f"{stages.names[number]} leaves images of different sizes ({example}); images of a batch must have "
    return Problem(f"{found}one size: add Resize or a crop with p: 1 after it, or use {alone}", f"{FIELD}[{number}]")


def _describe(names_by_size: Mapping[Size, Sequence[str]]) -> str:
    rarest_first = sorted(names_by_size.items(), key=lambda item: (len(item[1]), item[0]))
    sizes = (f"{w}x{h} ({counted(len(names), 'image')}, for example {names[0]})" for (w, h), names in rarest_first[:4])
    return f"{len(names_by_size)} sizes: {', '.join(sizes)}"


def _area(size: Size) -> int:
    return size[0] * size[1]


def _few(sizes: Sequence[Size]) -> list[Size]:
    """At most `_MOST_SIZES` of the sizes, from the smallest to the largest, and the narrowest and the lowest one."""
    ordered = sorted(sizes, key=lambda size: (_area(size), size))
    if len(ordered) <= _MOST_SIZES:
        return ordered
    spaced = {ordered[round(at)] for at in np.linspace(0, len(ordered) - 1, _MOST_SIZES)}
    return sorted({*spaced, min(ordered), min(ordered, key=lambda size: size[1])})


def _stages(value: object, size: Size, channels: int) -> _Stages:
    """The sizes that an image of one size may have, found by trying; `default` and `none` keep it.

    Raises FailedTransform.
    """
    if not isinstance(value, list | tuple):
        return _Stages((), (frozenset([size]),))
    return _stages_of_list(json.dumps(value), size, channels)


@functools.lru_cache(maxsize=64)
def _stages_of_list(value: str, size: Size, channels: int) -> _Stages:
    """See `_stages`; the list is given as JSON. Several checks need the sizes, and finding them takes a second."""
    steps = parse_list(json.loads(value), [])
    stages = [frozenset([size])]
    for number, step in enumerate(steps):
        after = {made for each in _few(list(stages[-1])) for made in _sizes_made(step, each, channels, number)}
        after |= set() if step.p >= 1 else stages[-1]
        stages.append(frozenset(after))
    return _Stages(tuple(type(step).__name__ for step in steps), tuple(stages))


def _sizes_made(step: Any, size: Size, channels: int, number: int) -> set[Size]:
    """The sizes that one transform makes of an image. Raises FailedTransform."""
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)
    mask = (image[..., 0] > 127).astype(np.uint8)
    chance, step.p = step.p, 1.0
    is_group = type(step).__name__ in GROUPS
    draws = _DRAWS * (min(_let_each_happen(step), _MOST_PARTS) if is_group else 1)
    pipeline = albumentations().Compose([step])
    made: set[Size] = set()
    try:
        with little_memory():
            for draw, state in enumerate(_random_states(draws)):
                pipeline.set_random_state(np.random.default_rng(draw), state)
                height, width = pipeline(image=image, mask=mask)["mask"].shape[:2]
                made.add((width, height))
                if draw == _FEW_DRAWS and made == {size} and not is_group:
                    break
    except Exception as error:
        found = f"{type(step).__name__} fails on an image of {size[0]}x{size[1]}: {first_error(error)}"
        raise FailedTransform(number, f"{found}; use other sizes, or pad or resize the image before it") from error
    finally:
        step.p = chance
    return made


def _random_states(draws: int) -> Iterator[random.Random]:
    """The sources of random numbers: every third time the lowest, and every third time the highest ones."""
    for draw in range(draws):
        kinds = (_Constant(_LOWEST), _Constant(_HIGHEST), random.Random(draw))  # noqa: S311
        yield kinds[draw % 3]


def _let_each_happen(group: Any) -> int:
    """Let each transform within a group happen often, unless it never does, and return how many there are."""
    if type(group).__name__ == "OneOf":
        chosen = sum(step.p > 0 for step in group.transforms)
        group.transforms_ps = [(step.p > 0) / chosen for step in group.transforms]
    parts = 0
    for step in group.transforms:
        step.p = 0.5 if 0 < step.p < 1 else step.p
        parts += _let_each_happen(step) if type(step).__name__ in GROUPS else 1
    return parts
