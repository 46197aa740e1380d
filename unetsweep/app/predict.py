"""Segment images with a checkpoint, and score the masks if the truth is known."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.datasets.scores import iou

if TYPE_CHECKING:
    from unetsweep.training.predict import Predicted


@dataclass(frozen=True, slots=True)
class PredictionScore:
    """The score of all images with a known truth together."""

    images: int
    """Images with a known truth."""
    iou: float | None
    """IoU over all their pixels; None if there are none."""


def predict(
    checkpoint: Path,
    source: Path,
    out: Path,
    *,
    threshold: float,
    part: str,
    on_image: "Callable[[Predicted], None]",
    warn: Callable[[str], None],
) -> PredictionScore:
    """Write a mask and a panel for each image of `source` into `out`, and return the score over all images.

    `on_image` receives each image once its files are written. `warn` receives lines about files that are not read, and
    about what is odd about images and masks.
    """
    from unetsweep.training.predict import predict as predict_images  # imports torch

    totals = [0, 0, 0]
    scored = 0
    for predicted in predict_images(checkpoint, source, out, threshold=threshold, part=part, warn=warn):
        on_image(predicted)
        if predicted.counts is not None:
            totals = [total + count for total, count in zip(totals, predicted.counts, strict=True)]
            scored += 1
    return PredictionScore(scored, iou(*totals) if scored else None)
