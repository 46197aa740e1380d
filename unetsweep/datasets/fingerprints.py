"""A small picture of the vessels of each photograph, and how one of two is turned onto the other.

Rule 1: what a copy may change is taken out first: brightness, contrast, colour, size, the border.
        Where the photograph lies on its canvas is taken out too, by the frame of its bright field (`frames`);
        but a border that mirrors hides the field, so each is also looked at as its canvas has it.
Rule 2: all turns are tried at once: about the picture's centre a turn is a shift along the angle, and
        so is a mirrored turn read backwards; one Fourier transform tells the best of each for every pair.
Rule 3: only a second look decides: the likely turn is refined (a photograph squashed after its turn is
        no longer merely turned), and the vessels of both are correlated where both have some.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.frames import bright_field, framed, on_canvas

Pixels = NDArray[np.uint8]
Levels = NDArray[np.float32]

SIDE = 160
"""Side of a fingerprint in pixels: large enough for the vessels, small enough for thousands."""
ANGLES, RADII = 256, 56
RADIUS = 0.94 * SIDE / 2
"""Of the disc that is compared: what a turn at native size with a mirrored border leaves true."""
LIKELY, LIKELY_BY_FIELD = 0.25, 0.4
"""Correlation over all turns from which a pair gets a second look: about the canvas's centre, and the field's."""
SURE, DOUBTFUL = 0.7, 0.5
"""Correlations of the vessels, once one picture is turned onto the other."""
_FIELD_RADIUS = 0.95 * SIDE / 2
_CENTRE = (SIDE / 2 - 0.5, SIDE / 2 - 0.5)
_SQUASH, _SHIFT = 1.18, 0.06
"""How far the second look may stretch, and shift (as a share of the side), beside the turn. What a copy may is less
where only its canvas is known: the likely turn is about the middle, and lost with a shift of 2 % of the width."""
_NEAR_ZERO = 0.3
"""Degrees below which a turn is none, and a quarter turn is one."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The vessels of one photograph, SIDE x SIDE."""

    levels: Levels
    """Green less its surroundings, over the local spread: -3 to 3, vessels below 0, 0 outside the field."""
    field: Pixels
    """1 inside the photograph's round field, a little away from its edge."""
    pose: Levels
    """2 x 3: (x, y, 1) here to (x, y) in the photograph."""


