"""Frames: the round bright field of a photograph, at any position, size and stretch of the canvas.

Rule 1: a circle stays an axis-parallel ellipse if an image is rotated, then padded, moved, zoomed or squashed. Its
        centre and its two radii undo all of these.
Rule 2: edges that are not of the circle are ignored: the canvas that cuts the field, a notch, a dark corner of the
        retina. If too little of the edge is left, no field is found, and only the canvas can be compared.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Levels = NDArray[np.float32]
Points = NDArray[np.float64]

_SIDE = 192
"""The edge is searched in an image with the area of a square of this side: enough for a precise ellipse, and fast."""
_DARK = 0.10
"""The border is darker than this share of the way from the darkest pixels to the bright ones."""
_TOLERANCE = 0.012
"""Largest distance of a point from the ellipse, as a share of the radius: about one pixel."""
_MIN_SHARE, _MIN_POINTS, _MIN_QUARTERS = 0.4, 40, 3
"""Points that must be on the ellipse: share, number, and quarters of it with at least four."""
_MAX_RATIO, _MIN_RADIUS = 2.5, 0.25
"""Largest ratio of the radii, and smallest radius as a share of half the canvas's mean side."""
_CERTAIN = 0.9
"""The field is certain if this share of the edge is on the ellipse, and the ellipse is on the canvas."""
_DRAWS = np.random.default_rng(0).random((200, 4))
"""Choose the points of each candidate ellipse. They are fixed, so that the same image always has the same field."""


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An axis-parallel ellipse, in pixels of the photograph; the centre of the first pixel is (0, 0)."""

    x: float
    y: float
    across: float
    """Radius along x."""
    down: float
    """Radius along y."""
    certain: bool
    """All of it is on the canvas, and nearly all of its edge is an ellipse."""


def find_field(image: Pixels) -> Ellipse | None:
    """Return the field of a photograph, height x width x 3; None if its edge is not an ellipse, or hardly visible."""
    height, width = image.shape[:2]
    scale = _SIDE / math.sqrt(width * height)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    centre = (np.array(size) - 1) / 2
    fitted = _fit_ellipse((_edge(_retina(np.asarray(small, np.uint8))) - centre) / (_SIDE / 2))
    if fitted is None:
        return None
    ellipse, share = fitted
    across, down = width / size[0], height / size[1]
    x, y = ellipse[:2] * (_SIDE / 2) + centre
    right, below = ellipse[2:] * (_SIDE / 2) + 0.5  # the points of the edge are pixels inside the field
    on_canvas = min(x - right, y - below, size[0] - 1 - x - right, size[1] - 1 - y - below) > -2
    return Ellipse(
        x=(x + 0.5) * across - 0.5,
        y=(y + 0.5) * down - 0.5,
        across=right * across,
        down=below * down,
        certain=bool(on_canvas and share >= _CERTAIN),
    )


def crop_field(image: Pixels, field: Ellipse, side: int, radius: float) -> tuple[Pixels, Pixels, Levels]:
    """Return the field as a circle in a square, side x side x 3; 1 where the photograph covers it; and its pose."""
    height, width = image.shape[:2]
    size = max(2, round(width * radius / field.across)), max(2, round(height * radius / field.down))
    sized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR)
    middle = side / 2 - 0.5
    across, along = width / size[0], height / size[1]
    x, y = (field.x + 0.5) / across - 0.5, (field.y + 0.5) / along - 0.5
    move = np.array([[1, 0, middle - x], [0, 1, middle - y]], np.float32)
    covered = cv2.warpAffine(np.ones(size[::-1], np.uint8), move, (side, side), flags=cv2.INTER_NEAREST)
    down, right = np.mgrid[:side, :side] - middle
    covered[down * down + right * right >= (radius + 1) ** 2] = 0
    pose = np.array([[across, 0, field.x - middle * across], [0, along, field.y - middle * along]], np.float32)
    return np.asarray(cv2.warpAffine(sized, move, (side, side)), np.uint8), np.asarray(covered, np.uint8), pose


def fit_canvas(image: Pixels, side: int) -> tuple[Pixels, Levels]:
    """Return side x side x 3 with the image at the same area, not squashed, cut or padded with black; and its pose."""
    height, width = image.shape[:2]
    scale = side / math.sqrt(width * height)
    size = max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))
    sized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (max(0, (length - side) // 2) for length in size)
    cut = sized[top : top + side, left : left + side]
    down, right = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    filled = cv2.copyMakeBorder(cut, down, down, right, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    across, along = width / size[0], height / size[1]
    x, y = (left - right + 0.5) * across - 0.5, (top - down + 0.5) * along - 0.5
    return np.asarray(filled, np.uint8), np.array([[across, 0, x], [0, along, y]], np.float32)


def remove_flat_border(image: Pixels, inside: NDArray[np.bool_], disc: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return `inside` without the pixels of one uniform colour, if that colour fills the corners outside `disc`."""
    corners = ~disc & inside
    if not corners.any():
        return inside
    green = image[:, :, 1].astype(np.int16)
    level = int(np.bincount(green[corners], minlength=256).argmax())
    colour = np.median(image[corners & (np.abs(green - level) <= 4)], axis=0)
    flat = (np.abs(image - colour) <= 6).all(axis=2)
    is_border = flat[~disc].mean() >= 0.1 and flat[disc].mean() <= 0.1
    return inside & ~flat if is_border else inside


