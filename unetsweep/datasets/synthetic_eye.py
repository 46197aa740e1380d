"""One synthetic eye: where its parts lie and how its vessels branch.

Lengths are in radii of the round field, whose middle is (0, 0); y points down. The temporal side is
that of the macula. Arcades follow the parabola-like course of real ones around the macula, branches
thin by Murray's law (r0^3 = r1^3 + r2^3) and keep away from those that are there already.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Points = NDArray[np.float64]
Kind = Literal["artery", "vein"]

STEP = 0.012
"""Distance between two points of a vessel."""
_THINNEST = 0.0085
"""No vessel is drawn thinner (diameter)."""
_CELLS = 100
"""Cells of the map, a side, in which vessels note the ground that they cover."""


@dataclass(frozen=True, slots=True)
class Vessel:
    """A tapering tube."""

    kind: Kind
    points: Points
    """N x 2, from the disc outwards."""
    widths: Points
    """Diameter at each point."""


@dataclass(frozen=True, slots=True)
class Eye:
    """What does not change between two photographs of one eye."""

    disc: Points
    disc_radius: float
    fovea: Points
    vessels: tuple[Vessel, ...]

    @property
    def axis(self) -> Points:
        """Unit vector from the disc to the fovea."""
        way = self.fovea - self.disc
        return np.asarray(way / np.linalg.norm(way))


def grow(rng: Generator) -> Eye:
    """An eye by chance, right or left."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    disc = np.array([-0.52 * side, 0.0]) + rng.normal(0, [0.05, 0.05])
    fovea = disc + np.array([side * rng.uniform(0.70, 0.80), rng.uniform(0.02, 0.12)])
    eye = Eye(disc, rng.uniform(0.135, 0.165), fovea, ())
    return Eye(eye.disc, eye.disc_radius, eye.fovea, tuple(_Growth(eye, rng).vessels()))


