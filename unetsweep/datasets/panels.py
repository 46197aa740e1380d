"""Panels: an image, its truth, the prediction and their difference side by side, with the IoU and a legend.

Rule 1: arrays in, an array out. `panel_files` writes them, and a report can embed them.
Rule 2: a panel says at which size its IoU is counted: that of the arrays. Scores at another size differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.reading import Pixels, size_of
from unetsweep.datasets.scores import iou
from unetsweep.texts import one_line, score_text, shortened

BACKGROUND, INK = (255, 255, 255), (40, 40, 40)
"""Colours of a panel's background and texts, RGB."""
FOUND, MISSED, WRONG = (255, 255, 255), (86, 180, 233), (230, 97, 0)
"""Colours of vessels in the difference: true positives, false negatives (sky blue), false positives (vermilion). People
who do not see red or green tell them apart (after Okabe and Ito, "Color Universal Design", 2008)."""
ROW_WIDTH = 1600
"""Most pixels across a panel in an overview: four pictures of 400 pixels show which vessels are missed."""
Colour = tuple[int, int, int]
Texts = Sequence[tuple[Colour | None, str]]
"""Texts that follow each other on a line, each after a square of its colour if it has one."""
LEGEND: Texts = (
    (FOUND, "found (true positive)"),
    (MISSED, "missed (false negative)"),
    (WRONG, "wrong (false positive)"),
)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


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

    `image` is height x width x channels, 0 to 255; the masks are height x width, 0 and 1. The line below the pictures
    is the size and the legend of the difference. Without a truth there are only input and prediction.
    """
    if truth is None:
        return _sheet([("input", _rgb(image)), ("prediction", _rgb(mask * 255))], [])
    score = score_text(iou(*confusion(mask, truth)))
    return _sheet(
        [
            ("input", _rgb(image)),
            ("truth", _rgb(truth * 255)),
            (f"prediction, IoU {score}", _rgb(mask * 255)),
            ("difference", difference(mask, truth)),
        ],
        [(None, f"scored at {size_of(mask)} pixels"), *LEGEND],
    )


def overview(panels: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Draw panels below each other, each under its title and at most `ROW_WIDTH` pixels wide, in RGB."""
    rows = [(title, shrunk(pixels, ROW_WIDTH)) for title, pixels in panels]
    width, lettering = max(pixels.shape[1] for _, pixels in rows), _Lettering.of(ROW_WIDTH // 4)
    sheet = _blank(sum(lettering.height + pixels.shape[0] for _, pixels in rows), width)
    top = 0
    for title, pixels in rows:
        lettering.draw(sheet, [(None, lettering.fitting(title, width))], lettering.gap, top)
        top += lettering.height
        sheet[top : top + pixels.shape[0], : pixels.shape[1]] = pixels
        top += pixels.shape[0]
    return sheet


def shrunk(picture: Pixels, width: int) -> Pixels:
    """Return a picture that is at most `width` pixels wide, with the same aspect ratio."""
    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True, slots=True)
class _Lettering:
    """The size of letters and gaps for pictures of one width."""

    scale: float
    thick: int
    gap: int
    letters: int
    """Height of capital letters in pixels."""
    below: int
    """Height of what reaches below the line."""

    @classmethod
    def of(cls, width: int) -> "_Lettering":
        scale = min(max(width / 600, 0.4), 4.0)
        thick = max(1, round(scale))
        (_, letters), below = cv2.getTextSize("IoU", _FONT, scale, thick)
        return cls(scale, thick, max(4, width // 100), letters, below)

    @property
    def height(self) -> int:
        """Height of a line with a gap above and below it."""
        return self.letters + self.below + 2 * self.gap

    def width(self, texts: Texts) -> int:
        """Width of the texts with their squares."""
        return sum(self._advance(*each) for each in texts) - 2 * self.gap if texts else 0

    def fitting(self, title: str, width: int) -> str:
        """The title as OpenCV can draw it, without its middle if it is wider than so many pixels."""
        text = one_line(title).encode("ascii", "replace").decode()
        for characters in range(len(text), 4, -1):
            fitting = shortened(text, characters).replace(" … ", "...")
            if self.width([(None, fitting)]) <= width - 2 * self.gap:
                return fitting
        return text[:4]

    def draw(self, sheet: Pixels, texts: Texts, left: int, top: int) -> None:
        """Draw the texts into a sheet, on a line that begins at `left` and `top`."""
        line = top + self.gap + self.letters
        for colour, text in texts:
            at = left
            if colour is not None:
                corner = (left + self.letters - 1, line - 1)
                cv2.rectangle(sheet, (left, line - self.letters), corner, colour, cv2.FILLED)
                cv2.rectangle(sheet, (left, line - self.letters), corner, INK, 1)
                at += self.letters + self.gap
            cv2.putText(sheet, text, (at, line), _FONT, self.scale, INK, self.thick, cv2.LINE_AA)
            left += self._advance(colour, text)

    def _advance(self, colour: Colour | None, text: str) -> int:
        """Pixels from the left end of a text, or of its square, to the next one."""
        square = 0 if colour is None else self.letters + self.gap
        return int(square + cv2.getTextSize(text, _FONT, self.scale, self.thick)[0][0] + 2 * self.gap)


def _sheet(pictures: Sequence[tuple[str, Pixels]], legend: Texts) -> Pixels:
    """Draw pictures of one size side by side, each under its caption, and the legend below them at the right."""
    height, width = pictures[0][1].shape[:2]
    lettering = _Lettering.of(width)
    gap, top = lettering.gap, lettering.height
    widths = [lettering.width([(None, caption)]) for caption, _ in pictures]
    column = max(width, *widths)
    across = max(gap + len(pictures) * (column + gap), lettering.width(legend) + 2 * gap)
    sheet = _blank(top + height + (lettering.height if legend else gap), across)
    for number, ((caption, pixels), wide) in enumerate(zip(pictures, widths, strict=True)):
        left = gap + number * (column + gap)
        at = left + (column - width) // 2
        sheet[top : top + height, at : at + width] = pixels
        lettering.draw(sheet, [(None, caption)], left + (column - wide) // 2, 0)
    lettering.draw(sheet, legend, across - gap - lettering.width(legend), top + height)
    return sheet


def _blank(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def _rgb(pixels: NDArray[Any]) -> Pixels:
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if grey else pixels, np.uint8)
