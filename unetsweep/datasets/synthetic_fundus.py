"""A photograph of a synthetic eye, as a fundus camera would take it, and the mask of its vessels.

Light falls on the retina unevenly; pigment, choroid, macula and disc colour it; vessels take light
away, most in green; the camera blurs, and adds noise. All numbers are shares of the field's radius
or of full light.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unetsweep.datasets.synthetic_eye import Eye, Points, Vessel

Plane = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_SHIFT = 4
"""Bits below the pixel that OpenCV's drawing takes."""
_FIELD = 0.955
"""Radius of the round field, of half the picture's side."""
_VEIN = np.array([0.20, 0.62, 0.50], np.float32)
_ARTERY = np.array([0.10, 0.44, 0.38], np.float32)
"""Optical density of a thick vessel in red, green and blue."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """The canvas: pixel coordinates in field radii."""

    size: int
    x: Plane
    y: Plane

    @property
    def scale(self) -> float:
        """Pixels of a field radius."""
        return self.size / 2 * _FIELD

    @property
    def radius(self) -> Plane:
        return np.asarray(np.hypot(self.x, self.y), np.float32)

    def near(self, place: Points, size: float) -> Plane:
        """A soft round spot: 1 at `place`, falling as a Gaussian of this width."""
        far = (self.x - place[0]) ** 2 + (self.y - place[1]) ** 2
        return np.asarray(np.exp(-far / (2 * size * size)), np.float32)

    def pixel(self, points: Points) -> NDArray[np.int32]:
        """Points as OpenCV's fixed-point pixels."""
        return np.round((points * self.scale + (self.size - 1) / 2) * (1 << _SHIFT)).astype(np.int32)


def photograph(eye: Eye, size: int, rng: Generator) -> tuple[Pixels, Pixels]:
    """(image, mask) at the canvas's size: RGB height x width x 3, and 0 or 255 height x width."""
    ground = _ground(size)
    light = _light(ground, rng)
    colour = _retina(ground, eye, rng)
    _disc(colour, ground, eye, rng)
    if rng.random() < 0.35:
        _lesions(colour, ground, eye, rng)
    colour *= _transmission(ground, eye, rng)
    colour *= light[:, :, None]
    return _camera(colour, ground, rng), _mask(ground, eye)


def _ground(size: int) -> _Ground:
    line = ((np.arange(size, dtype=np.float32) - (size - 1) / 2) / (size / 2 * _FIELD)).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return _Ground(size, x, y)


def _cloud(rng: Generator, size: int, cells: int) -> Plane:
    """Smooth noise of mean 0 and deviation 1, with `cells` hills a side."""
    coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    fine = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    return np.asarray((fine - fine.mean()) / (fine.std() + 1e-6), np.float32)


def _light(ground: _Ground, rng: Generator) -> Plane:
    """How much light falls where: a lamp off the middle, a fall-off to the rim, haze at one side."""
    lamp = rng.uniform(-0.45, 0.45, 2)
    falling = 1 - rng.uniform(0.30, 0.55) * ground.radius**2.2
    light = falling * (0.66 + 0.50 * ground.near(lamp, rng.uniform(0.55, 0.85)))
    light *= 1 + 0.07 * _cloud(rng, ground.size, 4)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * math.pi)
        side = ground.x * math.cos(angle) + ground.y * math.sin(angle)
        light *= 1 - rng.uniform(0.15, 0.40) / (1 + np.exp(-(side - rng.uniform(0.3, 0.7)) * 7))
    return np.asarray(np.clip(light, 0.12, 1.25), np.float32)


