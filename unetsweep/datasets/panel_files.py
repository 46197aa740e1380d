"""The files of `unetsweep predict`: masks, panels whose names sort worst first, and an overview of the worst.

Rule 1: the name of a panel begins with its IoU, so that it can be written before the other images are scored.
Rule 2: a later prediction replaces what an earlier one wrote for the same image.
"""

import glob
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unetsweep.atomic import SHARED, write_bytes
from unetsweep.datasets.panels import overview
from unetsweep.datasets.reading import Pixels
from unetsweep.errors import StateError
from unetsweep.texts import counted, score_text

PANELS, OVERVIEW = "panels", "worst.png"
"""Names in the folder of a prediction: the folder of the panels, and the overview of the worst."""
WORST = 6
"""How many images the overview has: at 400 pixels a picture they fill a screen or two."""


@dataclass(frozen=True, slots=True)
class ScoredPanel:
    """The panel of an image with a known truth."""

    name: str
    iou: float
    path: Path


def panel_name(name: str, score: float | None) -> str:
    """Return the file name of an image's panel; images without a score come last.

    >>> panel_name("Image_01L", 0.51234), panel_name("a", None)
    ('iou0.5123_Image_01L.png', 'unscored_a.png')
    """
    return f"unscored_{name}.png" if score is None else f"iou{score_text(score)}_{name}.png"


def write_panel(folder: Path, name: str, score: float | None, pixels: Pixels) -> Path:
    """Write the panel of an image into `folder`, delete its earlier panels, and return the path."""
    path = folder / panel_name(name, score)
    write_png(path, pixels)
    for earlier in (*folder.glob(f"iou?.????_{glob.escape(name)}.png"), folder / panel_name(name, None)):
        if earlier != path:
            earlier.unlink(missing_ok=True)
    return path


def write_overview(path: Path, panels: Sequence[ScoredPanel]) -> bool:
    """Write one picture of the `WORST` panels, worst first; without panels delete it. Return whether there is one."""
    worst = heapq.nsmallest(WORST, panels, key=lambda each: (each.iou, each.name))
    if not worst:
        path.unlink(missing_ok=True)
        return False
    of = counted(len(panels), "image")
    titles = [f"{rank} of {of}: {each.name}, IoU {score_text(each.iou)}" for rank, each in enumerate(worst, 1)]
    write_png(path, overview([(title, _read_png(each.path)) for title, each in zip(titles, worst, strict=True)]))
    return True


def write_png(path: Path, pixels: Pixels) -> None:
    """Write a PNG atomically. OpenCV only encodes it: on some systems it fails on paths that are not ASCII."""
    _, content = cv2.imencode(".png", pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    write_bytes(path, content.tobytes(), mode=SHARED, durable=False)


def _read_png(path: Path) -> Pixels:
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if read is None:
        raise StateError(f"{path}: something replaced this panel after it was written; predict again")
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)
