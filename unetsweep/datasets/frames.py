"""The round bright field of a photograph, wherever it lies on its canvas and however that is stretched.

Rule 1: a circle stays an ellipse along the axes when a picture is turned and then padded, moved, zoomed or squashed;
        its centre and its two radii undo all of these at once.
Rule 2: what no circle has made is left out: the canvas that cuts the field, a notch, a dark corner of the retina.
        Where too little is left, there is no field, and the canvas is all that is known.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Levels = NDArray[np.float32]
Points = NDArray[np.float64]

_LOOK = 192
"""Side of a square of the area at which the edge is looked for."""
_DARK = 0.10
"""Of the way from the darkest to the bright: below lies the surround."""
_NEAR = 0.012
"""How far a point may be off the ellipse, as a share of its radius."""
_SHARE, _POINTS, _QUARTERS = 0.4, 40, 3
"""What must lie on the ellipse: share and number of the points, and quarters of it with at least four."""
_SQUASHED, _SMALLEST = 2.5, 0.25
"""Of the radii: the larger to the smaller, and the smaller to half the canvas's mean side."""
_WHOLE = 0.9
"""Share of the points on the ellipse from which it is whole, if it lies on the canvas."""
_DRAWS = np.random.default_rng(0).random((200, 4))


@dataclass(frozen=True, slots=True)
class Ellipse:
    """In pixels of the photograph, whose first pixel has its centre at (0, 0)."""

    x: float
    y: float
    across: float
    """Radius along x."""
    down: float
    """Radius along y."""
    whole: bool
    """All of it is seen on the canvas, and nearly all of its edge is an ellipse: the frame is beyond doubt."""


def bright_field(image: Pixels) -> Ellipse | None:
    """The field of a photograph, height x width x 3; None where its edge is no ellipse, or hardly to be seen."""
    height, width = image.shape[:2]
    scale = _LOOK / math.sqrt(width * height)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    centre = (np.array(size) - 1) / 2
    found = _ellipse((_edge(_bright(np.asarray(small, np.uint8))) - centre) / (_LOOK / 2))
    if found is None:
        return None
    ellipse, share = found
    across, down = width / size[0], height / size[1]
    x, y = ellipse[:2] * (_LOOK / 2) + centre
    right, below = ellipse[2:] * (_LOOK / 2) + 0.5  # the edge's points are pixels inside
    on_it = min(x - right, y - below, size[0] - 1 - x - right, size[1] - 1 - y - below) > -2
    return Ellipse(
        x=(x + 0.5) * across - 0.5,
        y=(y + 0.5) * down - 0.5,
        across=right * across,
        down=below * down,
        whole=bool(on_it and share >= _WHOLE),
    )


def framed(image: Pixels, field: Ellipse, side: int, radius: float) -> tuple[Pixels, Pixels, Levels]:
    """The field as a circle in a square, side x side x 3; 1 where the photograph has something there; and the pose."""
    height, width = image.shape[:2]
    size = max(2, round(width * radius / field.across)), max(2, round(height * radius / field.down))
    sized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR)
    middle = side / 2 - 0.5
    across, along = width / size[0], height / size[1]
    x, y = (field.x + 0.5) / across - 0.5, (field.y + 0.5) / along - 0.5
    move = np.array([[1, 0, middle - x], [0, 1, middle - y]], np.float32)
    there = cv2.warpAffine(np.ones(size[::-1], np.uint8), move, (side, side), flags=cv2.INTER_NEAREST)
    down, right = np.mgrid[:side, :side] - middle
    there[down * down + right * right >= (radius + 1) ** 2] = 0
    pose = np.array([[across, 0, field.x - middle * across], [0, along, field.y - middle * along]], np.float32)
    return np.asarray(cv2.warpAffine(sized, move, (side, side)), np.uint8), np.asarray(there, np.uint8), pose


def on_canvas(image: Pixels, side: int) -> tuple[Pixels, Levels]:
    """As side x side x 3 of the same area, not squashed: cut or filled with black about its centre; and its pose."""
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


