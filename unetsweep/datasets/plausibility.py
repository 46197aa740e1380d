"""How far a mask is one of vessels of its image: thin, branching, and darker than what is beside them.

Rule 1: the image is reduced to its fine dark structures in the green channel, in which vessels are darkest (Staal et
        al. 2004; Fraz et al. 2012): the level minus that of the surroundings, divided by the local spread. The mask is
        reduced alike. Their correlation (`fit`) is high for the vessels of this image, and near 0 for others.
Rule 2: where the fit is low, all mirrorings, turns and shifts of the mask are tried at once: in Fourier space a shift
        is a product. A mask that fits much better elsewhere is misplaced.
Rule 3: lengths are shares of the longer side, so that they mean the same at each size. `odd_masks` has the limits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.decoding import Pixels

Levels = NDArray[np.float32]

SIDE = 256
"""Longer side in pixels to which larger images are reduced: a vessel of 1 % of the image is 2 pixels wide."""
MIN_SIDE = 64
"""Longer side below which vessels are too thin to tell a fit."""
SKETCH = 64
"""Side of the sketches by which masks are compared with the images of others."""
_AROUND = 0.03
"""Spread of the surroundings, as a share of the side: some vessel widths."""
_SPREAD = 0.08
"""Spread within which contrast is evened out."""
_WIDE = 0.08
"""Diameter of areas that are too wide for vessels: the widest vessels of four public sets have 0.03."""
_TINY = 9
"""Pixels of an area that may be a dot as well as a piece of a line."""
_ROUND = 0.28
"""Area over the squared diagonal of its box, from which an area is round: a disc has 0.39, a line of 4:1 has 0.24."""
_BORDERED = 0.98
"""Share of the bright field in an image below which it has a dark border."""
_CERTAIN = 0.35
"""From this fit on no other place of the mask is searched."""
_MOVES = {
    (False, 0): "",
    (True, 0): "mirrored left to right",
    (True, 2): "mirrored top to bottom (upside down)",
    (False, 2): "turned by 180 degrees (upside down)",
    (False, 1): "turned by 90 degrees clockwise",
    (False, 3): "turned by 90 degrees counter-clockwise",
    (True, 1): "transposed (rows and columns are exchanged)",
    (True, 3): "transposed and turned by 180 degrees",
}
"""What was done to a mask that fits after (mirrored left to right, quarter turns counter-clockwise)."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where a mask fits best."""

    fit: float
    """Correlation there, -1 to 1."""
    move: str
    """What was done to the mask, besides a shift; empty for nothing."""
    shift: tuple[float, float]
    """How far the mask lies right of and below its vessels, as a share of the longer side."""

    @property
    def is_here(self) -> bool:
        """Whether the mask is where it is."""
        return not self.move and self.shift == (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Measures:
    """What is measured of an image and its mask; shares are 0 to 1."""

    share: float
    """Vessel pixels."""
    side: int
    """Longer side of the image in pixels."""
    compactness: float
    """Area over the squared diameter of the largest circle in the mask: 0.79 for a disc, much more for vessels."""
    wide: float
    """Share of the mask in areas that are wider than 0.08 of the side."""
    spots: float
    """Share of the mask in round spots, of those areas that are not tiny."""
    field: float
    """Overlap (IoU) of the mask with the bright field of the photograph; 0 for one without a dark border."""
    fit: float
    """Correlation of the mask with the fine dark structures, -1 to 1; 0 for images smaller than MIN_SIDE."""
    best: Alignment
    image_sketch: Levels
    """The fine dark structures, SKETCH x SKETCH, with norm 1."""
    mask_sketch: Levels


def measure(image: Pixels, mask: Pixels) -> Measures:
    """Measure an image, height x width x 3 (BGR or RGB) or height x width, and its mask of 0 and 1."""
    green, small = _reduced(image[:, :, 1] if image.ndim == 3 else image, mask)
    longer = max(image.shape[:2])
    field = (green > 0.25 * np.percentile(green, 90)).astype(np.uint8)
    inside = _shrunken(field)
    dark, lines = _dark_structures(green, inside), _lines(small, inside)
    fit = _correlation(dark, lines) if longer >= MIN_SIDE else 0.0
    best = Alignment(fit, "", (0.0, 0.0))
    if fit < _CERTAIN and longer >= MIN_SIDE and lines.any():
        best = max(_alignments(dark, lines), key=lambda alignment: alignment.fit)
    shape = (small > 0.5).astype(np.uint8)
    overlap, union = int((shape & field).sum()), int((shape | field).sum())
    return Measures(
        share=float(mask.mean()),
        side=longer,
        compactness=_compactness(shape),
        wide=_wide_share(shape),
        spots=_spot_share(shape),
        field=overlap / max(1, union) if field.mean() < _BORDERED else 0.0,
        fit=fit,
        best=best,
        image_sketch=_sketch(dark),
        mask_sketch=_sketch(lines),
    )


def _reduced(green: Pixels, mask: Pixels) -> tuple[Levels, Levels]:
    """Return both with a longer side of SIDE pixels at most; the mask as shares of each pixel."""
    height, width = green.shape
    scale = SIDE / max(height, width)
    if scale < 1:
        size = max(8, round(width * scale)), max(8, round(height * scale))
        green = np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_AREA), np.uint8)
        return green.astype(np.float32), _f32(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA))
    return green.astype(np.float32), mask.astype(np.float32)


