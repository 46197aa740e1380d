"""What masks are instead of vessels, by their measures: fields of view, inverted, misplaced, of other images, empty.

Rule 1: a mask that is certainly not one of vessels of its image is an error: no score on it means anything.
Rule 2: a mask whose vessels do not fit may belong to a poor photograph, and one that is wide may be that of a patch, so
        few of them are a warning. They are an error if they fit another image of the set, or if most masks are so.
Rule 3: no mask of real vessels may be refused, of any size from 64 pixels, thinned or thickened by a pixel or two.

The limits lie between what `python -m tests.datasets.plausibility` measures for masks of vessels and for others.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.plausibility import MIN_SIDE, Measures

Level = Literal["error", "warning"]

MAX_VESSEL_SHARE = 0.4
"""No retina has a larger share of vessel pixels: in four public sets the largest mean is 0.09."""
FULL = 0.995
"""Vessel share of a mask that is full: a few stray pixels do not make it another one."""
_DISC = 1.6
"""Compactness below which a mask is one round area; vessels thickened by two pixels at 64 pixels have 2.8."""
_FIELD = 0.85
"""Overlap with the bright field of a mask of the field of view."""
_SPOT = 2.0
"""Compactness below which a small mask is one spot."""
_MOSTLY_SPOTS = 0.6
"""Share of a mask in round spots above which it is not one of vessels; thinned ones, in pieces, have at most 0.3."""
_LEAST = 0.01
"""Vessel share from which a fit can be judged: of less, thinned masks at small sizes, too little is left."""
_NEXT_TO_NOTHING = 0.005
"""Median vessel share of a set below which its masks hold next to nothing."""
_BETTER, _ELSEWHERE = 0.18, 0.25
"""A mask that fits by this much better elsewhere, and this well, is misplaced."""
_NO_FIT = 0.1
"""Fit below which a mask does not fit: masks of other images have at most 0.1, mostly less than 0.05."""
_GOOD_SET = 0.3
"""Median fit of a set from which one mask that does not fit stands out."""
_FITS_OTHER = 0.2
"""Correlation of sketches from which a mask is that of another image."""
_OUTSTANDING = 7
"""So much higher than the median correlation is that of the right image, at least: more than four deviations."""
_BRIGHT = -0.15
"""Fit below which vessels are brighter than what is beside them."""
_WIDE = 0.5
"""Share of a mask in wide areas, from which it is not thin."""
_WIDE_SIDE = 256
"""Longer side from which widths are certain."""
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class OddMask:
    """Masks that are not what they should be, for one reason."""

    level: Level
    kind: str
    names: tuple[str, ...]
    """`part/name`."""
    message: str
    """What they are, and what to do."""


_BY_FIT = ("misplaced-mask", "foreign-mask")
_IS = {
    "field-of-view": (
        "not vessels but the field of view, the round area that the camera sees; "
        "put the masks of the vessels there (in DRIVE those of 1st_manual, not of mask)"
    ),
    "full-mask": (
        "vessel everywhere; put the masks of the vessels there, or set data.mask_threshold if they are above another "
        "level"
    ),
    "inverted-mask": "inverted: what is not vessel is marked; invert the masks, so that vessels are white",
    "no-vessels": (
        "a round spot, or wide areas, no darker than what is beside them, so not vessels; "
        "put the masks of the vessels there"
    ),
    "spots": ("many round spots, and few lines as vessels are, so rather lesions; put the masks of the vessels there"),
    "mostly-vessel": "more than 40% vessel; no retina has so many, so check the masks, or data.mask_threshold",
    "foreign-mask": (
        "does not fit the image: what is marked is no darker than what is beside it; compare image and mask by eye "
        "(--report shows them), since the mask may be that of another image, or moved"
    ),
    "bright-vessels": (
        "fits the image, but what is marked is brighter than what is beside it; "
        "check whether the image is a negative (vessels are bright in an angiogram)"
    ),
}


def odd_masks(measures: Mapping[str, Measures]) -> list[OddMask]:
    """Return what is wrong with the masks of a set, by `part/name`; errors first."""
    kinds = {name: _kind(each) for name, each in measures.items()}
    if _NO_FIT <= _median_fit(measures) < _GOOD_SET:  # a set in which few vessels stand out cannot be judged
        kinds = {name: "" if kind in ("foreign-mask", "bright-vessels") else kind for name, kind in kinds.items()}
    found = [
        *_empty(measures, kinds),
        *_nearly_empty(measures),
        *_misplaced(measures, kinds),
        *_of_other_images(measures, kinds),
    ]
    known = {name for each in found if each.kind != "few-vessels" for name in each.names}
    for kind in _IS:
        names = tuple(name for name, its in kinds.items() if its == kind and name not in known)
        if names:
            found.append(OddMask(_level(kind, names, measures), kind, names, _IS[kind]))
    if _are_patches(measures):
        found = [replace(each, level="warning") if each.kind in _BY_FIT else each for each in found]
    return sorted(found, key=lambda each: each.level)


def describe_names(names: Sequence[str]) -> str:
    """Return the names, or the first of many.

    >>> describe_names(["train/01", "train/02"]), describe_names(["a", "b", "c", "d", "e"])
    ('train/01, train/02', 'a, b, c and 2 more')
    """
    examples = names if len(names) <= _EXAMPLES + 1 else names[:_EXAMPLES]
    return ", ".join(examples) + (f" and {len(names) - len(examples)} more" if len(names) > len(examples) else "")


def _kind(each: Measures) -> str:
    """Return what a mask is; empty for vessels, and for what cannot be judged."""
    if each.share == 0:
        return "empty-mask"
    if each.share >= FULL:
        return "full-mask"
    if each.share > MAX_VESSEL_SHARE:
        return _kind_of_large(each)
    if each.side < MIN_SIDE:
        return ""
    if each.compactness < _DISC and each.field >= _FIELD:
        return "field-of-view"
    if each.spots > _MOSTLY_SPOTS and each.compactness >= _SPOT and each.side >= 2 * MIN_SIDE:
        return "spots"
    if not _fits_here(each):
        return "misplaced-mask"
    return _kind_of_misfit(each) if each.fit < _NO_FIT else ""


def _kind_of_large(each: Measures) -> str:
    if each.compactness < _DISC and each.field >= _FIELD:
        return "field-of-view"
    if each.fit <= _BRIGHT and each.side >= MIN_SIDE and each.compactness > _DISC:
        return "inverted-mask"
    return "mostly-vessel"


def _kind_of_misfit(each: Measures) -> str:
    """Return what a mask is that does not fit."""
    if each.side >= _WIDE_SIDE and each.wide > _WIDE:
        return "no-vessels"
    if each.side >= 2 * MIN_SIDE and each.compactness < _SPOT and each.share > 1e-3:
        return "no-vessels"
    if not _can_misfit(each):
        return ""
    return "bright-vessels" if each.fit <= _BRIGHT else "foreign-mask"


def _fits_here(each: Measures) -> bool:
    return each.best.is_here or each.best.fit < max(_ELSEWHERE, each.fit + _BETTER)


def _level(kind: str, names: Sequence[str], measures: Mapping[str, Measures]) -> Level:
    if kind in ("mostly-vessel", "bright-vessels"):
        return "warning"
    if kind == "foreign-mask" and 2 * len(names) <= sum(map(_can_misfit, measures.values())):
        return "warning"
    if 2 * len(names) <= len(measures):  # a patch may show only a piece of a wide vessel
        if kind in ("no-vessels", "spots"):
            return "warning"
        if kind == "full-mask" and all(measures[name].side < MIN_SIDE for name in names):
            return "warning"
    return "error"


def _are_patches(measures: Mapping[str, Measures]) -> bool:
    """Whether most images are cut so small that their vessels are wide: where they fit is then an accident."""
    wide = [not _can_misfit(each) for each in measures.values() if each.share >= _LEAST and each.side >= MIN_SIDE]
    return 2 * sum(wide) > len(wide)


def _can_misfit(each: Measures) -> bool:
    """Whether a fit can be judged: in a patch a vessel that is wide is no fine structure."""
    return each.share >= _LEAST and each.side >= MIN_SIDE and each.wide <= _WIDE / 5


def _median_fit(measures: Mapping[str, Measures]) -> float:
    """Return the median fit of all masks that can be judged."""
    fits = [each.fit for each in measures.values() if each.share >= _LEAST and each.side >= MIN_SIDE]
    return statistics.median(fits) if fits else 0.0


def _empty(measures: Mapping[str, Measures], kinds: Mapping[str, str]) -> list[OddMask]:
    """A mask without vessels may be that of a healthy patch; if all of a part are empty, no score means anything."""
    found = []
    for part in dict.fromkeys(name.rpartition("/")[0] for name in measures):
        kinds_of_part = {name: kind for name, kind in kinds.items() if name.rpartition("/")[0] == part}
        names = tuple(name for name, kind in kinds_of_part.items() if kind == "empty-mask")
        if names and len(names) == len(kinds_of_part):
            advice = "draw the vessels, or choose their levels with data.mask_threshold or data.mask_values"
            text = f"no vessel in any mask of {part}, so no score means anything; {advice}"
            found.append(OddMask("error", "empty-mask", names, text))
        elif names:
            found.append(OddMask("warning", "empty-mask", names, "no vessel; draw vessels, or remove the pair"))
    return found


def _nearly_empty(measures: Mapping[str, Measures]) -> list[OddMask]:
    """A set whose masks hold next to nothing: marks of a few points, or classes that were not chosen."""
    shares = {name: each.share for name, each in measures.items() if each.share > 0 and each.side >= MIN_SIDE}
    if not shares or (median := statistics.median(shares.values())) >= _NEXT_TO_NOTHING:
        return []
    names = tuple(name for name, share in shares.items() if share < _NEXT_TO_NOTHING)
    text = f"next to no vessel ({100 * median:.2g}% of the pixels; photographs have 5 to 15%)"
    return [OddMask("warning", "few-vessels", names, f"{text}; check the masks, or which levels are vessel")]


def _misplaced(measures: Mapping[str, Measures], kinds: Mapping[str, str]) -> list[OddMask]:
    """Group misplaced masks by what was done to them; shifts differ from mask to mask."""
    groups: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        if kind == "misplaced-mask":
            groups.setdefault(measures[name].best.move or "shifted", []).append(name)
    found = []
    for move, names in groups.items():
        first = measures[names[0]]
        offset = _offset(first) if move == "shifted" or max(map(abs, first.best.shift)) >= 0.02 else ""
        gain = f"correlation {first.fit:.2f}, with that undone {first.best.fit:.2f}"
        text = f"{move}{offset} against the image ({gain}); undo that in the masks, or in the images"
        found.append(OddMask("error", "misplaced-mask", tuple(names), text))
    return found


def _offset(each: Measures) -> str:
    """Return ` by 12 pixels to the right and 3 down`."""
    right, down = (round(share * each.side) for share in each.best.shift)
    parts = [f"{abs(right)} to the {'right' if right > 0 else 'left'}"] if right else []
    parts += [f"{abs(down)} {'down' if down > 0 else 'up'}"] if down else []
    return f" by {' and '.join(parts)} (pixels)"


def _stands_out(fits: NDArray[np.float32]) -> bool:
    """Whether the best of a mask's correlations with all images is no accident; of many patches one is high."""
    usual = float(np.sort(np.abs(fits))[(len(fits) - 1) // 2])  # half of the images, at least, are of other eyes
    return float(fits.max()) > max(_FITS_OTHER, _OUTSTANDING * usual)


def _of_other_images(measures: Mapping[str, Measures], kinds: Mapping[str, str]) -> list[OddMask]:
    """Masks that do not fit their images, but others of the set."""
    foreign = [name for name, kind in kinds.items() if kind == "foreign-mask"]
    if not foreign:
        return []
    names = list(measures)
    images = np.stack([each.image_sketch.ravel() for each in measures.values()])
    fits = np.stack([measures[name].mask_sketch.ravel() for name in foreign]) @ images.T
    owner = {name: names[int(row.argmax())] for name, row in zip(foreign, fits, strict=True) if _stands_out(row)}
    swapped = tuple(name for name in foreign if owner.get(name, name) != name)
    if not swapped:
        return []
    pairs = describe_names([f"{name} fits {owner[name]}" for name in swapped])
    text = f"of another image ({pairs}); rename the masks"
    return [OddMask("error", "foreign-mask", swapped, text)]
