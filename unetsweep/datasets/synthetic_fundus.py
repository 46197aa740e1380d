"""Draw a photograph of a synthetic eye, as a fundus camera would take it, and the mask of its vessels.

The lamp lights the retina unevenly; pigment, choroid, macula and disc colour it; vessels absorb light, mostly green;
the camera blurs and adds noise. All numbers are shares of the field's radius or of full light.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unetsweep.datasets.synthetic_eye import Eye, Points, Vessel

Levels = NDArray[np.float32]
"""Height x width, or height x width x 3 for colours in RGB order."""
Pixels = NDArray[np.uint8]

_SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws with: 1/16 pixel is finer than any edge."""
_FIELD = 0.955
"""Radius of the round field, as a share of half the image's side: fundus cameras leave a narrow border."""
_VEIN = np.array([0.20, 0.62, 0.50], np.float32)
_ARTERY = np.array([0.10, 0.44, 0.38], np.float32)
"""Optical density of a thick vessel in red, green and blue: arteries are paler than veins."""


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Pixel coordinates in field radii."""

    size: int
    x: Levels
    y: Levels

    @property
    def scale(self) -> float:
        """Pixels per field radius."""
        return self.size / 2 * _FIELD

    @property
    def radius(self) -> Levels:
        return _f32(np.hypot(self.x, self.y))

    def spot(self, centre: Points, size: float) -> Levels:
        """Return a soft round spot: a Gaussian of this width, 1 at the centre."""
        squared = (self.x - centre[0]) ** 2 + (self.y - centre[1]) ** 2
        return _f32(np.exp(-squared / (2 * size * size)))

    def noise(self, rng: Generator, cells: int) -> Levels:
        """Return smooth noise of mean 0 and deviation 1, with `cells` hills per side."""
        coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        fine = _f32(cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC))
        return _f32((fine - fine.mean()) / (fine.std() + 1e-6))

    def fill_vessel(self, pixels: Pixels, vessel: Vessel, share: float, value: int) -> None:
        """Fill the middle `share` of a vessel's width."""
        direction = np.gradient(vessel.points, axis=0)
        normal = np.stack([-direction[:, 1], direction[:, 0]], 1)
        normal = normal / (np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9)
        # OpenCV also draws a polygon's outline, which widens it by a pixel.
        half = normal * np.maximum(vessel.widths * share / 2 - 0.5 / self.scale, 0.1 / self.scale)[:, None]
        outline = np.concatenate([vessel.points + half, (vessel.points - half)[::-1]])
        outline = np.round((outline * self.scale + (self.size - 1) / 2) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(pixels, [outline], value, cv2.LINE_AA, _SHIFT)


def photograph(eye: Eye, size: int, rng: Generator) -> tuple[Pixels, Pixels]:
    """Return (image, mask) of `size` pixels: RGB height x width x 3, and height x width of 0 and 255."""
    line = ((np.arange(size, dtype=np.float32) - (size - 1) / 2) / (size / 2 * _FIELD)).astype(np.float32)
    canvas = _Canvas(size, *np.meshgrid(line, line))
    light = _illumination(canvas, rng)
    colour = _retina(canvas, eye, rng)
    _draw_disc(colour, canvas, eye, rng)
    if rng.random() < 0.35:
        _draw_lesions(colour, canvas, eye, rng)
    colour *= _transmission(canvas, eye, rng)
    colour *= light[:, :, None]
    return _camera(colour, canvas, rng), _mask(canvas, eye)


def _f32(values: object) -> Levels:
    return np.asarray(values, np.float32)


def _tint(levels: NDArray[np.floating], *rgb: float) -> NDArray[np.floating]:
    """Return the levels in each channel, times the channel's factor."""
    return np.asarray(levels[:, :, None] * np.array(rgb, np.float32))


def _illumination(canvas: _Canvas, rng: Generator) -> Levels:
    """Return the light on each pixel: a lamp off the centre, fall-off to the edge, sometimes haze on one side."""
    lamp = rng.uniform(-0.45, 0.45, 2)
    fall_off = 1 - rng.uniform(0.30, 0.55) * canvas.radius**2.2
    light = fall_off * (0.66 + 0.50 * canvas.spot(lamp, rng.uniform(0.55, 0.85)))
    light *= 1 + 0.07 * canvas.noise(rng, 4)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * math.pi)
        side = canvas.x * math.cos(angle) + canvas.y * math.sin(angle)
        light *= 1 - rng.uniform(0.15, 0.40) / (1 + np.exp(-(side - rng.uniform(0.3, 0.7)) * 7))
    return _f32(np.clip(light, 0.12, 1.25))


