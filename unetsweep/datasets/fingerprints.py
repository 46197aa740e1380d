"""Fingerprints: a small image of the vessels of each photograph, and the alignment of two of them.

Rule 1: a fingerprint removes what a duplicate may change: brightness, contrast, colour, size, the border. The position
        of the photograph on its canvas is removed by the frame of its bright field (`frames`). A mirrored border hides
        the field, so each photograph also has a fingerprint of the whole canvas.
Rule 2: all rotations are tried at once: in polar coordinates a rotation is a shift of the angle, and a mirrored
        rotation is one read backwards. One Fourier transform finds the best of each for every pair: the candidates.
Rule 3: only the alignment of a candidate decides: its rotation is refined to an affine transform (a photograph may be
        squashed after its rotation), and the vessels are correlated where both have some.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.frames import Levels, Pixels, crop_field, find_field, fit_canvas, remove_flat_border

SIDE = 160
"""Side of a fingerprint in pixels: large enough for the vessels, small enough for thousands."""
ANGLES, RADII = 256, 56
"""Size of the polar image in which rotations are compared."""
RADIUS = 0.94 * SIDE / 2
"""Radius of the disc that is compared: a rotation at native size with a mirrored border leaves the disc intact."""
CANDIDATE, CANDIDATE_BY_FIELD = 0.25, 0.4
"""Correlation over all rotations from which a pair is aligned: about the canvas's centre, and the field's."""
SURE, DOUBTFUL = 0.7, 0.5
"""Correlations of the aligned vessels; `duplicates` has the measurements that they lie between."""
_FIELD_RADIUS = 0.95 * SIDE / 2
_CENTRE = (SIDE / 2 - 0.5, SIDE / 2 - 0.5)
_MAX_STRETCH, _MAX_SHIFT = 1.18, 0.06
"""Limits of the alignment besides the rotation; the shift is a share of the side. The canvas alone finds less:
its candidate rotation is about the centre, so a shift by 2 % of the width is too much for it."""
_NEAR_ZERO = 0.3
"""Degrees: the error of an alignment, below which a rotation is none or a multiple of 90 degrees."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The vessels of a photograph, SIDE x SIDE."""

    levels: Levels
    """Green minus its surroundings, divided by the local spread: -3 to 3, vessels below 0, 0 outside the field."""
    field: Pixels
    """1 inside the photograph's round field, a little away from its edge."""
    pose: Levels
    """2 x 3: (x, y, 1) in the fingerprint to (x, y) in the photograph."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Both fingerprints of a photograph."""

    canvas: Fingerprint
    """Of the whole canvas."""
    field: Fingerprint | None
    """Of the bright field; None for a photograph without a visible round field."""
    certain: bool
    """The field is certain, so the canvas adds nothing."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The likely transform of a pair: `b` is `a`, mirrored or not, then rotated."""

    a: int
    b: int
    mirrored: bool
    step: int
    """Angle, in units of 1/ANGLES of a full circle."""

    def inverse(self) -> "Rotation":
        """Return the rotation of `b` to `a`; a mirrored rotation is its own inverse."""
        return Rotation(self.b, self.a, self.mirrored, self.step if self.mirrored else -self.step % ANGLES)


@dataclass(frozen=True, slots=True)
class Fit:
    """The alignment of a pair: its correlation, and where each point of `a` is in `b`."""

    correlation: float
    mirrored: bool
    pose: Levels
    """2 x 3: (x, y, 1) in the fingerprint of `a` to (x, y) in that of `b`."""

    def inverse(self) -> "Fit":
        """Return the same alignment from `b` to `a`."""
        return Fit(self.correlation, self.mirrored, np.linalg.inv(_square(self.pose))[:2].astype(np.float32))


def take_fingerprints(image: Pixels) -> Fingerprints:
    """Return the fingerprints of a photograph, height x width x 3 in RGB order, of any size."""
    field = find_field(image)
    if field is None:
        return Fingerprints(canvas_fingerprint(image), None, certain=False)
    small, covered, pose = crop_field(image, field, SIDE, _FIELD_RADIUS)
    return Fingerprints(canvas_fingerprint(image), _fingerprint(small, _retina(small) * covered, pose), field.certain)