def _retina(small: Pixels) -> Pixels:
    """Return 1 where there is retina; the border is dark, or has the uniform colour of the corners."""
    height, width = small.shape[:2]
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(2 * (x + 0.5) / width - 1, 2 * (y + 0.5) / height - 1) < 0.94
    brightest = small.max(axis=2)
    dark, bright = np.percentile(brightest, (1, 90))
    inside = brightest > dark + _DARK * (bright - dark)
    if (~inside)[~disc].mean() < 0.1:
        inside = remove_flat_border(small, inside, disc)
    return np.asarray(inside, np.uint8)


def _edge(inside: Pixels) -> Points:
    """Return the points (x, y) of the largest part's edge near its convex hull, without those at the canvas's edge."""
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)), np.uint8)
    contours, _ = cv2.findContours(
        cv2.morphologyEx(inside, cv2.MORPH_OPEN, kernel), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not contours:
        return np.zeros((0, 2))
    contour = max(contours, key=cv2.contourArea)
    hull = np.zeros((inside.shape[0] + 2, inside.shape[1] + 2), np.uint8)
    cv2.fillPoly(hull, [cv2.convexHull(contour) + 1], 1)
    deep = cv2.erode(hull, kernel)[1:-1, 1:-1]
    x, y = contour[:, 0].T
    height, width = inside.shape
    keep = (x > 2) & (y > 2) & (x < width - 3) & (y < height - 3) & (deep[y, x] == 0)
    points = contour[keep, 0].astype(np.float64)
    return np.asarray(points[::2] if len(points) > 200 else points)


def _fit_ellipse(points: Points) -> tuple[Points, float] | None:
    """Return x, y and both radii of the ellipse with the most points on it, and their share (RANSAC)."""
    if len(points) < _MIN_POINTS:
        return None
    drawn = points[(_DRAWS * len(points)).astype(int)]
    candidates = np.concatenate([_ellipses(drawn), _circles(drawn[:, :3])])
    candidates = candidates[((candidates[:, 2:] > 0.2) & (candidates[:, 2:] < 3)).all(axis=1)]  # also excludes NaN
    if not len(candidates):
        return None
    on = _distances(candidates, points) < _TOLERANCE
    near, fitted = on[on.sum(axis=1).argmax()], candidates
    for _ in range(4):
        if near.sum() < _MIN_POINTS:
            return None
        terms = _terms(points[near])
        solved = np.asarray(np.linalg.lstsq(terms, np.ones(len(terms)), rcond=None)[0], np.float64)
        fitted = _parameters(solved[None])
        near = _distances(fitted, points)[0] < 1.2 * _TOLERANCE  # false for NaN
    return (fitted[0], float(near.mean())) if _is_field(fitted[0], points, near) else None


def _is_field(ellipse: Points, points: Points, near: NDArray[np.bool_]) -> bool:
    x, y, across, down = ellipse
    if near.mean() < _MIN_SHARE or near.sum() < _MIN_POINTS:
        return False
    right, below = points[near, 0] > x, points[near, 1] > y
    quarters = np.bincount(2 * right + below, minlength=4)
    smaller, larger = sorted((across, down))
    return bool((quarters >= 4).sum() >= _MIN_QUARTERS and smaller >= _MIN_RADIUS and larger <= _MAX_RATIO * smaller)


def _terms(points: Points) -> Points:
    return np.concatenate([points**2, points], axis=-1)


def _ellipses(points: Points) -> Points:
    """Return the ellipse through each four points; rows of NaN if there is none."""
    terms = _terms(points)
    terms = terms[np.abs(np.linalg.det(terms)) > 1e-12]
    return _parameters(np.linalg.solve(terms, np.ones((len(terms), 4, 1)))[..., 0])


def _circles(points: Points) -> Points:
    """Return the circle through each three points: more robust than an ellipse if little of the edge is visible."""
    terms = np.concatenate([2 * points, np.ones((len(points), 3, 1))], axis=-1)
    fine = np.abs(np.linalg.det(terms)) > 1e-9
    x, y, rest = np.linalg.solve(terms[fine], (points[fine] ** 2).sum(axis=-1)[..., None])[..., 0].T
    radius = np.sqrt(rest + x * x + y * y)
    return np.stack([x, y, radius, radius], axis=-1)


def _parameters(solved: Points) -> Points:
    """Return x, y and radii of each a x² + b y² + c x + d y = 1."""
    with np.errstate(all="ignore"):
        a, b, c, d = solved.T
        x, y = -c / (2 * a), -d / (2 * b)
        whole = 1 + a * x * x + b * y * y
        return np.stack([x, y, np.sqrt(whole / a), np.sqrt(whole / b)], axis=-1)


def _distances(ellipses: Points, points: Points) -> Points:
    """Return the distance of each point from each ellipse, as a share of the radius there."""
    with np.errstate(all="ignore"):
        right = (points[:, 0] - ellipses[:, :1]) / ellipses[:, 2:3]
        below = (points[:, 1] - ellipses[:, 1:2]) / ellipses[:, 3:]
        return np.asarray(np.abs(np.hypot(right, below) - 1))
