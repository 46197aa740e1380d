"""Panels of input, truth, prediction and difference, their files, and the overview of the worst."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unetsweep.datasets.panel_files import WORST, ScoredPanel, write_overview, write_panel, write_png
from unetsweep.datasets.panels import BACKGROUND, FOUND, MISSED, ROW_WIDTH, WRONG, difference, overview, panel, shrunk
from unetsweep.datasets.reading import Pixels


def test_a_panel_has_input_truth_prediction_and_difference_in_this_order() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (120, 360, 3)).astype(np.uint8)
    truth, mask = (rng.integers(0, 2, (120, 360)).astype(np.uint8) for _ in range(2))
    sheet = panel(image, truth, mask)
    top, gap = (sheet.shape[0] - 120) // 2, 4
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


def test_a_legend_names_the_colours_of_the_difference_only_if_there_is_one() -> None:
    mask = np.zeros((64, 64), np.uint8)
    with_truth, without = (panel(np.zeros((64, 64, 3), np.uint8), truth, mask) for truth in (mask, None))
    legend = with_truth[-(with_truth.shape[0] - 64) // 2 :]
    for colour in (FOUND, MISSED, WRONG):
        assert (legend == colour).all(axis=2).any()
    assert not (without == MISSED).all(axis=2).any()


def test_a_difference_in_grey_tells_the_three_kinds_apart() -> None:
    """Nobody who sees no colour, and no printer without colour, takes one kind for another."""
    greys = [cv2.cvtColor(np.array([[each]], np.uint8), cv2.COLOR_RGB2GRAY)[0, 0] for each in (FOUND, MISSED, WRONG)]
    assert np.diff(sorted(int(grey) for grey in (*greys, 0))).min() > 25


def test_captions_fit_even_if_the_image_is_narrower() -> None:
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    sheet = panel(image, mask, mask)
    ink = _ink(sheet)
    assert ink.min() > 0
    assert ink.max() < sheet.shape[1] - 1


def test_a_shrunk_picture_keeps_its_aspect_ratio_and_a_small_one_its_pixels() -> None:
    picture = cv2.applyColorMap(np.arange(200 * 100, dtype=np.uint32).astype(np.uint8).reshape(100, 200), 2)
    assert shrunk(picture, 50).shape == (25, 50, 3)
    np.testing.assert_array_equal(shrunk(picture, 200), picture)


def test_panel_names_sort_worst_first_and_images_without_a_score_last(tmp_path: Path) -> None:
    scores = {"a": 0.9, "b": 0.0, "c": None, "d": 1.0, "e": 0.51234}
    for name, score in scores.items():
        write_panel(tmp_path, name, score, _plain(8))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "iou0.0000_b.png", "iou0.5123_e.png", "iou0.9000_a.png", "iou1.0000_d.png", "unscored_c.png",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a", "[a]", "iou0.5000_a"])
def test_a_later_panel_replaces_those_of_the_same_image_and_no_other(name: str, tmp_path: Path) -> None:
    others = {f"iou0.5000_x{name}.png", f"iou0.5000_{name}x.png", f"iou0.50_{name}.png", f"{name}.png"}
    for other in others:
        write_png(tmp_path / other, _plain(8))
    for score in (0.5, None, 0.25):
        written = write_panel(tmp_path, name, score, _plain(8))
        assert {path.name for path in tmp_path.iterdir()} == others | {written.name}


def test_an_overview_has_the_worst_panels_worst_first(tmp_path: Path) -> None:
    panels = []
    for number in range(WORST + 2):
        path = tmp_path / f"{number}.png"
        write_png(path, _plain(10 * number))
        panels.append(ScoredPanel(str(number), 1 - number / 10, path))
    assert write_overview(tmp_path / "worst.png", panels)
    sheet = cv2.imread(str(tmp_path / "worst.png"))
    assert sheet is not None
    rows = np.split(sheet, WORST)
    assert [row[0, 0].tolist() for row in rows] == [list(BACKGROUND)] * WORST  # each begins with its title
    assert [row[-1, 0, 0] for row in rows] == [10 * (WORST + 1 - n) for n in range(WORST)]


def test_without_scores_an_earlier_overview_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "worst.png"
    write_png(path, _plain(8))
    assert not write_overview(path, [])
    assert not path.exists()
    assert not write_overview(path, [])


def test_an_overview_shrinks_wide_panels_and_shortens_long_titles() -> None:
    wide = np.zeros((40, 4 * ROW_WIDTH, 3), np.uint8)
    sheet = overview([("image " * 100, wide), ("Auge_ä\n", _plain(8))])
    assert sheet.shape[1] == ROW_WIDTH
    assert (sheet[:, -4:] != BACKGROUND).any(axis=2).sum() == 4 * 10  # only the panel reaches the right edge


def _plain(grey: int) -> Pixels:
    return np.full((20, 30, 3), grey, np.uint8)


def _ink(captions: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.flatnonzero((captions < min(BACKGROUND)).any(axis=(0, 2)))