def canvas_fingerprint(image: Pixels) -> Fingerprint:
    """Return the fingerprint of a photograph's whole canvas."""
    small, pose = fit_canvas(image, SIDE)
    return _fingerprint(small, _retina(small), pose)


def _fingerprint(small: Pixels, inside: Pixels, pose: Levels) -> Fingerprint:
    whole, core = _fields(inside)
    green = small[:, :, 1].astype(np.float32)
    around = _blurred(green * whole, 5) / (_blurred(whole, 5) + np.float32(1e-3))
    detail = (_blurred(green, 0.8) - around) * core
    spread = np.sqrt(_blurred(detail * detail, 12) / (_blurred(core, 12) + np.float32(1e-3)))
    levels = np.clip(detail / (spread + np.float32(1.5)), -3, 3) * core
    return Fingerprint(np.asarray(levels, np.float32), core.astype(np.uint8), pose)


def candidate_rotations(
    prints: Sequence[Fingerprint], least: float = CANDIDATE, at_once: int = 64
) -> Iterator[Rotation]:
    """Yield each pair that may show the same eye, with its best rotation, in the order of the prints.

    `at_once` rows of the table of all pairs are computed at a time: 64 x 1000 pairs need about 200 MB.
    """
    if len(prints) < 2:
        return
    spectra = np.fft.rfft(np.stack([_polar(each) for each in prints]), axis=1).astype(np.complex64)
    for first in range(0, len(prints), at_once):
        rows, others = spectra[first : first + at_once], spectra[first:]
        best = [_best(rows, side) for side in (others.conj(), others)]
        score = np.maximum(best[0][0], best[1][0])
        for row, column in np.argwhere(score >= least):
            if column > row:
                mirrored = bool(best[1][0][row, column] > best[0][0][row, column])
                step = int(best[mirrored][1][row, column])
                yield Rotation(first + int(row), first + int(column), mirrored, step)


def align(a: Fingerprint, b: Fingerprint, rotation: Rotation) -> Fit:
    """Refine the rotation of a pair, and return it with the correlation of the vessels."""
    start = _pose(rotation)
    mask = b.field * _DISC * np.uint8(255)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)
    unrefined = Fit(_correlation(a, b, start), rotation.mirrored, start)
    try:
        _, refined = cv2.findTransformECC(a.levels, b.levels, start.copy(), cv2.MOTION_AFFINE, criteria, mask, 5)
    except cv2.error:  # it did not converge
        return unrefined
    pose = np.asarray(refined, np.float32)
    if not _is_plausible(pose):
        return unrefined
    return max(unrefined, Fit(_correlation(a, b, pose), rotation.mirrored, pose), key=lambda fit: fit.correlation)


def describe_transform(pose: Levels, mirrored: bool) -> str:
    """Describe what was done to the first of a pair to make the second; angles are counter-clockwise.

    >>> describe_transform(np.array([[-1, 0, 159], [0, 1, 0]], np.float32), True)
    'mirrored left to right'
    >>> describe_transform(np.array([[0, 1, 0], [-1, 0, 159]], np.float32), False)
    'rotated by 90 degrees'
    """
    (p, q, _), (r, s, _) = pose.tolist()
    angle = 180 - math.degrees(math.atan2(q + r, p - s)) if mirrored else math.degrees(math.atan2(q - r, p + s))
    angle = 180 - (180 - angle) % 360  # above -180, up to 180
    quarter = 90 * round(angle / 90) % 360
    if abs(angle - 90 * round(angle / 90)) >= _NEAR_ZERO:
        rotated = f"rotated by {angle:.1f} degrees"
    elif quarter in (0, 180) and mirrored:
        return "mirrored top to bottom" if quarter else "mirrored left to right"
    elif quarter == 0:
        return "the same picture"
    else:
        rotated = f"rotated by {quarter if quarter <= 180 else quarter - 360} degrees"
    return f"mirrored, then {rotated}" if mirrored else rotated