def _retina(canvas: _Canvas, eye: Eye, rng: Generator) -> Levels:
    """Return the colour without vessels: pigment, the choroid's ribbons, nerve fibres near the disc, the macula."""
    pigment = rng.uniform(0, 1)
    base = (1 - pigment) * np.array([0.93, 0.50, 0.26]) + pigment * np.array([0.80, 0.33, 0.15])
    base = base * rng.uniform(0.94, 1.06, 3)
    colour = np.ones((canvas.size, canvas.size, 1), np.float32) * base.astype(np.float32)
    ribbons = np.exp(-((canvas.noise(rng, 13) / 0.38) ** 2)) + 0.6 * np.exp(-((canvas.noise(rng, 21) / 0.35) ** 2))
    blotches = 0.5 * canvas.noise(rng, 6) + 0.35 * canvas.noise(rng, 26)
    speckle = canvas.noise(rng, 90)
    away = 1 - 0.75 * canvas.spot(eye.fovea, 0.35)
    texture = rng.uniform(0.07, 0.15) * (ribbons - 0.6) * away + 0.035 * blotches + 0.018 * speckle
    colour *= 1 + _tint(0.045 * canvas.noise(rng, 3), 0.7, -0.8, -0.2)
    colour *= 1 + _tint(texture, 0.7, 1.25, 1.4)
    colour *= 1 + _tint(_nerve_fibres(canvas, eye, rng) * rng.uniform(0.06, 0.18), 0.5, 1.2, 1.3)
    macula = 0.62 * canvas.spot(eye.fovea, 0.17) + 0.38 * canvas.spot(eye.fovea, 0.06)
    colour *= 1 - _tint(rng.uniform(0.28, 0.42) * macula, 0.65, 1.1, 1.2)
    reflex = canvas.spot(eye.fovea + rng.normal(0, 0.008, 2), 0.014) * rng.uniform(0.0, 0.22)
    return _f32(colour + reflex[:, :, None])


def _nerve_fibres(canvas: _Canvas, eye: Eye, rng: Generator) -> Levels:
    """Return the sheen of nerve fibres: fine streaks out of the disc, strongest above and below it."""
    dx, dy = canvas.x - eye.disc[0], canvas.y - eye.disc[1]
    angle, distance = np.arctan2(dy, dx), np.hypot(dx, dy)
    streaks = rng.normal(0, 1, 180).astype(np.float32)
    position = (angle / (2 * math.pi) + 0.5) * 180
    low = position.astype(np.int32)
    share = position - low
    sheen = streaks[low % 180] * (1 - share) + streaks[(low + 1) % 180] * share
    strength = np.exp(-((distance / 0.42) ** 2)) * (0.25 + 0.75 * np.sin(angle) ** 2)
    return _f32((0.9 + 0.6 * sheen) * strength)


def _draw_disc(colour: Levels, canvas: _Canvas, eye: Eye, rng: Generator) -> None:
    """Draw the bright disc with its paler cup and rosy nasal rim, sometimes with a grey crescent around it."""
    tilt, stretch = rng.uniform(-0.3, 0.3), rng.uniform(1.0, 1.15)
    dx, dy = canvas.x - eye.disc[0], canvas.y - eye.disc[1]
    across = (dx * math.cos(tilt) + dy * math.sin(tilt)) * math.sqrt(stretch)
    down = (dy * math.cos(tilt) - dx * math.sin(tilt)) / math.sqrt(stretch)
    distance = np.hypot(across, down) / eye.disc_radius
    distance = distance * (1 + 0.025 * canvas.noise(rng, 12))
    halo = np.exp(-(((distance - 1.05) / 0.45) ** 2)) * rng.uniform(-0.10, 0.14)
    colour *= 1 + halo[:, :, None].astype(np.float32)
    inside = (1 / (1 + np.exp((distance - 1) * rng.uniform(14, 24))))[:, :, None]
    rim = np.array([1.10, 0.66, 0.34]) * rng.uniform(0.93, 1.04)
    temporal = np.clip((dx * eye.axis[0] + dy * eye.axis[1]) / eye.disc_radius, -1, 1)[:, :, None]
    tissue = rim * (1 + 0.10 * temporal * np.array([0.3, 1.0, 1.2]))
    cup_centre = eye.disc + 0.16 * eye.disc_radius * eye.axis
    cup = (canvas.spot(cup_centre, eye.disc_radius * rng.uniform(0.28, 0.42)) * 0.85)[:, :, None]
    tissue = tissue * (1 - cup) + np.array([1.22, 0.98, 0.56]) * cup
    colour[:] = colour * (1 - inside) + tissue * inside


