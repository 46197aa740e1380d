"""The inspection of an image and its mask, and of all pairs of a set: one for `data check`, `submit` and `predict`.

    files       are they complete, of one size, with how many bits     decoding.py
    levels      does the mask have two plateaus                        levels.py
    content     are the masks those of vessels of their images         plausibility.py, odd_masks.py

Rule 1: what is wrong becomes a finding; nothing is raised.
Rule 2: with a `mask_threshold` that is a number, or with `mask_values`, the user has chosen which levels are vessel.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.decoding import Decoded, decode_image, decode_mask
from unetsweep.datasets.duplicates import TOO_SMALL
from unetsweep.datasets.exif import TURNS
from unetsweep.datasets.file_names import location
from unetsweep.datasets.layout import Pair
from unetsweep.datasets.level_choice import levels_problem, missing_values
from unetsweep.datasets.levels import FEW
from unetsweep.datasets.odd_masks import describe_names, odd_masks
from unetsweep.datasets.plausibility import Measures, measure
from unetsweep.datasets.reading import Cut, binary, size_of
from unetsweep.errors import DataError
from unetsweep.texts import counted

T = TypeVar("T")
Level = Literal["error", "warning", "note"]

MIN_CONTRAST = 2.0
"""Standard deviation in grey levels below which an image shows nothing; fundus photographs have 20 and more."""
MAX_GROWTH = 0.1
"""If a threshold makes vessels wider than half of the range by more than this share, scores change."""
_SHARES = re.compile(r" \([\d.e+-]+%\)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a dataset that its user should know."""

    level: Level
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
    values: tuple[int, ...]
    """The levels themselves: all if they are few, else the lowest, the highest, and those that the user has named."""

    @property
    def has_edges(self) -> bool:
        """Whether it has more levels than a few classes have."""
        return self.between > 0 and len(self.values) < 3


@dataclass(frozen=True, slots=True)
class PairFacts:
    """What is known of a pair; None for what cannot be read."""

    image: str
    """Where the image is, `train/image/01.png`."""
    mask: str
    size: str | None
    """Of the image, `999x960`."""
    contrast: float
    """Standard deviation of the image, in grey levels; 0 if it cannot be read."""
    bits: int | None
    """Bits that are used of an image of 16 bits a channel; None for 8-bit images."""
    is_darkened: bool
    """A few pixels need far more bits than all others, so that these are read dark."""
    orientations: tuple[int, int]
    """The orientation tags of image and mask."""
    levels: MaskLevels | None
    vessel_share: float
    """Share of vessel pixels in the mask at the size that is asked for; 0 if it cannot be read."""
    measures: Measures | None
    """None unless image and mask can be read and have one size."""
    unclear_levels: str
    """Why it is not known which levels of the mask are vessel; empty if it is."""
    findings: tuple[Finding, ...]
    """Files that cannot be used."""


def inspect_pair(pair: Pair, cut: Cut, image_size: int | None = None) -> PairFacts:
    """Inspect the files of a pair, which are used at `image_size` (None: their own)."""
    image_at, mask_at = location(pair.image), location(pair.mask)
    found: list[Finding] = []
    image: Decoded | None = _try(lambda: decode_image(pair.image, 3), image_at, found)
    read: tuple[NDArray[Any], int] | None = _try(lambda: decode_mask(pair.mask), mask_at, found)
    size = size_of(image.pixels) if image else None
    tags = (image.orientation if image else 1, read[1] if read else 1)
    levels = measures = None
    share, unclear = 0.0, ""
    if read:
        unclear = levels_problem(pair.mask, read[0], cut)
        vessels = binary(read[0], None, cut)
        levels = _mask_levels(read[0], vessels, cut)
        share = levels.chosen if image_size is None else float(binary(read[0], image_size, cut).mean())
        if image and size != size_of(read[0]):
            message = f"is {size_of(read[0])}, its image {pair.image.name} is {size}; both must have the same size"
            found.append(Finding("error", "size", mask_at, message + _turned(tags)))
        elif image:
            measures = measure(image.pixels, vessels)
    contrast, bits = (float(image.pixels.std()), image.bits) if image else (0.0, None)
    dark = _is_darkened(image)
    return PairFacts(
        image_at, mask_at, size, contrast, bits, dark, tags, levels, share, measures, unclear, tuple(found)
    )