def _retina(ground: _Ground, eye: Eye, rng: Generator) -> NDArray[np.float32]:
    """Pigment, the choroid's ribbons, nerve fibres near the disc and the macula; height x width x 3."""
    pigment = rng.uniform(0, 1)
    base = (1 - pigment) * np.array([0.93, 0.50, 0.26]) + pigment * np.array([0.80, 0.33, 0.15])
    base = base * rng.uniform(0.94, 1.06, 3)
    shape = np.ones((ground.size, ground.size, 1), np.float32)
    colour = shape * base.astype(np.float32)
    ribbons = np.exp(-((_cloud(rng, ground.size, 13) / 0.38) ** 2)) + 0.6 * np.exp(
        -((_cloud(rng, ground.size, 21) / 0.35) ** 2)
    )
    blotches = 0.5 * _cloud(rng, ground.size, 6) + 0.35 * _cloud(rng, ground.size, 26)
    speckle = _cloud(rng, ground.size, 90)
    away = 1 - 0.75 * ground.near(eye.fovea, 0.35)
    texture = rng.uniform(0.07, 0.15) * (ribbons - 0.6) * away + 0.035 * blotches + 0.018 * speckle
    hue = 0.045 * _cloud(rng, ground.size, 3)
    colour *= 1 + hue[:, :, None] * np.array([0.7, -0.8, -0.2], np.float32)
    colour *= 1 + texture[:, :, None] * np.array([0.7, 1.25, 1.4], np.float32)
    colour *= 1 + (_fibres(ground, eye, rng) * rng.uniform(0.06, 0.18))[:, :, None] * np.array(
        [0.5, 1.2, 1.3], np.float32
    )
    macula = 0.62 * ground.near(eye.fovea, 0.17) + 0.38 * ground.near(eye.fovea, 0.06)
    colour *= 1 - (rng.uniform(0.28, 0.42) * macula)[:, :, None] * np.array([0.65, 1.1, 1.2], np.float32)
    reflex = ground.near(eye.fovea + rng.normal(0, 0.008, 2), 0.014) * rng.uniform(0.0, 0.22)
    return np.asarray(colour + reflex[:, :, None], np.float32)


def _fibres(ground: _Ground, eye: Eye, rng: Generator) -> Plane:
    """The sheen of nerve fibres: fine streaks out of the disc, strongest above and below it."""
    dx, dy = ground.x - eye.disc[0], ground.y - eye.disc[1]
    angle, far = np.arctan2(dy, dx), np.hypot(dx, dy)
    streaks = rng.normal(0, 1, 180).astype(np.float32)
    turn = (angle / (2 * math.pi) + 0.5) * 180
    low = turn.astype(np.int32)
    share = turn - low
    drawn = streaks[low % 180] * (1 - share) + streaks[(low + 1) % 180] * share
    strength = np.exp(-((far / 0.42) ** 2)) * (0.25 + 0.75 * np.sin(angle) ** 2)
    return np.asarray((0.9 + 0.6 * drawn) * strength, np.float32)


def _disc(colour: NDArray[np.float32], ground: _Ground, eye: Eye, rng: Generator) -> None:
    """The bright disc, its paler cup, its rosy nasal rim, and at some a grey crescent around it."""
    tilt, stretch = rng.uniform(-0.3, 0.3), rng.uniform(1.0, 1.15)
    dx, dy = ground.x - eye.disc[0], ground.y - eye.disc[1]
    across = (dx * math.cos(tilt) + dy * math.sin(tilt)) * math.sqrt(stretch)
    down = (dy * math.cos(tilt) - dx * math.sin(tilt)) / math.sqrt(stretch)
    far = np.hypot(across, down) / eye.disc_radius
    far = far * (1 + 0.025 * _cloud(rng, ground.size, 12))
    halo = np.exp(-(((far - 1.05) / 0.45) ** 2)) * rng.uniform(-0.10, 0.14)
    colour *= 1 + halo[:, :, None].astype(np.float32)
    inside = (1 / (1 + np.exp((far - 1) * rng.uniform(14, 24))))[:, :, None]
    rim = np.array([1.10, 0.66, 0.34]) * rng.uniform(0.93, 1.04)
    temporal = np.clip((dx * eye.axis[0] + dy * eye.axis[1]) / eye.disc_radius, -1, 1)[:, :, None]
    tissue = rim * (1 + 0.10 * temporal * np.array([0.3, 1.0, 1.2]))
    cup_place = eye.disc + 0.16 * eye.disc_radius * eye.axis
    cup = (ground.near(cup_place, eye.disc_radius * rng.uniform(0.28, 0.42)) * 0.85)[:, :, None]
    tissue = tissue * (1 - cup) + np.array([1.22, 0.98, 0.56]) * cup
    colour[:] = colour * (1 - inside) + tissue * inside


def _lesions(colour: NDArray[np.float32], ground: _Ground, eye: Eye, rng: Generator) -> None:
    """Dots of blood and specks of yellow exudate, as diabetes leaves them."""
    for _ in range(int(rng.integers(3, 14))):
        place = rng.uniform(-0.75, 0.75, 2)
        spot = ground.near(place, rng.uniform(0.006, 0.016)) * rng.uniform(0.3, 0.6)
        colour *= 1 - spot[:, :, None] * np.array([0.35, 0.9, 0.8], np.float32)
    middle = eye.fovea + rng.uniform(-0.3, 0.3, 2)
    for _ in range(int(rng.integers(0, 12))):
        spot = ground.near(middle + rng.normal(0, 0.09, 2), rng.uniform(0.005, 0.013)) * rng.uniform(0.2, 0.5)
        colour += spot[:, :, None] * np.array([0.5, 0.55, 0.3], np.float32)


