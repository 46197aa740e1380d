"""Panels: an image, its truth, the prediction and their difference side by side, under captions."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.reading import Pixels
from unetsweep.datasets.scores import iou
from unetsweep.texts import score_text

BACKGROUND, CAPTION = (255, 255, 255), (40, 40, 40)
"""Colours of a panel's background and captions, RGB."""
FOUND, MISSED, WRONG = (255, 255, 255), (86, 180, 233), (230, 97, 0)
"""Colours of vessels in the difference: true positives, false negatives (sky blue), false positives (vermilion). People
who do not see red or green tell them apart (after Okabe and Ito, "Color Universal Design", 2008)."""
Colour = tuple[int, int, int]
Caption = tuple[tuple[str, Colour], ...]
"""Texts that follow each other, each with its colour."""


def confusion(mask: Pixels, truth: Pixels) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives of two arrays of 0 and 1.

    >>> confusion(np.array([[1, 1, 0]], np.uint8), np.array([[1, 0, 1]], np.uint8))
    (1, 1, 1)
    """
    predicted, true = mask > 0, truth > 0
    return int((predicted & true).sum()), int((predicted & ~true).sum()), int((~predicted & true).sum())


def difference(mask: Pixels, truth: Pixels) -> Pixels:
    """Return both masks (height x width, 0 and 1) in one RGB picture, in the colours `FOUND`, `MISSED` and `WRONG`."""
    picture = np.zeros((*mask.shape, 3), np.uint8)
    predicted, true = mask > 0, truth > 0
    picture[predicted & true] = FOUND
    picture[~predicted & true] = MISSED
    picture[predicted & ~true] = WRONG
    return picture


def panel(image: Pixels, truth: Pixels | None, mask: Pixels) -> Pixels:
    """Draw input, truth, prediction with its IoU, and their difference side by side under captions, in RGB.

    `image` is height x width x channels, 0 to 255; the masks are height x width, 0 and 1. Without a truth there are
    only input and prediction.
    """
    if truth is None:
        return _sheet([(_plain("input"), _rgb(image)), (_plain("prediction"), _rgb(mask * 255))])
    score = score_text(iou(*confusion(mask, truth)))
    return _sheet(
        [
            (_plain("input"), _rgb(image)),
            (_plain("truth"), _rgb(truth * 255)),
            (_plain(f"prediction, IoU {score}"), _rgb(mask * 255)),
            ((("missed", MISSED), ("   wrong", WRONG)), difference(mask, truth)),
        ]
    )


def shrunk(picture: Pixels, width: int) -> Pixels:
    """Return a picture that is at most `width` pixels wide, with the same aspect ratio."""
    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _plain(text: str) -> Caption:
    return ((text, CAPTION),)


def _sheet(pictures: list[tuple[Caption, Pixels]]) -> Pixels:
    height, width = pictures[0][1].shape[:2]
    scale, gap = min(max(width / 600, 0.4), 4.0), max(4, width // 100)
    thick = max(1, round(scale))
    extents = [cv2.getTextSize("".join(text for text, _ in caption), _FONT, scale, thick) for caption, _ in pictures]
    letters, below = max(extent[0][1] for extent in extents), max(extent[1] for extent in extents)
    widest = max(width, *(extent[0][0] for extent in extents))
    top = letters + below + 2 * gap
    sheet = np.full((top + height + gap, gap + len(pictures) * (widest + gap), 3), BACKGROUND, np.uint8)
    for column, ((caption, pixels), extent) in enumerate(zip(pictures, extents, strict=True)):
        left = gap + column * (widest + gap)
        at = left + (widest - width) // 2
        sheet[top : top + height, at : at + width] = pixels
        right = left + (widest - extent[0][0]) // 2
        for text, colour in caption:
            cv2.putText(sheet, text, (right, gap + letters), _FONT, scale, colour, thick, cv2.LINE_AA)
            right += cv2.getTextSize(text, _FONT, scale, thick)[0][0]
    return sheet


_FONT = cv2.FONT_HERSHEY_SIMPLEX


def _rgb(pixels: NDArray[Any]) -> Pixels:
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if grey else pixels, np.uint8)
