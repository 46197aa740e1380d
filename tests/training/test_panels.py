"""Panels of input, truth, prediction and difference."""

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.training.panels import BACKGROUND, FOUND, MISSED, WRONG, difference, panel, shrunk


def test_a_panel_has_input_truth_prediction_and_difference_in_this_order() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (120, 360, 3)).astype(np.uint8)
    truth, mask = (rng.integers(0, 2, (120, 360)).astype(np.uint8) for _ in range(2))
    sheet = panel(image, truth, mask)
    top, gap = sheet.shape[0] - 120 - 4, 4
    expected = (image, np.dstack([truth * 255] * 3), np.dstack([mask * 255] * 3), difference(mask, truth))
    for column, picture in enumerate(expected):
        left = gap + column * (360 + gap)
        np.testing.assert_array_equal(sheet[top : top + 120, left : left + 360], picture)
        assert sheet[:top, left : left + 360].min() < min(BACKGROUND)  # its caption
    assert sheet.shape[1] == 4 * (360 + gap) + gap
    assert panel(image, None, mask).shape[1] == 2 * (360 + gap) + gap


def test_a_difference_tells_found_missed_and_wrong_vessels_apart() -> None:
    mask, truth = np.array([[1, 0, 1, 0]], np.uint8), np.array([[1, 1, 0, 0]], np.uint8)
    assert [tuple(pixel) for pixel in difference(mask, truth)[0].tolist()] == [FOUND, MISSED, WRONG, (0, 0, 0)]


def test_captions_fit_even_if_the_image_is_narrower() -> None:
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    sheet = panel(image, mask, mask)
    ink = _ink(sheet[: sheet.shape[0] - 8 - 4])
    assert ink.min() > 0
    assert ink.max() < sheet.shape[1] - 1


def test_a_shrunk_picture_keeps_its_aspect_ratio_and_a_small_one_its_pixels() -> None:
    picture = cv2.applyColorMap(np.arange(200 * 100, dtype=np.uint32).astype(np.uint8).reshape(100, 200), 2)
    assert shrunk(picture, 50).shape == (25, 50, 3)
    np.testing.assert_array_equal(shrunk(picture, 200), picture)


def _ink(captions: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.flatnonzero((captions < min(BACKGROUND)).any(axis=(0, 2)))