def inspect_image(file: Path) -> PairFacts:
    """Inspect an image that has no mask."""
    at = location(file)
    found: list[Finding] = []
    image: Decoded | None = _try(lambda: decode_image(file, 3), at, found)
    if image is None:
        return PairFacts(at, "", None, 0.0, None, False, (1, 1), None, 0.0, None, "", tuple(found))
    size, tags = size_of(image.pixels), (image.orientation, image.orientation)
    contrast, dark = float(image.pixels.std()), _is_darkened(image)
    return PairFacts(at, "", size, contrast, image.bits, dark, tags, None, 0.0, None, "", tuple(found))


def _is_darkened(image: Decoded | None) -> bool:
    return image is not None and image.bits is not None and image.bits - (image.most_bits or 0) >= 4


def set_findings(facts: Mapping[str, PairFacts], cut: Cut = "half", *, allow_odd_masks: bool = False) -> list[Finding]:
    """Return what is wrong with the images and masks of a set, by `part/name`; errors are warnings if allowed."""
    clear = {
        name: each.measures
        for name, each in facts.items()
        if each.measures and not each.unclear_levels and each.contrast >= MIN_CONTRAST
    }
    odd = [*_unclear(facts), *_missing_values(facts, cut)]
    odd += [_of_masks(o.level, o.kind, [facts[n].mask for n in o.names], o.message) for o in odd_masks(clear)]
    if allow_odd_masks:
        odd = [replace(finding, level="warning") for finding in odd]
    odd += _wider(facts, cut)
    found = [finding for each in facts.values() for finding in each.findings]
    return [*found, *odd, *_blank(facts), *_too_small(facts), *_depths(facts), *_orientations(facts)]


def _unclear(facts: Mapping[str, PairFacts]) -> list[Finding]:
    """Masks with unclear levels; those with the same levels are one finding, with the shares of the first."""
    alike: dict[str, list[PairFacts]] = {}
    for each in facts.values():
        if each.unclear_levels:
            alike.setdefault(_SHARES.sub("", each.unclear_levels), []).append(each)
    return [
        _of_masks("error", "mask-levels", [each.mask for each in some], some[0].unclear_levels)
        for some in alike.values()
    ]


def _missing_values(facts: Mapping[str, PairFacts], cut: Cut) -> list[Finding]:
    """Levels that the user has named and no mask has. If none of them is there, no mask has a vessel."""
    known = [each.levels for each in facts.values() if each.levels]
    missing = missing_values(cut, [levels.values for levels in known])
    level: Level = "warning" if any(levels.chosen for levels in known) else "error"
    return [Finding(level, "mask-values", "", missing)] if missing else []


def _wider(facts: Mapping[str, PairFacts], cut: Cut) -> list[Finding]:
    """Masks with grey edges, of which a chosen threshold takes much more than half of the range does."""
    if not isinstance(cut, int | float):
        return []
    grey = [each.levels for each in facts.values() if each.levels and each.levels.has_edges]
    chosen, half = sum(levels.chosen for levels in grey), sum(levels.half for levels in grey)
    if not half or chosen / half - 1 <= MAX_GROWTH:
        return []
    text = f"{counted(len(grey), 'mask')} with grey edges: data.mask_threshold: {cut:g} makes vessels "
    text += f"{chosen / half - 1:.0%} wider than half of the range; use half if the masks have two levels"
    return [Finding("warning", "mask-threshold", "", text)]


def _of_masks(level: Level, kind: str, masks: Sequence[str], message: str) -> Finding:
    if len(masks) == 1:
        return Finding(level, kind, masks[0], message)
    return Finding(level, kind, "", f"{counted(len(masks), 'mask')} ({describe_names(masks)}): {message}")


def _try(read: Callable[[], T], where: str, found: list[Finding]) -> T | None:
    try:
        return read()
    except DataError as error:
        found += [Finding("error", "unreadable", where, p.message) for p in error.problems]
        return None


