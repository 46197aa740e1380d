"""Grow one synthetic eye: the positions of its parts and the branches of its vessels.

Lengths are in radii of the round field, with (0, 0) at its centre and y pointing down. The temporal side is that of the
macula. Arcades curve around the macula like real ones; branches thin and avoid the ground of other vessels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Points = NDArray[np.float64]
Kind = Literal["artery", "vein"]

STEP = 0.012
"""Distance between two points of a vessel: a third of a trunk's width, so curves are smooth."""
_THINNEST = 0.0085
"""Least diameter of a vessel: thinner ones are not visible in a photograph."""
_CELLS = 100
"""Cells per side of the map of covered ground: a cell is about as wide as two thin vessels."""
_TEMPORAL = ((0.0, 0.0), (0.05, 0.30), (0.40, 0.70), (1.00, 0.82), (1.65, 0.66), (2.25, 0.36))
_NASAL = ((0.0, 0.0), (-0.10, 0.30), (-0.36, 0.72), (-0.62, 1.10), (-0.85, 1.60))
"""Courses of the arcades from the disc, in units of the distance from disc to fovea: (along that axis, across it)."""


@dataclass(frozen=True, slots=True)
class Vessel:
    """A tapering tube."""

    kind: Kind
    points: Points
    """N x 2, starting at the disc or at the parent vessel."""
    widths: Points
    """Diameter at each point."""


@dataclass(frozen=True, slots=True)
class Eye:
    """What is the same in all photographs of an eye."""

    disc: Points
    disc_radius: float
    fovea: Points
    vessels: tuple[Vessel, ...]

    @property
    def axis(self) -> Points:
        """Unit vector from the disc to the fovea."""
        return np.asarray((self.fovea - self.disc) / np.linalg.norm(self.fovea - self.disc))