def _bright(small: Pixels) -> Pixels:
    """1 where there is retina; the surround is dark, or else of the one colour that lies in the corners."""
    height, width = small.shape[:2]
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(2 * (x + 0.5) / width - 1, 2 * (y + 0.5) / height - 1) < 0.94
    brightest = small.max(axis=2)
    dark, bright = np.percentile(brightest, (1, 90))
    inside = brightest > dark + _DARK * (bright - dark)
    corners = ~disc & inside
    if (~inside)[~disc].mean() < 0.1 and corners.any():
        green = small[:, :, 1].astype(np.int16)
        level = int(np.bincount(green[corners], minlength=256).argmax())
        colour = np.median(small[corners & (np.abs(green - level) <= 4)], axis=0)
        flat = (np.abs(small - colour) <= 6).all(axis=2)
        if flat[~disc].mean() >= 0.1 and flat[disc].mean() <= 0.1:
            inside &= ~flat
    return np.asarray(inside, np.uint8)


def _edge(inside: Pixels) -> Points:
    """The points (x, y) of the largest part's edge that a convex field can have, none on the canvas's own edge."""
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


def _ellipse(points: Points) -> tuple[Points, float] | None:
    """x, y and both radii of the ellipse along the axes that most points lie on, and the share that does."""
    if len(points) < _POINTS:
        return None
    drawn = points[(_DRAWS * len(points)).astype(int)]
    tried = np.concatenate([_through_four(drawn), _circles(drawn[:, :3])])
    tried = tried[((tried[:, 2:] > 0.2) & (tried[:, 2:] < 3)).all(axis=1)]  # none where it is NaN
    if not len(tried):
        return None
    on = _off(tried, points) < _NEAR
    near, found = on[on.sum(axis=1).argmax()], tried
    for _ in range(4):
        if near.sum() < _POINTS:
            return None
        terms = _terms(points[near])
        solved = np.asarray(np.linalg.lstsq(terms, np.ones(len(terms)), rcond=None)[0], np.float64)
        found = _parameters(solved[None])
        near = _off(found, points)[0] < 1.2 * _NEAR  # nowhere where it is NaN
    return (found[0], float(near.mean())) if _is_field(found[0], points, near) else None


def _is_field(found: Points, points: Points, near: NDArray[np.bool_]) -> bool:
    x, y, across, down = found
    if near.mean() < _SHARE or near.sum() < _POINTS:
        return False
    right, below = points[near, 0] > x, points[near, 1] > y
    quarters = np.bincount(2 * right + below, minlength=4)
    smaller, larger = sorted((across, down))
    return bool((quarters >= 4).sum() >= _QUARTERS and smaller >= _SMALLEST and larger <= _SQUASHED * smaller)


def _terms(points: Points) -> Points:
    return np.concatenate([points**2, points], axis=-1)


def _through_four(points: Points) -> Points:
    """The ellipse along the axes through each four points; rows with NaN where there is none."""
    terms = _terms(points)
    terms = terms[np.abs(np.linalg.det(terms)) > 1e-12]
    return _parameters(np.linalg.solve(terms, np.ones((len(terms), 4, 1)))[..., 0])


def _circles(points: Points) -> Points:
    """The circle through each three points: surer than an ellipse where only corners of the field are seen."""
    terms = np.concatenate([2 * points, np.ones((len(points), 3, 1))], axis=-1)
    fine = np.abs(np.linalg.det(terms)) > 1e-9
    x, y, rest = np.linalg.solve(terms[fine], (points[fine] ** 2).sum(axis=-1)[..., None])[..., 0].T
    radius = np.sqrt(rest + x * x + y * y)
    return np.stack([x, y, radius, radius], axis=-1)


def _parameters(solved: Points) -> Points:
    """x, y and radii of each a x² + b y² + c x + d y = 1."""
    with np.errstate(all="ignore"):
        a, b, c, d = solved.T
        x, y = -c / (2 * a), -d / (2 * b)
        whole = 1 + a * x * x + b * y * y
        return np.stack([x, y, np.sqrt(whole / a), np.sqrt(whole / b)], axis=-1)


def _off(ellipses: Points, points: Points) -> Points:
    """How far each point is off each ellipse, as a share of the radius there."""
    with np.errstate(all="ignore"):
        right = (points[:, 0] - ellipses[:, :1]) / ellipses[:, 2:3]
        below = (points[:, 1] - ellipses[:, 1:2]) / ellipses[:, 3:]
        return np.asarray(np.abs(np.hypot(right, below) - 1))