def _mask_levels(levels: NDArray[Any], vessels: NDArray[np.uint8], cut: Cut) -> MaskLevels:
    held = np.flatnonzero(np.bincount(levels.ravel())).tolist()
    named = cut if isinstance(cut, tuple) else ()
    return MaskLevels(
        between=float(np.mean((levels > levels.min()) & (levels < levels.max()))),
        half=float(binary(levels, None, "half").mean()),
        above_zero=float(np.mean(levels > 0)),
        chosen=float(vessels.mean()),
        values=tuple(value for value in held if len(held) <= FEW or value in (held[0], held[-1], *named)),
    )


def _turned(tags: tuple[int, int]) -> str:
    """Say that an orientation tag is why the sizes differ, if it may be."""
    if all(tag < 5 for tag in tags):
        return ""
    return "; orientation tags (EXIF) are not applied: save the files with turned pixels, and without the tag"


def _blank(facts: Mapping[str, PairFacts]) -> list[Finding]:
    """Images without contrast. If all are, nothing can be learned."""
    blank = [each.image for each in facts.values() if each.size and each.contrast < MIN_CONTRAST]
    if not blank:
        return []
    text = f"{_subject(blank, 'image')} of nearly one colour, so nothing is to be seen; replace or remove it"
    return [Finding("error" if len(blank) == len(facts) else "warning", "blank-image", "", text)]


def _too_small(facts: Mapping[str, PairFacts]) -> list[Finding]:
    """Images in which nothing tells one eye from another."""
    small = [each.image for each in facts.values() if each.measures and each.measures.side <= TOO_SMALL]
    if not small:
        return []
    text = f"{_subject(small, 'image')} too small (at most {TOO_SMALL} pixels) to tell whether images show the same eye"
    return [Finding("warning", "too-small", "", f"{text}: only identical files are found; use larger images")]


def _depths(facts: Mapping[str, PairFacts]) -> list[Finding]:
    """16-bit files that hold less; a set with several depths may have images of unlike brightness."""
    dark = [each.image for each in facts.values() if each.is_darkened]
    if dark:
        text = f"{_subject(dark, 'image')} read dark: a few bright pixels need four bits more than all others"
        return [Finding("warning", "bit-depth", "", f"{text}; save with 8 bits, without these pixels")]
    bits = Counter(each.bits for each in facts.values() if each.bits is not None)
    if not bits or set(bits) == {16}:
        return []
    depths = ", ".join(f"{number} of {count} bits" for count, number in sorted(bits.items()))
    text = f"16-bit images that hold less are read with the bits that their brightest pixel needs: {depths}"
    if len(bits) == 1:
        return [Finding("note", "bit-depth", "", text)]
    fewest = [each.image for each in facts.values() if each.bits == min(bits, key=lambda count: bits[count])]
    advice = "images of one camera would then differ in brightness: save them all with 8 bits"
    return [Finding("warning", "bit-depth", "", f"{text} (for example {describe_names(fewest)}); {advice}")]


def _orientations(facts: Mapping[str, PairFacts]) -> list[Finding]:
    """Files with an orientation tag, which is not applied."""
    found = []
    both = [each for each in facts.values() if each.orientations[0] == each.orientations[1] != 1]
    if both:
        subject = _subject([each.image for each in both], "image")
        text = f"{subject} stored in another orientation than shown (EXIF tag); the tag is not applied"
        found.append(Finding("note", "orientation", "", text))
    turned: dict[str, list[str]] = {}
    for each in facts.values():
        image, mask = each.orientations
        if image != mask:
            of = "its mask" if image != 1 else "its image"
            text = f"shown {TURNS[image if image != 1 else mask]} by an orientation tag (EXIF), {of} is not"
            turned.setdefault(text, []).append(each.image if image != 1 else each.mask)
    advice = "tags are not applied; check that masks and images fit, and save both without a tag"
    for text, names in turned.items():
        found.append(Finding("warning", "orientation", "", f"{_subject(names, 'file')} {text}; {advice}"))
    return found


def _subject(names: Sequence[str], noun: str) -> str:
    return f"{counted(len(names), noun)} ({describe_names(names)}) {'is' if len(names) == 1 else 'are'}"
