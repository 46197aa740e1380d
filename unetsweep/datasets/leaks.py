"""What a split lets through: images that are scored although training has seen a copy of them."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from unetsweep.datasets.duplicates import Duplicates


@dataclass(frozen=True, slots=True)
class Leak:
    """Images that a copy of their eye gives away; names are those of the pairs, without the part."""

    val: tuple[tuple[str, str], ...]
    """(validation image, a training image of the same eye), one for each validation image that leaks."""
    val_of: int
    """Number of validation images."""
    test: tuple[tuple[str, str], ...]
    """(test image, a training or validation image of the same eye), one for each test image that leaks."""
    test_of: int
    """Number of test images."""

    def __bool__(self) -> bool:
        return bool(self.val or self.test)

    def parts(self) -> dict[str, str]:
        """What leaks, by part (`val`, `test`), one line each; empty where nothing does.

        >>> Leak((("07", "13"),), 20, (), 20).parts()
        {'val': '1 of 20 validation images has a copy in training (as 07 of 13)'}
        """
        said = {
            "val": _said(self.val, self.val_of, "validation", "in training") if self.val else "",
            "test": _said(self.test, self.test_of, "test", "in training or validation") if self.test else "",
        }
        return {part: text for part, text in said.items() if text}

    def text(self) -> str:
        """One line.

        >>> Leak((("07", "13"),), 20, (), 20).text()
        '1 of 20 validation images has a copy in training (as 07 of 13); no copy of the 20 test images'
        """
        val = _said(self.val, self.val_of, "validation", "in training")
        return f"{val}; {_said(self.test, self.test_of, 'test', 'in training or validation')}"


def leak_of(duplicates: Duplicates, training: Sequence[str], validation: Sequence[str], test: Sequence[str]) -> Leak:
    """What leaks when `training` and `validation` are drawn from the part `train`, and `test` is the part `test`."""
    group_of = {name: group for group in duplicates.groups for name in group}
    seen, known = _with_part("train", training), _with_part("train", [*training, *validation])
    return Leak(
        val=_leaking(_with_part("train", validation), seen, group_of),
        val_of=len(validation),
        test=_leaking(_with_part("test", test), known, group_of),
        test_of=len(test),
    )


def expected_leak(groups: Sequence[int], val: float) -> float:
    """Expected share (0 to 1) of validation images with a copy in training, when single images are drawn at random.

    `groups` are the numbers of images of each eye; `val` is the share that validates, at least one image
    and at most all but one.

    >>> round(expected_leak([4] * 20, 0.25), 5), expected_leak([1, 1, 1], 0.3)
    (0.98775, 0.0)
    """
    images = sum(groups)
    if images < 2:
        return 0.0
    drawn = min(max(round(val * images), 1), images - 1)
    return sum(size / images * (1 - _all_drawn(size - 1, drawn - 1, images - 1)) for size in groups)


def _all_drawn(siblings: int, drawn: int, of: int) -> float:
    """The chance that all siblings of a validation image are drawn into validation too."""
    return math.comb(drawn, siblings) / math.comb(of, siblings)


def _with_part(part: str, names: Iterable[str]) -> dict[str, None]:
    return dict.fromkeys(f"{part}/{name}" for name in names)


def _leaking(
    scored: Collection[str], seen: Collection[str], group_of: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for name in scored:
        sibling = next((other for other in group_of.get(name, ()) if other in seen), None)
        if sibling is not None:
            found.append((name.partition("/")[2], sibling.partition("/")[2]))
    return tuple(found)


def _said(found: Sequence[tuple[str, str]], of: int, part: str, where: str) -> str:
    if not found:
        return f"no copy of the {of} {part} images" if of else f"no {part} images"
    has = "has a copy" if len(found) == 1 else "have a copy"
    return f"{len(found)} of {of} {part} images {has} {where} (as {found[0][0]} of {found[0][1]})"