def _transmission(ground: _Ground, eye: Eye, rng: Generator) -> NDArray[np.float32]:
    """The share of light that comes through the vessels, height x width x 3; veins lie below arteries."""
    fading = np.clip(1 + 0.16 * _cloud(rng, ground.size, 5), 0.6, 1.3)
    density = np.zeros((ground.size, ground.size, 3), np.float32)
    strength = rng.uniform(0.85, 1.15)
    for kind, colour in (("vein", _VEIN), ("artery", _ARTERY)):
        tubes = sorted((v for v in eye.vessels if v.kind == kind), key=lambda v: float(v.widths[0]))
        depth = np.zeros((ground.size, ground.size), np.uint8)
        for tube in tubes:
            faint = float(np.clip(0.42 + tube.widths[0] / 0.045, 0.5, 1.0))
            for part, share in ((1.0, 0.62), (0.78, 0.85), (0.5, 1.0)):
                _ribbon(depth, ground, tube, part, round(255 * share * faint))
        soft = cv2.GaussianBlur(depth, (0, 0), max(0.0035 * ground.scale, 0.6)).astype(np.float32) / 255
        over = soft[:, :, None] * (colour * strength)
        # Where an artery crosses a vein, the darker of the two is seen, not their sum.
        density = np.maximum(density, over)
    streak = np.zeros((ground.size, ground.size), np.uint8)
    for tube in eye.vessels:
        if tube.widths[0] > 0.024:
            _ribbon(streak, ground, tube, 0.26, 200 if tube.kind == "artery" else 70)
    shine = cv2.GaussianBlur(streak, (0, 0), max(0.003 * ground.scale, 0.6)).astype(np.float32) / 255
    shine *= 1 - ground.near(eye.disc, 1.2 * eye.disc_radius)
    # Over the pale disc the column of blood is seen at its full depth.
    density *= (fading * (1 + 0.45 * ground.near(eye.disc, eye.disc_radius)))[:, :, None].astype(np.float32)
    density -= shine[:, :, None] * np.array([0.10, 0.15, 0.10], np.float32)
    return np.asarray(np.exp(-np.maximum(density, -0.05)), np.float32)


def _mask(ground: _Ground, eye: Eye) -> Pixels:
    mask = np.zeros((ground.size, ground.size), np.uint8)
    for tube in eye.vessels:
        _ribbon(mask, ground, tube, 1.0, 255)
    mask[ground.radius > 0.995] = 0
    mask[mask < 128] = 0
    mask[mask >= 128] = 255
    return mask


def _ribbon(canvas: Pixels, ground: _Ground, tube: Vessel, part: float, value: int) -> None:
    """Fill the middle `part` of a vessel's width."""
    ahead = np.gradient(tube.points, axis=0)
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / (np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9)
    # OpenCV fills a polygon with its outline, which makes it a pixel wider.
    half = normal * np.maximum(tube.widths * part / 2 - 0.5 / ground.scale, 0.1 / ground.scale)[:, None]
    outline = np.concatenate([tube.points + half, (tube.points - half)[::-1]])
    cv2.fillPoly(canvas, [ground.pixel(outline)], value, cv2.LINE_AA, _SHIFT)


def _camera(colour: NDArray[np.float32], ground: _Ground, rng: Generator) -> Pixels:
    """Blur, the round stop, noise, and 8 bits."""
    seen = cv2.GaussianBlur(colour, (0, 0), max(rng.uniform(0.0015, 0.005) * ground.scale, 0.4))
    exposure = rng.uniform(0.80, 1.02)
    stop = 1 / (1 + np.exp(np.clip((ground.radius - 1) * ground.scale / 0.9, -30, 30)))
    level = np.asarray(seen * exposure, np.float32)
    level = level * stop[:, :, None].astype(np.float32)
    grain = rng.uniform(0.016, 0.034)
    shape = (ground.size, ground.size)
    noise = rng.standard_normal((*shape, 3), np.float32) * 0.8 + rng.standard_normal((*shape, 1), np.float32) * 0.6
    level += noise * grain * (0.12 + np.sqrt(np.clip(level, 0, 1)))
    return np.asarray(np.clip(level * 255 + 0.5, 0, 255), np.uint8)
