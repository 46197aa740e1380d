"""The pictures of `unetsweep data check --report`: every image with its mask drawn on it, in the parts of the split.

Rule 1: there are pictures for every folder that has images, so that a wrong folder is seen.
Rule 2: their number and size are bounded; of more images, an evenly spaced sample is shown, and the page says so.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unetsweep.contract import Split
from unetsweep.datasets.file_names import EXTENSIONS
from unetsweep.datasets.inspection import Inspection
from unetsweep.datasets.layout import Pair
from unetsweep.datasets.reading import Cut, Pixels, read_image, read_mask, size_of
from unetsweep.datasets.splits import groups_of, split
from unetsweep.datasets.thumbnails import embed, evenly, scaled
from unetsweep.errors import DataError
from unetsweep.texts import counted

SMALL, LARGE = 120, 240
"""Longer side of a picture in pixels: a group of four fits in a row, and a mask can be compared with its image."""
MOST_PICTURES = 100
"""Most pictures of a part; a hundred of 20 KB each are loaded at once by every browser."""
MOST_NAMES = 1000
"""Most names in the list of a part's groups."""
MOST_FILES = 10_000
"""So many files of a folder without a data set are looked at."""
OUTLINE, INSIDE = (0, 255, 90), 0.25
"""Colour of a mask's outline (RGB), and the share of this colour inside the mask."""
COVERED = 0.3
"""A pixel of a picture belongs to the mask if the mask covers this share of it: most vessels are narrower than it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An image with its caption."""

    name: str
    caption: str
    source: str
    """A data URL."""
    side: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """The pictures of the images with one use, and the names of all of them."""

    use: str
    images: int
    figures: tuple[Figure, ...]
    groups: tuple[tuple[str, ...], ...]
    """The names of the images by image group, at most MOST_NAMES of them."""
    unnamed: int
    """Number of the images that are not in `groups`."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the page shows of a folder."""

    sheets: tuple[Sheet, ...]
    split: Split
    no_split: str | None
    """Why the training images cannot be split; None if they can."""


def pictures(inspection: Inspection) -> Pictures:
    """Return the sheets of a data set; for a folder that is none, one with the images that are in it."""
    how, no_split = Split(), None
    uses: dict[str, list[str]] = {part: inspection.images(part) for part in inspection.sizes}
    group_of = {name: name for names in uses.values() for name in names}
    if uses.get("train"):
        pairs = [inspection.pairs[name] for name in uses["train"]]
        try:
            group_of |= _with_part(groups_of(pairs, how, inspection.root, inspection.duplicates))
            halves = split(pairs, how, inspection.root, inspection.duplicates)
        except DataError as error:
            no_split = "; ".join(problem.message for problem in error.problems)
        else:
            training, validation = ([f"train/{pair.name}" for pair in half] for half in halves)
            uses = {"training": training, "validation": validation, **{k: v for k, v in uses.items() if k != "train"}}
    group_of |= {name: group[0] for group in inspection.groups("test") for name in group}
    sheets = [_sheet(inspection, use, names, group_of) for use, names in uses.items() if names]
    if not sheets:
        sheets = _unsorted(inspection.root)
    return Pictures(tuple(sheets), how, no_split)


def _with_part(group_of: Mapping[str, str]) -> dict[str, str]:
    return {f"train/{name}": f"train/{group}" for name, group in group_of.items()}


def _sheet(inspection: Inspection, use: str, names: Sequence[str], group_of: Mapping[str, str]) -> Sheet:
    ordered = sorted(names, key=lambda name: (group_of[name], name))
    groups = [tuple(group) for _, group in itertools.groupby(ordered[:MOST_NAMES], key=lambda name: group_of[name])]
    figures = tuple(_pair_figure(inspection, name) for name in evenly(ordered, MOST_PICTURES))
    files = tuple(tuple(inspection.files(group)) for group in groups)
    return Sheet(use, len(names), figures, files, max(0, len(names) - MOST_NAMES))


def _pair_figure(inspection: Inspection, name: str) -> Figure:
    pair = inspection.pairs[name]
    image = read_image(pair.image)
    small, caption = scaled(image, LARGE), _mask_caption(pair, image, inspection.mask_threshold)
    if not isinstance(caption, str):
        small, caption = outlined(small, caption), f"{caption.mean():.1%} vessel"
    return Figure(name, caption, embed(small), LARGE)


def _mask_caption(pair: Pair, image: Pixels, mask_threshold: Cut) -> Pixels | str:
    """The mask, or why it cannot be drawn."""
    try:
        mask = read_mask(pair.mask, None, mask_threshold)
    except DataError:
        return "its mask cannot be read"
    return mask if mask.shape == image.shape[:2] else f"its mask is {size_of(mask)}, the image {size_of(image)}"


def _unsorted(root: Path) -> list[Sheet]:
    """One sheet of the images in a folder that is no data set; empty if there are none."""
    files = itertools.islice(root.rglob("*"), MOST_FILES) if root.is_dir() else ()
    images = {str(file.relative_to(root)): file for file in files if file.suffix.lower() in EXTENSIONS}
    figures: list[Figure] = []
    unreadable = 0
    for name in evenly(sorted(images), MOST_PICTURES):
        try:
            figures.append(figure(read_image(images[name]), name, "", SMALL))
        except DataError:
            unreadable += 1
    return [Sheet("images in this folder", len(images) - unreadable, tuple(figures), (), 0)] if figures else []


def figure(pixels: Pixels, name: str, caption: str, side: int) -> Figure:
    """Return a picture of an image whose longer side has so many pixels."""
    return Figure(name, caption, embed(scaled(pixels, side)), side)


def outlined(small: Pixels, mask: Pixels) -> Pixels:
    """Draw the outline of a mask of 0 and 1, of any size, around its area in a small RGB picture, and tint the area."""
    height, width = small.shape[:2]
    covered = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    inside = (covered >= COVERED).astype(np.uint8)
    around = cv2.dilate(inside, np.ones((3, 3), np.uint8)) > inside
    drawn = small.astype(np.float32)
    drawn[inside > 0] += INSIDE * (np.array(OUTLINE, np.float32) - drawn[inside > 0])
    drawn[around] = OUTLINE
    return drawn.round().astype(np.uint8)


def describe_count(sheet: Sheet) -> str:
    """Describe how many of the images are shown: `3 images` or `100 of 2,000 images, evenly spaced by name`."""
    if len(sheet.figures) == sheet.images:
        return counted(sheet.images, "image")
    return f"{len(sheet.figures)} of {counted(sheet.images, 'image')}, evenly spaced"
