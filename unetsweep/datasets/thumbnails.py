"""Small pictures for pages: an even choice of names, scaling, and data URLs."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from unetsweep.datasets.decoding import Pixels

LEVELS = 6
"""Levels of a channel of a drawing: enough for soft edges of vessels."""


def evenly(names: Sequence[str], most: int) -> list[str]:
    """Return at most so many names, the first and the last among them.

    >>> evenly(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if len(names) <= most:
        return list(names)
    return [names[round(at)] for at in np.linspace(0, len(names) - 1, most)]


def scaled(pixels: Pixels, side: int) -> Pixels:
    """Scale an image so that its longer side has so many pixels."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(
        cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8
    )


def embed(pixels: Pixels, quality: int = 85) -> str:
    """Return an RGB image (height x width x 3) as a data URL of a JPEG. `quality`: 0 to 100."""
    _, content = cv2.imencode(".jpg", np.ascontiguousarray(pixels[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()


def embed_drawing(pixels: Pixels) -> str:
    """Return a picture of few colours (height x width, or x 3 in RGB) as a data URL of a PNG, in `LEVELS` per channel.

    Masks are smaller and sharper this way than as JPEGs.
    """
    step = 255 / (LEVELS - 1)
    levels = np.asarray(np.round(np.round(pixels / step) * step), np.uint8)
    stored = levels if levels.ndim == 2 else np.ascontiguousarray(levels[:, :, ::-1])
    options = [cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT]
    _, content = cv2.imencode(".png", stored, options)
    return "data:image/png;base64," + base64.b64encode(content.tobytes()).decode()