def grow(rng: Generator) -> Eye:
    """Return a random right or left eye."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    disc = np.array([-0.52 * side, 0.0]) + rng.normal(0, [0.05, 0.05])
    fovea = disc + np.array([side * rng.uniform(0.70, 0.80), rng.uniform(0.02, 0.12)])
    eye = Eye(disc, rng.uniform(0.135, 0.165), fovea, ())
    return replace(eye, vessels=tuple(_Growth(eye, rng).vessels()))


class _Growth:
    """Grows the vessels of an eye, and remembers the ground that they cover."""

    def __init__(self, eye: Eye, rng: Generator) -> None:
        self._eye = eye
        self._rng = rng
        # Plain numbers are faster: every step of a walk uses them.
        self._disc, self._fovea, self._axis = ([float(v) for v in p] for p in (eye.disc, eye.fovea, eye.axis))
        self._covered = np.zeros((_CELLS, _CELLS), np.int32)
        self._calibre = rng.uniform(0.92, 1.08)

    def vessels(self) -> Iterator[Vessel]:
        """Yield trunks and macular vessels, then three generations of branches."""
        trunks = list(self._trunks())
        for trunk in trunks:
            self._cover(trunk)
        generation = [*trunks, *self._macular()]
        yield from generation
        for depth in range(3):
            generation = [child for parent in generation for child in self._branches(parent, depth)]
            yield from generation

    def _trunks(self) -> Iterator[Vessel]:
        """Yield four arcades, each a vein and an artery."""
        rng, eye = self._rng, self._eye
        reach = float(np.linalg.norm(eye.fovea - eye.disc))
        across = np.array([-eye.axis[1], eye.axis[0]])
        pair: tuple[tuple[Kind, float, float], ...] = (("vein", 0.5, 0.041), ("artery", -0.5, 0.032))
        for course, calibre in ((_TEMPORAL, 1.0), (_NASAL, 0.80)):
            for half in (-1.0, 1.0):
                apart = rng.choice([-1.0, 1.0]) * rng.uniform(0.08, 0.15)
                opening = rng.uniform(0.86, 1.08)
                for kind, sign, width in pair:
                    knots = np.array(course) * [1.0, half * opening]
                    spread = np.linspace(0, 1, len(knots))[:, None] ** 0.5
                    knots = knots + spread * (np.array([-0.5, half]) * sign * apart + rng.normal(0, 0.045, 2))
                    knots[0] = rng.normal(0, 0.03, 2)
                    knots[1:] += rng.normal(0, 0.02, (len(knots) - 1, 2))
                    points = self._wander(_curve(eye.disc + reach * (knots[:, :1] * eye.axis + knots[:, 1:] * across)))
                    yield _tube(kind, points, width * calibre * self._calibre * rng.uniform(0.92, 1.08), 0.55)

    def _macular(self) -> Iterator[Vessel]:
        """Yield small vessels from the disc's temporal rim towards the fovea, and a few nasal ones."""
        rng, eye = self._rng, self._eye
        temporal = math.atan2(eye.axis[1], eye.axis[0])
        angles = [temporal + half * rng.uniform(0.25, 0.7) for half in (-1, 1)]
        angles += [temporal + math.pi + half * rng.uniform(0.1, 0.6) for half in (-1, 1)]
        for number, angle in enumerate(angles):
            start = eye.disc + 0.2 * eye.disc_radius * np.array([math.cos(angle), math.sin(angle)])
            kind: Kind = "artery" if number % 2 else "vein"
            child = self._walk(kind, start, angle, rng.uniform(0.015, 0.021), rng.uniform(0.35, 0.6))
            if child is not None:
                self._cover(child)
                yield child

    def _branches(self, parent: Vessel, depth: int) -> Iterator[Vessel]:
        """Yield side branches of a vessel, alternating left and right, where there is space."""
        rng = self._rng
        gap = (0.23, 0.15, 0.13)[depth]
        position = rng.uniform(0.16, 0.30) if depth == 0 else rng.uniform(0.07, 0.15)
        side = rng.choice([-1.0, 1.0])
        while (index := int(position / STEP)) < len(parent.points) - 6:
            for try_side in (side, -side, side, -side):
                child = self._branch(parent, index, try_side)
                if child is not None:
                    self._cover(child)
                    side = -try_side
                    yield child
                    break
            position += gap * rng.uniform(0.4, 1.7)

    def _branch(self, parent: Vessel, index: int, side: float) -> Vessel | None:
        rng = self._rng
        forks = rng.random() < 0.25
        width = parent.widths[index] * (rng.uniform(0.80, 0.95) if forks else rng.uniform(0.45, 0.75))
        if width < 0.75 * _THINNEST:
            return None
        width = max(width, _THINNEST)
        direction = parent.points[index + 2] - parent.points[index]
        turn = math.radians(rng.uniform(20, 34) if forks else rng.uniform(30, 58))
        angle = math.atan2(direction[1], direction[0]) + side * turn
        length = (0.10 + 20 * width) * rng.uniform(0.7, 1.25)
        return self._walk(parent.kind, parent.points[index], angle, width, length)

    def _walk(self, kind: Kind, start: Points, angle: float, width: float, length: float) -> Vessel | None:
        """Return a vessel that finds its own way; None if it soon leaves the field or meets covered ground."""
        rng, bend = self._rng, 0.0
        x, y = float(start[0]), float(start[1])
        fovea_x, fovea_y = self._fovea
        points = [(x, y)]
        for push in rng.normal(0, 0.030, int(length / STEP)):
            bend = 0.80 * bend + float(push)
            angle += 0.030 * math.sin(self._target_angle(x, y, angle) - angle) + bend
            x, y = x + STEP * math.cos(angle), y + STEP * math.sin(angle)
            points.append((x, y))
            if math.hypot(x, y) > 1.02 or math.hypot(x - fovea_x, y - fovea_y) < 0.13:
                break
        if len(points) < 16 or self._covered[_cells(np.array(points[9:]))].mean() > 0.16:
            return None
        return _tube(kind, np.array(points), width, 0.5)

    def _target_angle(self, x: float, y: float, angle: float) -> float:
        """Return the direction in which a branch is drawn: to the fovea within the arcades, else outwards."""
        from_x, from_y = x - self._disc[0], y - self._disc[1]
        along = from_x * self._axis[0] + from_y * self._axis[1]
        off = abs(from_y * self._axis[0] - from_x * self._axis[1])
        if along > 0.1 and off < 0.55:
            return math.atan2(self._fovea[1] - y, self._fovea[0] - x)
        outwards = math.atan2(from_y + 0.6 * y, from_x + 0.6 * x)
        return outwards if math.cos(outwards - angle) > -0.3 else angle

    def _wander(self, points: Points) -> Points:
        """Return the same course with smooth sideways waves that begin at its start."""
        rng = self._rng
        direction = np.gradient(points, axis=0)
        normal = np.stack([-direction[:, 1], direction[:, 0]], 1) / np.linalg.norm(direction, axis=1, keepdims=True)
        way = np.arange(len(points)) * STEP
        waves = sum(
            rng.normal(0, size) * np.sin(2 * math.pi * way / length + rng.uniform(0, 6.28))
            for length, size in ((0.75, 0.016), (0.42, 0.011), (0.22, 0.006))
        )
        return np.asarray(points + normal * (waves * np.minimum(way / 0.25, 1))[:, None])

    def _cover(self, vessel: Vessel) -> None:
        rows, columns = _cells(vessel.points)
        for row in range(-2, 3):
            for column in range(-2, 3):
                self._covered[np.clip(rows + row, 0, _CELLS - 1), np.clip(columns + column, 0, _CELLS - 1)] = 1


def _cells(points: Points) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of points in the map of covered ground."""
    cells = np.clip(((points + 1.1) / 2.2 * _CELLS).astype(np.int64), 0, _CELLS - 1)
    return cells[:, 1], cells[:, 0]


def _tube(kind: Kind, points: Points, width: float, loss: float) -> Vessel:
    """Return a vessel that loses the share `loss` of its width on the way."""
    share = np.linspace(0, 1, len(points))
    return Vessel(kind, points, np.maximum(width * (1 - loss * share**0.9), _THINNEST))


def _curve(knots: Points) -> Points:
    """Return a Catmull-Rom curve through the knots, with a point every STEP."""
    padded = np.array([knots[0], *knots, knots[-1]])
    t = np.linspace(0, 1, 60, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    fine = np.concatenate(pieces)
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    even = np.arange(0, way[-1], STEP)
    return np.stack([np.interp(even, way, fine[:, 0]), np.interp(even, way, fine[:, 1])], 1)