def _draw_lesions(colour: Levels, canvas: _Canvas, eye: Eye, rng: Generator) -> None:
    """Draw dots of blood and specks of yellow exudate, as in diabetic retinopathy."""
    for _ in range(int(rng.integers(3, 14))):
        centre = rng.uniform(-0.75, 0.75, 2)
        spot = canvas.spot(centre, rng.uniform(0.006, 0.016)) * rng.uniform(0.3, 0.6)
        colour *= 1 - _tint(spot, 0.35, 0.9, 0.8)
    middle = eye.fovea + rng.uniform(-0.3, 0.3, 2)
    for _ in range(int(rng.integers(0, 12))):
        spot = canvas.spot(middle + rng.normal(0, 0.09, 2), rng.uniform(0.005, 0.013)) * rng.uniform(0.2, 0.5)
        colour += _tint(spot, 0.5, 0.55, 0.3)


def _transmission(canvas: _Canvas, eye: Eye, rng: Generator) -> Levels:
    """Return the share of light that passes the vessels, per channel; veins are below arteries."""
    fading = np.clip(1 + 0.16 * canvas.noise(rng, 5), 0.6, 1.3)
    density = np.zeros((canvas.size, canvas.size, 3), np.float32)
    strength = rng.uniform(0.85, 1.15)
    for kind, colour in (("vein", _VEIN), ("artery", _ARTERY)):
        depth = np.zeros((canvas.size, canvas.size), np.uint8)
        for vessel in sorted((v for v in eye.vessels if v.kind == kind), key=lambda v: float(v.widths[0])):
            contrast = float(np.clip(0.42 + vessel.widths[0] / 0.045, 0.5, 1.0))
            for width, share in ((1.0, 0.62), (0.78, 0.85), (0.5, 1.0)):
                canvas.fill_vessel(depth, vessel, width, round(255 * share * contrast))
        blurred = cv2.GaussianBlur(depth, (0, 0), max(0.0035 * canvas.scale, 0.6)).astype(np.float32) / 255
        # Where an artery crosses a vein, the darker one is visible, not their sum.
        density = np.maximum(density, blurred[:, :, None] * (colour * strength))
    reflex = np.zeros((canvas.size, canvas.size), np.uint8)
    for vessel in eye.vessels:
        if vessel.widths[0] > 0.024:
            canvas.fill_vessel(reflex, vessel, 0.26, 200 if vessel.kind == "artery" else 70)
    shine = cv2.GaussianBlur(reflex, (0, 0), max(0.003 * canvas.scale, 0.6)).astype(np.float32) / 255
    shine *= 1 - canvas.spot(eye.disc, 1.2 * eye.disc_radius)
    # On the pale disc the full depth of the blood is visible.
    density *= (fading * (1 + 0.45 * canvas.spot(eye.disc, eye.disc_radius)))[:, :, None].astype(np.float32)
    density -= _tint(shine, 0.10, 0.15, 0.10)
    return _f32(np.exp(-np.maximum(density, -0.05)))


def _mask(canvas: _Canvas, eye: Eye) -> Pixels:
    mask = np.zeros((canvas.size, canvas.size), np.uint8)
    for vessel in eye.vessels:
        canvas.fill_vessel(mask, vessel, 1.0, 255)
    mask[canvas.radius > 0.995] = 0
    return np.where(mask < 128, 0, 255).astype(np.uint8)


def _camera(colour: Levels, canvas: _Canvas, rng: Generator) -> Pixels:
    """Return the image of the sensor: blurred, cut to the round field, with noise, in 8 bits."""
    blurred = cv2.GaussianBlur(colour, (0, 0), max(rng.uniform(0.0015, 0.005) * canvas.scale, 0.4))
    exposure = rng.uniform(0.80, 1.02)
    field = 1 / (1 + np.exp(np.clip((canvas.radius - 1) * canvas.scale / 0.9, -30, 30)))
    level = _f32(blurred * exposure) * field[:, :, None].astype(np.float32)
    grain = rng.uniform(0.016, 0.034)
    shape = (canvas.size, canvas.size)
    noise = rng.standard_normal((*shape, 3), np.float32) * 0.8 + rng.standard_normal((*shape, 1), np.float32) * 0.6
    level += noise * grain * (0.12 + np.sqrt(np.clip(level, 0, 1)))
    return np.asarray(np.clip(level * 255 + 0.5, 0, 255), np.uint8)
