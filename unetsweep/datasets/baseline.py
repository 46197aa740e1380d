"""The simplest method, which a network must surpass: a global threshold of the green channel."""

import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.reading import Images

FIELD_LEVEL = 16
"""A pixel is outside the round field if its brightest channel is below: the camera's border is black but noisy."""


def green_threshold(train: Images, test: Images | None) -> tuple[int, float, float | None]:
    """Return (threshold, IoU on train, IoU on test); pixels of the field with less green are vessel.

    Vessels are darkest in the green channel. The threshold is the one with the best IoU of the whole set on `train`.
    The black border counts as background, which favours the baseline.
    """
    vessel, other = _histograms(train)
    hits, alarms = np.cumsum(vessel[0]), np.cumsum(other)
    scores = hits / np.maximum(vessel.sum() + alarms, 1)
    level = int(np.argmax(scores))
    if test is None:
        return level + 1, float(scores[level]), None
    vessel_test, other_test = _histograms(test)
    hits_test = vessel_test[0][: level + 1].sum()
    union = vessel_test.sum() + other_test[: level + 1].sum()
    return level + 1, float(scores[level]), float(hits_test / max(union, 1))


def _histograms(images: Images) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count pixels by green level: vessels (row 0 in the field, row 1 outside), and background in the field."""
    vessel, other = np.zeros((2, 256), np.int64), np.zeros(256, np.int64)
    for image, mask in zip(images.images, images.masks, strict=True):
        green = image[:, :, 1 if image.shape[2] == 3 else 0]
        field = image.max(axis=2) >= FIELD_LEVEL
        vessel[0] += np.bincount(green[(mask == 1) & field], minlength=256)
        vessel[1] += np.bincount(green[(mask == 1) & ~field], minlength=256)
        other += np.bincount(green[(mask == 0) & field], minlength=256)
    return vessel, other
