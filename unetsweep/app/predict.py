"""Segment images with a checkpoint, and score the masks if the truth is known."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.datasets.panel_files import OVERVIEW, ScoredPanel, write_overview
from unetsweep.datasets.scores import Counts, iou, summed
from unetsweep.errors import DataError

if TYPE_CHECKING:
    from unetsweep.training.predict import Predicted

THRESHOLD = 0.5
"""The threshold at which trainings score."""


@dataclass(frozen=True, slots=True)
class PredictionScore:
    """The score of all images with a known truth together."""

    images: int
    """Images with a known truth."""
    iou: float | None
    """IoU over all their pixels; None if there are none."""
    overview: Path | None
    """The picture of the worst of them; None if there are none."""
    image_size: int | None
    """Side of the square at which a training scores this checkpoint; None: the images' own size."""


def predict(
    checkpoint: Path,
    source: Path,
    out: Path,
    *,
    threshold: float,
    part: str,
    device: str,
    on_image: "Callable[[Predicted], None]",
    warn: Callable[[str], None],
) -> PredictionScore:
    """Write a mask and a panel for each image of `source` into `out`, and return the score over all images.

    The worst panels are in one picture, `OVERVIEW`. `device` is `cpu`, `cuda`, `cuda:1` or `auto`. `on_image` receives
    each image once its files are written. `warn` receives lines about files that are not read, and about what is odd
    about images and masks.
    """
    from unetsweep.training import predict as training_predict  # imports torch

    counts: list[Counts] = []
    panels: list[ScoredPanel] = []
    image_size: int | None = None
    images = training_predict.predict(
        checkpoint,
        source,
        out,
        threshold=threshold,
        part=part,
        device=training_predict.find_device(device),
        warn=warn,
    )
    try:
        for predicted in images:
            on_image(predicted)
            image_size = predicted.image_size
            if predicted.counts is not None:
                counts.append(predicted.counts)
                panels.append(ScoredPanel(predicted.name, iou(*predicted.counts), predicted.panel))
    except DataError:  # after the last image: some of them cannot be used
        _write_overview(out, panels)
        raise
    overview = _write_overview(out, panels)
    return PredictionScore(len(counts), iou(*summed(counts)) if counts else None, overview, image_size)


def _write_overview(out: Path, panels: list[ScoredPanel]) -> Path | None:
    path = out / OVERVIEW
    return path if write_overview(path, panels) else None