class _Growth:
    """The growing of one eye's vessels; it knows which ground is covered."""

    def __init__(self, eye: Eye, rng: Generator) -> None:
        self._eye = eye
        self._rng = rng
        # As plain numbers: a walk asks for them at every step.
        self._disc, self._fovea, self._axis = ([float(v) for v in p] for p in (eye.disc, eye.fovea, eye.axis))
        self._covered = np.zeros((_CELLS, _CELLS), np.int32)
        self._calibre = rng.uniform(0.92, 1.08)

    def vessels(self) -> Iterator[Vessel]:
        trunks = list(self._trunks())
        for trunk in trunks:
            self._cover(trunk)
        generation = [*trunks, *self._macular()]
        yield from generation
        for depth in range(3):
            children = [child for parent in generation for child in self._branches(parent, depth)]
            yield from children
            generation = children

    def _trunks(self) -> Iterator[Vessel]:
        """Four arcades of a vein and an artery each; courses in units of the distance from disc to fovea."""
        rng, eye = self._rng, self._eye
        reach = float(np.linalg.norm(eye.fovea - eye.disc))
        across = np.array([-eye.axis[1], eye.axis[0]])
        courses = (
            ((0.0, 0.0), (0.05, 0.30), (0.40, 0.70), (1.00, 0.82), (1.65, 0.66), (2.25, 0.36)),
            ((0.0, 0.0), (-0.10, 0.30), (-0.36, 0.72), (-0.62, 1.10), (-0.85, 1.60)),
        )
        for temporal, course in zip((True, False), courses, strict=True):
            for half in (-1.0, 1.0):
                apart = rng.choice([-1.0, 1.0]) * rng.uniform(0.08, 0.15)
                opening = rng.uniform(0.86, 1.08)
                pair: tuple[tuple[Kind, float], ...] = (("vein", 0.5), ("artery", -0.5))
                for kind, sign in pair:
                    knots = np.array(course) * [1.0, half * opening]
                    grow_apart = np.linspace(0, 1, len(knots))[:, None] ** 0.5
                    knots = knots + grow_apart * (np.array([-0.5, half]) * sign * apart + rng.normal(0, 0.045, 2))
                    knots[0] = rng.normal(0, 0.03, 2)
                    knots[1:] += rng.normal(0, 0.02, (len(knots) - 1, 2))
                    points = eye.disc + reach * (knots[:, :1] * eye.axis + knots[:, 1:] * across)
                    width = (0.041 if kind == "vein" else 0.032) * (1.0 if temporal else 0.80) * self._calibre
                    yield self._tube(kind, self._wander(_curve(points)), width * rng.uniform(0.92, 1.08), 0.55)

    def _macular(self) -> Iterator[Vessel]:
        """Small vessels that run from the disc's temporal rim towards the fovea, and a few nasal ones."""
        rng, eye = self._rng, self._eye
        towards = math.atan2(eye.axis[1], eye.axis[0])
        angles = [towards + half * rng.uniform(0.25, 0.7) for half in (-1, 1)]
        angles += [towards + math.pi + half * rng.uniform(0.1, 0.6) for half in (-1, 1)]
        for number, angle in enumerate(angles):
            start = eye.disc + 0.2 * eye.disc_radius * np.array([math.cos(angle), math.sin(angle)])
            kind: Kind = "artery" if number % 2 else "vein"
            child = self._walk(kind, start, angle, rng.uniform(0.015, 0.021), rng.uniform(0.35, 0.6))
            if child is not None:
                self._cover(child)
                yield child

    def _branches(self, parent: Vessel, depth: int) -> Iterator[Vessel]:
        """Side branches of one vessel, left and right in turn, where there is room."""
        rng = self._rng
        gap = (0.23, 0.15, 0.13)[depth]
        position = rng.uniform(0.16, 0.30) if depth == 0 else rng.uniform(0.07, 0.15)
        side = rng.choice([-1.0, 1.0])
        while True:
            index = int(position / STEP)
            if index >= len(parent.points) - 6:
                return
            for attempt in range(4):
                side_now = side if attempt % 2 == 0 else -side
                child = self._branch(parent, index, side_now)
                if child is not None:
                    self._cover(child)
                    side = -side_now
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
        ahead = parent.points[index + 2] - parent.points[index]
        angle = math.atan2(ahead[1], ahead[0]) + side * math.radians(
            rng.uniform(20, 34) if forks else rng.uniform(30, 58)
        )
        length = (0.10 + 20 * width) * rng.uniform(0.7, 1.25)
        return self._walk(parent.kind, parent.points[index], angle, width, length)

    def _walk(self, kind: Kind, start: Points, angle: float, width: float, length: float) -> Vessel | None:
        """A vessel that finds its own way; None where others cover the ground or it soon leaves the field."""
        rng, bend = self._rng, 0.0
        x, y = float(start[0]), float(start[1])
        fovea_x, fovea_y = self._fovea
        points = [(x, y)]
        for push in rng.normal(0, 0.030, int(length / STEP)):
            bend = 0.80 * bend + float(push)
            angle += 0.030 * math.sin(self._wanted(x, y, angle) - angle) + bend
            x, y = x + STEP * math.cos(angle), y + STEP * math.sin(angle)
            points.append((x, y))
            if math.hypot(x, y) > 1.02 or math.hypot(x - fovea_x, y - fovea_y) < 0.13:
                break
        way = np.array(points)
        if len(way) < 16 or self._crowded(way):
            return None
        return self._tube(kind, way, width, 0.5)

    def _wanted(self, x: float, y: float, angle: float) -> float:
        """Where a branch at a point is drawn to: the fovea from within the arcades, else outwards."""
        from_x, from_y = x - self._disc[0], y - self._disc[1]
        along = from_x * self._axis[0] + from_y * self._axis[1]
        off = abs(from_y * self._axis[0] - from_x * self._axis[1])
        if along > 0.1 and off < 0.55:
            return math.atan2(self._fovea[1] - y, self._fovea[0] - x)
        ahead = math.atan2(from_y + 0.6 * y, from_x + 0.6 * x)
        return ahead if math.cos(ahead - angle) > -0.3 else angle

    def _tube(self, kind: Kind, points: Points, width: float, loss: float) -> Vessel:
        share = np.linspace(0, 1, len(points))
        return Vessel(kind, points, np.maximum(width * (1 - loss * share**0.9), _THINNEST))

    def _wander(self, points: Points) -> Points:
        """The same course with smooth sideways waves, none at its start."""
        rng = self._rng
        ahead = np.gradient(points, axis=0)
        normal = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / np.linalg.norm(ahead, axis=1, keepdims=True)
        way = np.arange(len(points)) * STEP
        waves = sum(
            rng.normal(0, size) * np.sin(2 * math.pi * way / length + rng.uniform(0, 6.28))
            for length, size in ((0.75, 0.016), (0.42, 0.011), (0.22, 0.006))
        )
        return np.asarray(points + normal * (waves * np.minimum(way / 0.25, 1))[:, None])

    def _cells(self, points: Points) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        cells = np.clip(((points + 1.1) / 2.2 * _CELLS).astype(np.int64), 0, _CELLS - 1)
        return cells[:, 1], cells[:, 0]

    def _cover(self, vessel: Vessel) -> None:
        rows, columns = self._cells(vessel.points)
        for row in range(-2, 3):
            for column in range(-2, 3):
                ground = np.clip(rows + row, 0, _CELLS - 1), np.clip(columns + column, 0, _CELLS - 1)
                self._covered[ground] = 1

    def _crowded(self, way: Points) -> bool:
        beyond = way[9:]
        return bool(self._covered[self._cells(beyond)].mean() > 0.16)


def _curve(knots: Sequence[Points] | Points) -> Points:
    """A Catmull-Rom curve through the knots, a point every STEP."""
    held = np.array([knots[0], *knots, knots[-1]])
    pieces = []
    for p0, p1, p2, p3 in zip(held, held[1:], held[2:], held[3:], strict=False):
        t = np.linspace(0, 1, 60, endpoint=False)[:, None]
        pieces.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    fine = np.concatenate(pieces)
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    even = np.arange(0, way[-1], STEP)
    return np.stack([np.interp(even, way, fine[:, 0]), np.interp(even, way, fine[:, 1])], 1)
