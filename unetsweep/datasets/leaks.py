"""Leaks of a split: scored images that have a duplicate among the images of the training."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from unetsweep.datasets.duplicates import Duplicates
from unetsweep.texts import counted


@dataclass(frozen=True, slots=True)
class Leak:
    """Scored images with a duplicate in training; names are those of the pairs, without the part."""

    val: tuple[tuple[str, str], ...]
    """(validation image, a training image of the same eye) for each validation image that leaks."""
    val_images: int
    """Number of validation images."""
    test: tuple[tuple[str, str], ...]
    """(test image, a training or validation image of the same eye) for each test image that leaks."""
    test_images: int
    """Number of test images."""

    def __bool__(self) -> bool:
        return bool(self.val or self.test)

    def messages(self) -> dict[str, str]:
        """Return one line for each part that leaks (`val`, `test`).

        >>> Leak((("07", "13"),), 20, (), 20).messages()
        {'val': '1 of 20 validation images has a duplicate in training (for example 07 duplicates 13)'}
        """
        messages: dict[str, str] = {}
        if self.val:
            messages["val"] = _describe(self.val, self.val_images, "validation", "in training")
        if self.test:
            messages["test"] = _describe(self.test, self.test_images, "test", "in training or validation")
        return messages


def find_leak(duplicates: Duplicates, training: Sequence[str], validation: Sequence[str], test: Sequence[str]) -> Leak:
    """Return what leaks if `training` and `validation` are names of the part `train`, and `test` of the part `test`."""
    group_of = {name: group for group in duplicates.groups for name in group}
    trained, known = _with_part("train", training), _with_part("train", [*training, *validation])
    return Leak(
        val=_leaking(_with_part("train", validation), trained, group_of),
        val_images=len(validation),
        test=_leaking(_with_part("test", test), known, group_of),
        test_images=len(test),
    )


def expected_leak(group_sizes: Sequence[int], val: float) -> float:
    """Return the expected share of validation images with a duplicate in training under a random split.

    `group_sizes` are the numbers of images of each eye. The share `val` of the images validates: at least one image,
    at most all but one.

    >>> round(expected_leak([4] * 20, 0.25), 5), expected_leak([1, 1, 1], 0.3)
    (0.98775, 0.0)
    """
    images = sum(group_sizes)
    if images < 2:
        return 0.0
    drawn = min(max(round(val * images), 1), images - 1)
    return sum(size / images * (1 - _all_drawn(size - 1, drawn - 1, images - 1)) for size in group_sizes)


def _all_drawn(siblings: int, drawn: int, images: int) -> float:
    """Return the probability that all siblings of a validation image are drawn into validation too."""
    return math.comb(drawn, siblings) / math.comb(images, siblings)


def _with_part(part: str, names: Iterable[str]) -> dict[str, None]:
    return dict.fromkeys(f"{part}/{name}" for name in names)


def _leaking(
    scored: Collection[str], trained: Collection[str], group_of: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, str], ...]:
    leaking: list[tuple[str, str]] = []
    for name in scored:
        sibling = next((other for other in group_of.get(name, ()) if other in trained), None)
        if sibling is not None:
            leaking.append((name.partition("/")[2], sibling.partition("/")[2]))
    return tuple(leaking)


def _describe(leaking: Sequence[tuple[str, str]], images: int, part: str, where: str) -> str:
    has = "has a duplicate" if len(leaking) == 1 else "have a duplicate"
    example = f"for example {leaking[0][0]} duplicates {leaking[0][1]}"
    return f"{len(leaking)} of {counted(images, f'{part} image')} {has} {where} ({example})"