@dataclass(frozen=True, slots=True)
class Looks:
    """One photograph, seen twice."""

    canvas: Fingerprint
    """As it lies on its canvas."""
    field: Fingerprint | None
    """With its bright field as the disc; None where it has no such."""
    whole: bool
    """The field is beyond doubt, so the canvas tells nothing more."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a pair is likely to fit: `b` is `a`, mirrored or not, then turned."""

    a: int
    b: int
    mirrored: bool
    step: int
    """Of ANGLES in a full circle."""

    def back(self) -> "Alignment":
        """What makes `a` of `b`; a mirrored turn undoes itself."""
        return Alignment(self.b, self.a, self.mirrored, self.step if self.mirrored else -self.step % ANGLES)


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a pair fits, and where each point of `a` lies in `b`."""

    correlation: float
    mirrored: bool
    pose: Levels
    """2 x 3: (x, y, 1) in the fingerprint of `a` to (x, y) in that of `b`."""

    def back(self) -> "Fit":
        """The same fit, from `b` to `a`."""
        return Fit(self.correlation, self.mirrored, np.linalg.inv(_square(self.pose))[:2].astype(np.float32))


def looks(image: Pixels) -> Looks:
    """Of a photograph, height x width x 3 in RGB order, of any size."""
    field = bright_field(image)
    if field is None:
        return Looks(fingerprint(image), None, whole=False)
    small, there, pose = framed(image, field, SIDE, _FIELD_RADIUS)
    return Looks(fingerprint(image), _printed(small, _inside(small) * there, pose), field.whole)


def fingerprint(image: Pixels) -> Fingerprint:
    """Of a photograph as it lies on its canvas."""
    small, pose = on_canvas(image, SIDE)
    return _printed(small, _inside(small), pose)


def _printed(small: Pixels, inside: Pixels, pose: Levels) -> Fingerprint:
    whole, core = _fields(inside)
    green = small[:, :, 1].astype(np.float32)
    around = _blurred(green * whole, 5) / (_blurred(whole, 5) + np.float32(1e-3))
    detail = (_blurred(green, 0.8) - around) * core
    spread = np.sqrt(_blurred(detail * detail, 12) / (_blurred(core, 12) + np.float32(1e-3)))
    levels = np.clip(detail / (spread + np.float32(1.5)), -3, 3) * core
    return Fingerprint(np.asarray(levels, np.float32), core.astype(np.uint8), pose)


def likely_turns(prints: Sequence[Fingerprint], likely: float = LIKELY, at_once: int = 64) -> Iterator[Alignment]:
    """Each pair that may show one eye, with its best turn, in the order of the prints.

    `at_once` rows of the table of all pairs are held at a time: 64 x 1000 pairs need about 200 MB.
    """
    if len(prints) < 2:
        return
    spectra = np.fft.rfft(np.stack([_polar(each) for each in prints]), axis=1).astype(np.complex64)
    for first in range(0, len(prints), at_once):
        rows, others = spectra[first : first + at_once], spectra[first:]
        best = [_best(rows, side) for side in (others.conj(), others)]
        score = np.maximum(best[0][0], best[1][0])
        for row, column in np.argwhere(score >= likely):
            if column > row:
                mirrored = bool(best[1][0][row, column] > best[0][0][row, column])
                step = int(best[mirrored][1][row, column])
                yield Alignment(first + int(row), first + int(column), mirrored, step)


def fit(a: Fingerprint, b: Fingerprint, turn: Alignment) -> Fit:
    """The turn refined, and the correlation of the vessels then (-1 to 1)."""
    start = _pose(turn)
    mask = b.field * _DISC * np.uint8(255)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)
    found = Fit(_correlation(a, b, start), turn.mirrored, start)
    try:
        _, refined = cv2.findTransformECC(a.levels, b.levels, start.copy(), cv2.MOTION_AFFINE, criteria, mask, 5)
    except cv2.error:  # nothing there that it could hold on to
        return found
    pose = np.asarray(refined, np.float32)
    better = Fit(_correlation(a, b, pose), turn.mirrored, pose) if _is_plausible(pose) else found
    return max(found, better, key=lambda each: each.correlation)


def in_words(pose: Levels, mirrored: bool) -> str:
    """What was done to the first of a pair to make the second; angles are counter-clockwise.

    >>> in_words(np.array([[-1, 0, 159], [0, 1, 0]], np.float32), True)
    'mirrored left to right'
    >>> in_words(np.array([[0, 1, 0], [-1, 0, 159]], np.float32), False)
    'turned by 90 degrees'
    """
    (p, q, _), (r, s, _) = pose.tolist()
    angle = 180 - math.degrees(math.atan2(q + r, p - s)) if mirrored else math.degrees(math.atan2(q - r, p + s))
    angle = 180 - (180 - angle) % 360  # above -180, up to 180
    quarter = 90 * round(angle / 90) % 360
    if abs(angle - 90 * round(angle / 90)) >= _NEAR_ZERO:
        turned = f"turned by {angle:.1f} degrees"
    elif quarter in (0, 180) and mirrored:
        return "mirrored top to bottom" if quarter else "mirrored left to right"
    elif quarter == 0:
        return "the same picture"
    else:
        turned = f"turned by {quarter if quarter <= 180 else quarter - 360} degrees"
    return f"mirrored, then {turned}" if mirrored else turned


def turned_back(a: Pixels, b: Pixels) -> Pixels:
    """`b` as SIDE x SIDE x 3, turned onto `a` as well as it can be; black where it has nothing."""
    ours, theirs = looks(a), looks(b)
    sights = [(ours.canvas, theirs.canvas)]
    if ours.field is not None and theirs.field is not None:
        sights.append((ours.field, theirs.field))
    fits = [(fit(*prints, turn), prints) for prints in sights for turn in _each_turn(prints)]
    best, (seen_a, seen_b) = max(fits, key=lambda each: each[0].correlation)
    back = _square(ours.canvas.pose)
    for step in (np.linalg.inv(_square(seen_a.pose)), _square(best.pose), _square(seen_b.pose)):
        back = step @ back
    back = np.linalg.inv(_square(theirs.canvas.pose)) @ back
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(on_canvas(b, SIDE)[0], back[:2], (SIDE, SIDE), flags=flags), np.uint8)


def _square(pose: Levels) -> NDArray[np.float64]:
    return np.vstack([pose, [0, 0, 1]]).astype(np.float64)


def _each_turn(prints: Sequence[Fingerprint]) -> Iterator[Alignment]:
    """The best turn of two prints, and the best mirrored one."""
    spectra = np.fft.rfft(np.stack([_polar(each) for each in prints]), axis=1).astype(np.complex64)
    for mirrored in (False, True):
        _, steps = _best(spectra[:1], spectra[1:] if mirrored else spectra[1:].conj())
        yield Alignment(0, 1, mirrored, int(steps[0, 0]))


def _inside(small: Pixels) -> Pixels:
    """1 where there is retina: neither dark nor of the one colour, black, grey or white, that lies around it."""
    brightest = small.max(axis=2)
    inside = brightest > 0.25 * np.percentile(brightest, 90)
    corners = (_DISC == 0) & inside
    if corners.any():
        green = small[:, :, 1].astype(np.int16)
        level = int(np.bincount(green[corners].ravel(), minlength=256).argmax())
        colour = np.median(small[corners & (np.abs(green - level) <= 4)], axis=0)
        flat = (np.abs(small - colour) <= 6).all(axis=2)
        if flat[_DISC == 0].mean() >= 0.1 and flat[_DISC > 0].mean() <= 0.1:
            inside &= ~flat
    return np.asarray(inside, np.uint8)


def _fields(inside: Pixels) -> tuple[Levels, Levels]:
    """The field with its holes closed, less its edge, where it and its surroundings mix; and less some more.

    The picture's own edge is none.
    """
    wide = cv2.copyMakeBorder(inside, 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=1)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, _ellipse(5))
    whole, core = (cv2.erode(closed, _ellipse(n), borderType=cv2.BORDER_CONSTANT, borderValue=1) for n in (5, 11))
    return whole[6:-6, 6:-6].astype(np.float32), core[6:-6, 6:-6].astype(np.float32)


def _ellipse(size: int) -> Pixels:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _blurred(pixels: Levels, sigma: float) -> Levels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.float32)


def _polar(each: Fingerprint) -> Levels:
    """ANGLES x RADII about the centre, each ring weighted by its length and without its mean, of length 1."""
    flags = cv2.INTER_LINEAR | cv2.WARP_POLAR_LINEAR
    rings = cv2.warpPolar(each.levels, (RADII, ANGLES), _CENTRE, RADIUS, flags)
    rings = rings * np.sqrt(np.arange(RADII, dtype=np.float32) + 0.5)
    rings -= rings.mean(axis=0)
    return np.asarray(rings / (np.linalg.norm(rings) + 1e-9), np.float32)


def _best(rows: NDArray[np.complex64], others: NDArray[np.complex64]) -> tuple[Levels, NDArray[np.intp]]:
    """The highest correlation over all turns of each pair, and the step where it is."""
    product = np.stack([rows[:, k] @ others[:, k].T for k in range(rows.shape[1])], axis=-1)
    over_turns = np.fft.irfft(product, n=ANGLES, axis=-1)
    return over_turns.max(axis=-1).astype(np.float32), over_turns.argmax(axis=-1)


def _pose(turn: Alignment) -> Levels:
    """The 2 x 3 matrix of a turn about the centre."""
    angle = 2 * math.pi * turn.step / ANGLES
    c, s = math.cos(angle), math.sin(angle)
    linear = np.array([[c, s], [s, -c]] if turn.mirrored else [[c, s], [-s, c]])
    centre = np.array(_CENTRE)
    return np.hstack([linear, (centre - linear @ centre)[:, None]]).astype(np.float32)


def _is_plausible(pose: Levels) -> bool:
    """Whether it is a turn about the centre, give or take a little stretching and shifting."""
    if not np.isfinite(pose).all():
        return False
    stretched = np.linalg.svd(pose[:, :2], compute_uv=False)
    moved = pose @ np.array([*_CENTRE, 1.0]) - np.array(_CENTRE)
    return bool(stretched[0] <= _SQUASH and stretched[1] >= 1 / _SQUASH and np.linalg.norm(moved) <= _SHIFT * SIDE)


def _correlation(a: Fingerprint, b: Fingerprint, pose: Levels) -> float:
    """Of the levels where both have a field, within the disc; 0 where that is too little to tell."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    levels = cv2.warpAffine(b.levels, pose, (SIDE, SIDE), flags=flags)
    field = cv2.warpAffine(b.field.astype(np.float32), pose, (SIDE, SIDE), flags=flags)
    both = (a.field > 0) & (field > 0.99) & (_DISC > 0)
    if both.sum() < 0.3 * _DISC.sum():
        return 0.0
    ours, theirs = (each[both] - each[both].mean() for each in (a.levels, levels))
    norm = float(np.sqrt((ours * ours).sum() * (theirs * theirs).sum()))
    return float((ours * theirs).sum()) / norm if norm > 1e-6 else 0.0


def _disc() -> Pixels:
    y, x = np.mgrid[:SIDE, :SIDE] - _CENTRE[0]
    return np.asarray(x * x + y * y < RADIUS * RADIUS, np.uint8)


_DISC = _disc()
