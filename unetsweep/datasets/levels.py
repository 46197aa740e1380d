"""The plateaus of a mask: the grey levels that hold area, as background and vessels do, and grey edges do not.

Rule 1: a mask of vessels has two plateaus. More of them (classes, votes, a level for "ignore", a photograph) mean
        different things, and half of the mask's range would choose one meaning without a word.
Rule 2: grey edges are no plateau: they lie between a lower and a higher level. So are the levels that JPEG adds near
        the two plateaus, and the quarters that halving the size of a mask leaves.

Measured by `python -m tests.datasets.plausibility`, which has the masks that must pass and those that must not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.intp]

FEW = 8
"""A mask with at most this many levels was not blurred, resized by an odd factor or saved as JPEG."""
_LEAST = 0.01
"""Share of the pixels off the background that a plateau has at least; fewer are stray pixels."""
_MOST_EDGES = 0.6
"""A level whose pixels lie between a lower and a higher one more often than this is that of an edge."""
_NOISE = 24
"""Levels nearer than this (of 255) to the lowest or the highest are noise of JPEG, in a mask with many levels."""
_FLAT = 8
"""A pixel is flat if the levels around it (3x3) differ by no more; edges differ by more, noise of JPEG mostly less."""
_LEAST_FLAT = 0.02
"""Share of flat pixels among those off the background, from which they are a plateau: edges have less than 0.01."""
_LEAST_PEAK = 0.05
"""Share of the flat pixels that a plateau has at least."""
_NEAR, _CLUSTERED = 4, 0.65
"""Share of the flat pixels that lie this near to the highest levels of their clusters, from which they are plateaus:
classes saved as JPEG have 0.8 and more, photographs and maps of probabilities 0.5 and less."""
_STRONG = 100
"""A pixel whose channels differ by more is coloured; those of a grey mask that was saved as JPEG differ by less."""
_HUES = {1: "blue", 2: "green", 3: "cyan", 4: "red", 5: "magenta", 6: "yellow"}
"""Names of colours by the channels that are high: 1 blue, 2 green, 4 red."""


@dataclass(frozen=True, slots=True)
class Plateau:
    """A level of a mask that holds area."""

    level: int
    """As it is in the file, 0 to 255 or 65535."""
    share: float
    """Of all pixels of the mask, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Plateaus:
    """What the levels of a mask are."""

    found: tuple[Plateau, ...]
    """By level. More than two: it is not known which of them are vessel."""
    is_photograph: bool = False
    """The levels differ everywhere, as in a photograph."""
    are_exact: bool = True
    """No level lies near another one: the mask was not blurred, resized or saved as JPEG."""

    @property
    def are_clear(self) -> bool:
        """Whether half of the range divides vessels from background."""
        return len(self.found) <= 2 and not self.is_photograph


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour that holds area in a mask."""

    name: str
    level: int
    """Its most frequent grey level, as `data.mask_values` names it."""
    share: float


def plateaus(levels: NDArray[Any]) -> Plateaus:
    """Return the plateaus of a mask, height x width, of 8 or 16 bits.

    >>> [(p.level, p.share) for p in plateaus(np.array([[0, 0, 1, 1], [0, 0, 2, 2]], np.uint8)).found]
    [(0, 0.5), (1, 0.25), (2, 0.25)]
    """
    histogram = np.bincount(levels.ravel())
    values = np.flatnonzero(histogram)
    counts = histogram[values]
    ends = {int(values[0]), int(values[-1])}
    if len(values) <= 2:
        return _plateaus(sorted(ends), values, counts)
    spread = float(values[-1]) - float(values[0])
    scaled = ((levels.astype(np.float32) - np.float32(values[0])) * np.float32(255 / spread)).astype(np.uint8)
    if len(values) > FEW:
        return replace(_of_many(levels, scaled, values, counts), are_exact=False)
    off_background = counts.sum() - counts.max()
    middle = [
        int(value)
        for value, count in zip(values[1:-1], counts[1:-1], strict=True)
        if count >= _LEAST * off_background and (value - values[0]) / spread < 1 - _NOISE / 255
    ]
    if _are_quarters(values, spread):
        middle = []
    between = _between(levels)
    middle = [value for value in middle if between[levels == value].mean() < _MOST_EDGES]
    return _plateaus(sorted({*ends, *middle}), values, counts)


def describe_plateaus(found: Sequence[Plateau]) -> str:
    """Return the levels with their shares.

    >>> describe_plateaus([Plateau(0, 0.9), Plateau(1, 0.0999), Plateau(255, 0.0001)])
    '0 (90%), 1 (10%) and 255 (0.01%)'
    """
    *first, last = (f"{each.level} ({percent(each.share)})" for each in found)
    return f"{', '.join(first)} and {last}"


def percent(share: float) -> str:
    """Return a share with two digits that differ from 0, at least."""
    return f"{100 * share:.2g}%" if share < 0.995 else f"{100 * share:.1f}%"


def _of_many(levels: NDArray[Any], scaled: NDArray[np.uint8], values: Counts, counts: Counts) -> Plateaus:
    """Return the plateaus of a mask with many levels: the ends, and the clusters of flat pixels between them."""
    ends = {int(values[0]), int(values[-1])}
    kernel = np.ones((3, 3), np.uint8)
    flat = cv2.dilate(scaled, kernel) - cv2.erode(scaled, kernel) <= _FLAT
    between = flat & (scaled > _NOISE) & (scaled < 255 - _NOISE)
    off_background = int(min((scaled > _NOISE).sum(), (scaled < 255 - _NOISE).sum()))
    if np.count_nonzero(between) < _LEAST_FLAT * max(1, off_background):
        return _plateaus(sorted(ends), values, counts)
    histogram = np.bincount(scaled[between], minlength=256)
    peaks = _peaks(histogram)
    near = sum(int(histogram[peak - _NEAR : peak + _NEAR + 1].sum()) for peak in peaks)
    if near < _CLUSTERED * histogram.sum():
        return replace(_plateaus(sorted(ends), values, counts), is_photograph=True)
    chosen = [int(levels[between & (scaled == peak)].flat[0]) for peak in peaks]
    return _plateaus(sorted({*ends, *chosen}), values, counts)


def _peaks(histogram: NDArray[np.int64]) -> list[int]:
    """Return the highest level of each cluster of levels that holds a share of the flat pixels."""
    left, total = histogram.copy(), histogram.sum()
    found: list[int] = []
    while left.sum() and len(found) < FEW:
        peak = int(left.argmax())
        around = slice(max(0, peak - _NOISE), peak + _NOISE)
        if left[around].sum() >= _LEAST_PEAK * total:
            found.append(peak)
        left[around] = 0
    return sorted(found)


def _between(levels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a pixel has both a lower and a higher one beside it."""
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray((cv2.erode(levels, kernel) < levels) & (cv2.dilate(levels, kernel) > levels))