def _f32(values: object) -> Levels:
    return np.asarray(values, np.float32)


def _blurred(pixels: Levels, sigma: float) -> Levels:
    return _f32(cv2.GaussianBlur(pixels, (0, 0), sigma))


def _ellipse(share: float, side: int) -> Pixels:
    size = max(3, round(side * share) | 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _shrunken(field: Pixels) -> Levels:
    """Return the field without holes, and without a margin at its edge, which is no vessel."""
    kernel = _ellipse(_AROUND, max(field.shape))
    closed = cv2.morphologyEx(field, cv2.MORPH_CLOSE, kernel)
    return _f32(cv2.erode(closed, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1))


def _without_surroundings(pixels: Levels, inside: Levels) -> Levels:
    sigma = _AROUND * max(pixels.shape)
    around = _blurred(pixels * inside, sigma) / (_blurred(inside, sigma) + np.float32(1e-3))
    return _f32((pixels - around) * inside)


def _dark_structures(green: Levels, inside: Levels) -> Levels:
    """Return what is darker than its surroundings, above 0, in units of the local spread."""
    detail, sigma = -_without_surroundings(green, inside), _SPREAD * max(green.shape)
    spread = np.sqrt(_blurred(_f32(detail * detail), sigma) / (_blurred(inside, sigma) + np.float32(1e-3)))
    return _f32(np.clip(detail / (spread + np.float32(1.5)), -3, 3) * inside)


def _lines(mask: Levels, inside: Levels) -> Levels:
    """Return the mask minus its surroundings, so that wide areas vanish like those of the image."""
    return _without_surroundings(mask, inside)


def _correlation(a: Levels, b: Levels) -> float:
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / norm if norm > 1e-6 else 0.0


def _alignments(dark: Levels, lines: Levels) -> Iterator[Alignment]:
    """Yield the best shift of the mask for each mirroring and turn that keeps its shape."""
    target = np.fft.rfft2(dark)
    norm = float(np.linalg.norm(dark) * np.linalg.norm(lines)) + 1e-9
    for (mirrored, quarters), move in _MOVES.items():
        moved = np.rot90(lines[:, ::-1] if mirrored else lines, quarters)
        if moved.shape != dark.shape:
            continue
        found = np.fft.irfft2(target * np.fft.rfft2(moved).conj(), s=dark.shape)
        at = np.unravel_index(int(found.argmax()), found.shape)
        down, right = (int(n) - (length if n > length // 2 else 0) for n, length in zip(at, found.shape, strict=True))
        side = max(dark.shape)
        yield Alignment(float(found.max()) / norm, move, (-right / side, -down / side))


def _compactness(shape: Pixels) -> float:
    area = int(shape.sum())
    if not area:  # single pixels, which vanish in a smaller image
        return math.inf
    distances = cv2.distanceTransform(cv2.copyMakeBorder(shape, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5)
    return area / max(1.0, 2 * float(distances.max())) ** 2


def _wide_share(shape: Pixels) -> float:
    opened = cv2.morphologyEx(shape, cv2.MORPH_OPEN, _ellipse(_WIDE, max(shape.shape)))
    return int(opened.sum()) / max(1, int(shape.sum()))


def _spot_share(shape: Pixels) -> float:
    _, _, boxes, _ = cv2.connectedComponentsWithStats(shape, connectivity=8)
    areas = boxes[1:, cv2.CC_STAT_AREA].astype(np.float64)
    squares = boxes[1:, cv2.CC_STAT_WIDTH].astype(np.float64) ** 2 + boxes[1:, cv2.CC_STAT_HEIGHT] ** 2
    large = areas >= _TINY
    return float(areas[large & (areas > _ROUND * squares)].sum() / max(1.0, areas[large].sum()))


def _sketch(levels: Levels) -> Levels:
    small = _f32(cv2.resize(levels, (SKETCH, SKETCH), interpolation=cv2.INTER_AREA))
    return _f32(small / (np.linalg.norm(small) + 1e-9))
