"""The inspection of a dataset by `data check`: every file is read, and the duplicates are searched.

Rule 1: a file that cannot be read or paired becomes a finding, and the inspection continues without it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from unetsweep.datasets.duplicates import Duplicates, find_duplicates
from unetsweep.datasets.duplicates_cache import Match
from unetsweep.datasets.file_names import location
from unetsweep.datasets.layout import Layout, Pair, read_layout
from unetsweep.datasets.leaks import expected_leak
from unetsweep.datasets.patients import left_right
from unetsweep.datasets.reading import binary, read_image, read_levels, size_of
from unetsweep.errors import DataError

VAL = 0.25
"""Share of the training images that the random split of the leak estimate draws: the default of `data.split.val`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a dataset that its user should know."""

    level: Literal["error", "warning", "note"]
    """error: fix it before you use a score; warning: check it; note: for information"""
    kind: str
    where: str
    """An image or mask, `train/image/01.png`, a part, or empty for the whole dataset."""
    message: str


@dataclass(frozen=True, slots=True)
class MaskLevels:
    """The grey levels of a mask, as shares (0 to 1) of all its pixels."""

    between: float
    """Strictly between the lowest and the highest level: grey edges."""
    half: float
    """Vessel at the threshold `half`."""
    above_zero: float
    """Vessel at the threshold `> 0`."""
    chosen: float
    """Vessel at the threshold of this inspection."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A dataset, its files and its duplicates. Images are named `part/name`."""

    root: Path
    mask_threshold: str | float
    pairs: Mapping[str, Pair]
    """Pairs whose image can be read."""
    unusable: tuple[Finding, ...]
    """Files that cannot be read or paired, and those that are not read."""
    sizes: Mapping[str, Mapping[str, int]]
    """For each part, the number of images of each size, `999x960`."""
    masks: Mapping[str, MaskLevels]
    duplicates: Duplicates
    patients: tuple[tuple[str, ...], ...]
    """Images whose names differ only in a mark of left or right: both eyes of a patient."""

    def images(self, part: str) -> list[str]:
        """Return the images of one part."""
        return [name for name in self.pairs if name.startswith(f"{part}/")]

    def files(self, names: Sequence[str]) -> list[str]:
        """Return the file names of images, without folder."""
        return [self.pairs[name].image.name for name in names]

    def groups(self, part: str) -> list[tuple[str, ...]]:
        """Return the images of one part in groups that show the same eye."""
        in_part = (tuple(name for name in group if name.startswith(f"{part}/")) for group in self.duplicates.groups)
        return sorted(group for group in in_part if group)

    def random_split_leak(self) -> float:
        """Return the expected share of validation images with a duplicate in training under a random split."""
        return expected_leak([len(group) for group in self.groups("train")], VAL)

    def test_duplicates(self) -> Iterator[Match]:
        """Yield a match for each test image that shows the eye of a training image, which is `a`."""
        for group in self.duplicates.groups:
            training = [name for name in group if name.startswith("train/")]
            for name in group:
                if training and name.startswith("test/"):
                    yield self._closest(training, name)

    def match(self, a: str, b: str) -> Match | None:
        """Return the match of two images; None if only other images connect them."""
        return next((match for match in self.duplicates.matches if {match.a, match.b} == {a, b}), None)

    def transform(self, first: str, name: str) -> str:
        """Describe what was done to the first image of a group to make another one, or which image connects them."""
        direct = self.match(first, name)
        if direct is not None:
            return direct.transform
        other = next((m.a if m.b == name else m.b for m in self.duplicates.matches if name in (m.a, m.b)), None)
        return f"like {other}" if other else ""

    def _closest(self, training: Sequence[str], test: str) -> Match:
        direct = [(name, match) for name in training if (match := self.match(name, test))]
        if direct:
            name, best = max(direct, key=lambda each: each[1].correlation)
            return Match(name, test, best.correlation, best.transform)
        best = max((m for m in self.duplicates.matches if test in (m.a, m.b)), key=lambda m: m.correlation)
        other = best.a if best.b == test else best.b
        return Match(training[0], test, best.correlation, f"both are like {other}")


def inspect(root: Path, mask_threshold: str | float = "half", use_cache: bool = True) -> Inspection:
    """Inspect all files of a dataset; problems of the files are in the result, not raised."""
    layout = read_layout(root)
    parts, unusable = layout.pairs, _of_layout(layout)
    sizes: dict[str, Counter[str]] = {part: Counter() for part in parts}
    readable: dict[str, list[Pair]] = {part: [] for part in parts}
    masks: dict[str, MaskLevels] = {}
    for part, pairs in parts.items():
        for pair in pairs:
            size, mask = _inspect_pair(pair, mask_threshold, unusable)
            if size:
                sizes[part][size] += 1
                readable[part].append(pair)
            if mask:
                masks[f"{part}/{pair.name}"] = mask
    return Inspection(
        root=root,
        mask_threshold=mask_threshold,
        pairs={f"{part}/{pair.name}": pair for part, some in readable.items() for pair in some},
        unusable=tuple(unusable),
        sizes={part: dict(counts) for part, counts in sizes.items()},
        masks=masks,
        duplicates=find_duplicates(readable, use_cache=use_cache),
        patients=_patients(readable),
    )


def _of_layout(layout: Layout) -> list[Finding]:
    """Return what is wrong with the files before any is read."""
    findings = [Finding("error", "layout", p.field, p.message) for p in layout.problems]
    findings += [Finding("warning", "unread", p.field, p.message) for p in layout.warnings]
    findings += [Finding("note", "unread", p.field, p.message) for p in layout.notes]
    if layout.pairs and layout.no_test:
        findings.append(Finding("note", "no-test", "test", layout.no_test))
    return findings


def _inspect_pair(
    pair: Pair, mask_threshold: str | float, unusable: list[Finding]
) -> tuple[str | None, MaskLevels | None]:
    """Return the image's size and the mask's levels; None for a file that cannot be read."""
    size = mask = None
    image_at, mask_at = location(pair.image), location(pair.mask)
    try:
        size = size_of(read_image(pair.image))
    except DataError as error:
        unusable += [Finding("error", "unreadable", image_at, p.message) for p in error.problems]
    try:
        levels = read_levels(pair.mask)
    except DataError as error:
        unusable += [Finding("error", "unreadable", mask_at, p.message) for p in error.problems]
    else:
        mask = MaskLevels(
            between=float(np.mean((levels > levels.min()) & (levels < levels.max()))),
            half=float(binary(levels, None, "half").mean()),
            above_zero=float(np.mean(levels > 0)),
            chosen=float(binary(levels, None, mask_threshold).mean()),
        )
        if size and size != size_of(levels):
            message = f"is {size_of(levels)}, its image {pair.image.name} is {size}; both must have the same size"
            unusable.append(Finding("error", "size", mask_at, message))
    return size, mask


def _patients(parts: Mapping[str, Sequence[Pair]]) -> tuple[tuple[str, ...], ...]:
    """Group images of all parts by patient, since a patient may have one eye in each part."""
    patient_of = left_right([pair.name for pairs in parts.values() for pair in pairs])
    patients: dict[str, list[str]] = {}
    for part, pairs in parts.items():
        for pair in pairs:
            if pair.name in patient_of:
                patients.setdefault(patient_of[pair.name], []).append(f"{part}/{pair.name}")
    return tuple(tuple(sorted(names)) for _, names in sorted(patients.items()))