def aligned(a: Pixels, b: Pixels) -> Pixels:
    """Return `b` as SIDE x SIDE x 3, transformed to match `a` as well as possible; black outside `b`."""
    ours, theirs = take_fingerprints(a), take_fingerprints(b)
    pairs = [(ours.canvas, theirs.canvas)]
    if ours.field is not None and theirs.field is not None:
        pairs.append((ours.field, theirs.field))
    fits = [(align(*pair, rotation), pair) for pair in pairs for rotation in _best_rotations(pair)]
    best, (print_a, print_b) = max(fits, key=lambda each: each[0].correlation)
    pose = _square(ours.canvas.pose)
    for step in (np.linalg.inv(_square(print_a.pose)), _square(best.pose), _square(print_b.pose)):
        pose = step @ pose
    pose = np.linalg.inv(_square(theirs.canvas.pose)) @ pose
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(fit_canvas(b, SIDE)[0], pose[:2], (SIDE, SIDE), flags=flags), np.uint8)


def _square(pose: Levels) -> NDArray[np.float64]:
    return np.vstack([pose, [0, 0, 1]]).astype(np.float64)


def _best_rotations(prints: Sequence[Fingerprint]) -> Iterator[Rotation]:
    """Yield the best rotation of two prints, and the best mirrored one."""
    spectra = np.fft.rfft(np.stack([_polar(each) for each in prints]), axis=1).astype(np.complex64)
    for mirrored in (False, True):
        _, steps = _best(spectra[:1], spectra[1:] if mirrored else spectra[1:].conj())
        yield Rotation(0, 1, mirrored, int(steps[0, 0]))


def _retina(small: Pixels) -> Pixels:
    """Return 1 where there is retina: not dark, and not the uniform border of black, grey or white."""
    brightest = small.max(axis=2)
    bright = brightest > 0.25 * np.percentile(brightest, 90)
    return np.asarray(remove_flat_border(small, bright, _DISC > 0), np.uint8)


def _fields(inside: Pixels) -> tuple[Levels, Levels]:
    """Return the field without holes, less its blurred edge; and less a wider margin.

    The edge of the image does not count as an edge of the field.
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
    """Return ANGLES x RADII about the centre, each ring weighted by its length and without its mean; norm 1."""
    flags = cv2.INTER_LINEAR | cv2.WARP_POLAR_LINEAR
    rings = cv2.warpPolar(each.levels, (RADII, ANGLES), _CENTRE, RADIUS, flags)
    rings = rings * np.sqrt(np.arange(RADII, dtype=np.float32) + 0.5)
    rings -= rings.mean(axis=0)
    return np.asarray(rings / (np.linalg.norm(rings) + 1e-9), np.float32)


def _best(rows: NDArray[np.complex64], others: NDArray[np.complex64]) -> tuple[Levels, NDArray[np.intp]]:
    """Return the highest correlation over all rotations of each pair, and its step."""
    product = np.stack([rows[:, k] @ others[:, k].T for k in range(rows.shape[1])], axis=-1)
    correlations = np.fft.irfft(product, n=ANGLES, axis=-1)
    return correlations.max(axis=-1).astype(np.float32), correlations.argmax(axis=-1)


def _pose(rotation: Rotation) -> Levels:
    """Return the 2 x 3 matrix of a rotation about the centre."""
    angle = 2 * math.pi * rotation.step / ANGLES
    c, s = math.cos(angle), math.sin(angle)
    linear = np.array([[c, s], [s, -c]] if rotation.mirrored else [[c, s], [-s, c]])
    centre = np.array(_CENTRE)
    return np.hstack([linear, (centre - linear @ centre)[:, None]]).astype(np.float32)


def _is_plausible(pose: Levels) -> bool:
    """Whether this is nearly a rotation about the centre, with little stretch and shift."""
    if not np.isfinite(pose).all():
        return False
    longest, shortest = np.linalg.svd(pose[:, :2], compute_uv=False)
    shift = np.linalg.norm(pose @ np.array([*_CENTRE, 1.0]) - np.array(_CENTRE))
    return bool(longest <= _MAX_STRETCH and shortest >= 1 / _MAX_STRETCH and shift <= _MAX_SHIFT * SIDE)


def _correlation(a: Fingerprint, b: Fingerprint, pose: Levels) -> float:
    """Return the correlation of the levels where both have a field; 0 if that is less than 30 % of the disc."""
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