def _are_quarters(values: Counts, spread: float) -> bool:
    """Whether all quarters of the range are there, and nothing else: means of four pixels of a mask of two levels."""
    steps = (values.astype(np.float64) - float(values[0])) * 4 / spread
    return len(values) == 5 and bool(np.all(np.abs(steps - np.arange(5)) < 4 / 255 + 1e-9)) and spread >= 8


def _plateaus(chosen: Sequence[int], values: Counts, counts: Counts) -> Plateaus:
    share = {int(value): int(count) / int(counts.sum()) for value, count in zip(values, counts, strict=True)}
    return Plateaus(tuple(Plateau(level, share[level]) for level in chosen))


def colours_of(pixels: NDArray[np.uint8], levels: NDArray[Any]) -> tuple[Colour, ...]:
    """Return the colours of a mask, height x width x 3 in BGR order with its grey levels; empty if it has one or none.

    >>> row = np.array([[(0, 0, 0), (0, 0, 0), (0, 0, 255), (255, 0, 0)]], np.uint8)
    >>> [(c.name, c.level, c.share) for c in colours_of(row, np.array([[0, 0, 76, 29]], np.uint8))]
    [('blue', 29, 0.25), ('red', 76, 0.25)]
    """
    low, high = pixels.min(axis=2), pixels.max(axis=2)
    strong = (high > _STRONG) & (high - low > _STRONG)
    hues = (pixels[strong] > (high[strong] / 2)[:, None]).astype(np.intp) @ (1, 2, 4)
    counts, of_hues = np.bincount(hues, minlength=8), levels[strong]
    off_background = high.size - int(np.bincount(levels.ravel()).max())
    found = [hue for hue in _HUES if counts[hue] > _LEAST_PEAK * off_background]
    if len(found) < 2:
        return ()
    level = {hue: int(np.bincount(of_hues[hues == hue]).argmax()) for hue in found}
    return tuple(Colour(_HUES[hue], level[hue], int(counts[hue]) / high.size) for hue in found)
