"""The bar that a network must clear: one threshold of the green channel for all pixels."""

import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.reading import Images

FIELD_LEVEL = 16
"""A pixel whose brightest channel is below lies outside the round field: the camera's black border."""


def green_threshold(train: Images, test: Images) -> tuple[int, float, float]:
    """(threshold, IoU on train, IoU on test): vessel is green below the threshold, within the field.

    Vessels are the darkest in green. The threshold is the one with the best data-set IoU on `train`.
    The black border is given away: with it counted as dark, the bar would be lower still.
    """
    vessel, other = _histograms(train)
    hits, alarms = np.cumsum(vessel[0]), np.cumsum(other)
    scores = hits / np.maximum(vessel.sum() + alarms, 1)
    level = int(np.argmax(scores))
    vessel_test, other_test = _histograms(test)
    hits_test = vessel_test[0][: level + 1].sum()
    union = vessel_test.sum() + other_test[: level + 1].sum()
    return level + 1, float(scores[level]), float(hits_test / max(union, 1))


def _histograms(images: Images) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts by green level: of vessels (row 0 within the field, row 1 outside), and of the rest in the field."""
    vessel, other = np.zeros((2, 256), np.int64), np.zeros(256, np.int64)
    for image, mask in zip(images.images, images.masks, strict=True):
        green = image[:, :, 1 if image.shape[2] == 3 else 0]
        field = image.max(axis=2) >= FIELD_LEVEL
        vessel[0] += np.bincount(green[(mask == 1) & field], minlength=256)
        vessel[1] += np.bincount(green[(mask == 1) & ~field], minlength=256)
        other += np.bincount(green[(mask == 0) & field], minlength=256)
    return vessel, other
