"""All that can be said of a set of images before anybody trains on it.

Rule 1: whatever cannot be read or paired is told, and the rest is looked at all the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetsweep.datasets.duplicates import Duplicates, Match, find_duplicates
from unetsweep.datasets.layout import Pair, pairs_and_problems
from unetsweep.datasets.leaks import expected_leak
from unetsweep.datasets.patients import left_right
from unetsweep.datasets.reading import binary, read_image, read_levels, size_of
from unetsweep.errors import DataError

VAL = 0.25
"""Share of the training images that a random split is thought to draw."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A file that cannot be used."""

    kind: str
    """layout, unreadable or size"""
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Mask:
    """What the grey levels of one mask are; shares are of all its pixels, 0 to 1."""

    between: float
    """Strictly between its lowest and its highest level: grey edges."""
    half: float
    """Vessel, when cut at half of the mask's range."""
    above_zero: float
    """Vessel, when cut at `> 0`."""
    chosen: float
    """Vessel, at the threshold that was asked for."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A set of images, looked at. Images are named `part/name`, as in `duplicates`."""

    root: Path
    mask_threshold: str | float
    pairs: Mapping[str, Pair]
    """What pairs and can be read."""
    troubles: tuple[Trouble, ...]
    sizes: Mapping[str, Mapping[str, int]]
    """For each part, how many images have each size, `999x960`."""
    masks: Mapping[str, Mask]
    duplicates: Duplicates
    patients: tuple[tuple[str, ...], ...]
    """Images whose names differ in a mark of left and right only: two eyes of one person."""

    def files(self, names: Sequence[str]) -> list[str]:
        """Their file names, without folder."""
        return [self.pairs[name].image.name for name in names]

    def of(self, part: str) -> list[str]:
        """The images of one part."""
        return [name for name in self.pairs if name.startswith(f"{part}/")]

    def groups(self, part: str) -> list[tuple[str, ...]]:
        """The part's images, in groups that show one eye."""
        cut = (tuple(name for name in group if name.startswith(f"{part}/")) for group in self.duplicates.groups)
        return sorted(group for group in cut if group)

    def random_split_leak(self) -> float:
        """Expected share of validation images with a copy in training, were single images drawn at random."""
        return expected_leak([len(group) for group in self.groups("train")], VAL)

    def test_copies(self) -> list[Match]:
        """Each test image that shows an eye of a training image: `a` is the training image."""
        found: list[Match] = []
        for group in self.duplicates.groups:
            train = [name for name in group if name.startswith("train/")]
            found += [self._link(train, name) for name in group if train and name.startswith("test/")]
        return found

    def link(self, a: str, b: str) -> Match | None:
        """The match of two images of one group, where it was looked at."""
        return next((match for match in self.duplicates.matches if {match.a, match.b} == {a, b}), None)

    def _link(self, train: Sequence[str], test: str) -> Match:
        direct = [(name, match) for name in train if (match := self.link(name, test))]
        if direct:
            name, best = max(direct, key=lambda each: each[1].correlation)
            return Match(name, test, best.correlation, best.how)
        nearest = max((m for m in self.duplicates.matches if test in (m.a, m.b)), key=lambda m: m.correlation)
        other = nearest.a if nearest.b == test else nearest.b
        return Match(train[0], test, nearest.correlation, f"both are like {other}")


def inspect(root: Path, mask_threshold: str | float = "half", use_cache: bool = True) -> Inspection:
    """Look at everything; raises nothing for what is wrong with the files."""
    parts, problems = pairs_and_problems(root)
    troubles = [Trouble("layout", p.field, p.message) for p in problems]
    sizes: dict[str, Counter[str]] = {part: Counter() for part in parts}
    readable: dict[str, list[Pair]] = {part: [] for part in parts}
    masks: dict[str, Mask] = {}
    for part, pairs in parts.items():
        for pair in pairs:
            size, mask = _looked_at(part, pair, mask_threshold, troubles)
            if size:
                sizes[part][size] += 1
                readable[part].append(pair)
            if mask:
                masks[f"{part}/{pair.name}"] = mask
    return Inspection(
        root=root,
        mask_threshold=mask_threshold,
        pairs={f"{part}/{pair.name}": pair for part, some in readable.items() for pair in some},
        troubles=tuple(troubles),
        sizes={part: dict(counted) for part, counted in sizes.items()},
        masks=masks,
        duplicates=find_duplicates(readable, use_cache=use_cache),
        patients=_patients(readable),
    )


def _looked_at(
    part: str, pair: Pair, mask_threshold: str | float, troubles: list[Trouble]
) -> tuple[str | None, Mask | None]:
    """The image's size and what the mask is; None for what cannot be read."""
    size = mask_size = mask = None
    try:
        size = size_of(read_image(pair.image))
    except DataError as error:
        troubles += [Trouble("unreadable", f"{part}/image/{pair.image.name}", p.message) for p in error.problems]
    try:
        levels = read_levels(pair.mask)
    except DataError as error:
        troubles += [Trouble("unreadable", f"{part}/mask/{pair.mask.name}", p.message) for p in error.problems]
    else:
        mask_size = size_of(levels)
        low, high = levels.min(), levels.max()
        mask = Mask(
            between=float(np.mean((levels > low) & (levels < high))),
            half=float(binary(levels, None, "half").mean()),
            above_zero=float(np.mean(levels > 0)),
            chosen=float(binary(levels, None, mask_threshold).mean()),
        )
    if size and mask_size and size != mask_size:
        message = f"is {mask_size}, its image {pair.image.name} is {size}; both must be of one size"
        troubles.append(Trouble("size", f"{part}/mask/{pair.mask.name}", message))
    return size, mask


def _patients(parts: Mapping[str, Sequence[Pair]]) -> tuple[tuple[str, ...], ...]:
    """By name within all parts, since a person may have one eye in each."""
    patient_of = left_right([pair.name for pairs in parts.values() for pair in pairs])
    patients: dict[str, list[str]] = {}
    for part, pairs in parts.items():
        for pair in pairs:
            if pair.name in patient_of:
                patients.setdefault(patient_of[pair.name], []).append(f"{part}/{pair.name}")
    return tuple(tuple(sorted(names)) for _, names in sorted(patients.items()))
