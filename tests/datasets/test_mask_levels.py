"""Masks with more than two levels that hold area are refused, with what was found and how to choose."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.contract import DataConfig, Split, config_from
from unetsweep.datasets.decoding import decode_mask
from unetsweep.datasets.findings import findings
from unetsweep.datasets.inspection import inspect
from unetsweep.datasets.level_choice import levels_problem
from unetsweep.datasets.levels import plateaus
from unetsweep.datasets.prepare import prepare
from unetsweep.datasets.reading import Cut, read_mask
from unetsweep.errors import ConfigError, DataError

THIN = np.zeros((96, 96), np.uint8)
for _row in range(8, 96, 16):
    cv2.line(THIN, (0, _row), (95, (_row * 3) % 96), 1, 2)
LEFT = THIN * (np.arange(96) < 48).astype(np.uint8)
DISC = np.zeros((96, 96), np.uint8)
cv2.circle(DISC, (48, 48), 30, 1, -1)
CUP = np.zeros((96, 96), np.uint8)
cv2.circle(CUP, (48, 48), 15, 1, -1)


def jpeg(mask: np.ndarray, quality: int) -> np.ndarray:
    _, content = cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE))


def stray(mask: np.ndarray, level: int, rows: int = 0) -> np.ndarray:
    changed = mask.copy()
    changed[2 : 3 + rows, 2 : 3 + 20 * rows] = level
    return changed


@pytest.mark.parametrize(
    ("mask", "levels"),
    [
        pytest.param(THIN + LEFT, [0, 1, 2], id="classes 0, 1, 2"),
        pytest.param((THIN + LEFT).astype(np.uint16), [0, 1, 2], id="classes in 16 bits"),
        pytest.param(29 * THIN + 47 * LEFT, [0, 29, 76], id="grey levels of blue and red"),
        pytest.param(stray(THIN, 255), [0, 1, 255], id="one stray 255 in a mask of 0 and 1"),
        pytest.param(stray(THIN, 255, rows=20), [0, 1, 255], id="255 for ignore"),
        pytest.param(THIN * np.repeat(np.array([85, 170, 255], np.uint8), 32), [0, 85, 170, 255],
                     id="votes of three observers"),
        pytest.param(jpeg(128 * DISC + 127 * CUP, 75), None, id="cup in disc, as JPEG"),
    ],
)  # fmt: skip
def test_plateaus_are_counted(mask: np.ndarray, levels: list[int] | None) -> None:
    found = plateaus(mask)
    assert not found.are_clear
    assert levels is None or [each.level for each in found.found] == levels


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(THIN, id="0 and 1"),
        pytest.param(255 * THIN, id="0 and 255"),
        pytest.param(stray(255 * THIN, 100), id="one stray grey pixel"),
        pytest.param(jpeg(255 * THIN, 75), id="JPEG 75"),
        pytest.param(jpeg(255 * THIN, 50), id="JPEG 50"),
        pytest.param(cv2.GaussianBlur(255 * THIN, (0, 0), 1), id="blurred"),
        pytest.param(cv2.resize(255 * THIN, (48, 48), interpolation=cv2.INTER_AREA), id="halved: quarters"),
        pytest.param(cv2.resize(255 * THIN, (70, 70), interpolation=cv2.INTER_AREA), id="resized"),
        pytest.param(np.zeros((8, 8), np.uint8), id="one level"),
    ],
)
def test_edges_and_noise_are_no_plateaus(mask: np.ndarray) -> None:
    assert plateaus(mask).are_clear


def test_a_photograph_is_no_mask() -> None:
    grey = np.add.outer(np.arange(96), np.arange(96)).astype(np.uint8)
    assert plateaus(grey).is_photograph
    dark = cv2.GaussianBlur(np.random.default_rng(0).normal(60, 200, (96, 96)), (0, 0), 6)
    assert plateaus(stray(np.clip(dark, 0, 140).astype(np.uint8), 255)).is_photograph, "a dark one with a bright point"


def problem(tmp_path: Path, mask: np.ndarray, cut: Cut = "half") -> str:
    file = write(tmp_path / "mask.png", mask)
    return levels_problem(file, decode_mask(file)[0], cut)


def test_a_photograph_in_colour_is_called_one(tmp_path: Path) -> None:
    ramp = np.arange(96, dtype=np.uint8)
    fundus = np.dstack([np.add.outer(ramp, ramp) // 4, np.add.outer(ramp, ramp) // 2, np.add.outer(ramp, ramp) + 60])
    assert "as a photograph" in problem(tmp_path, fundus)


def test_the_background_is_the_most_frequent_level_not_the_lowest(tmp_path: Path) -> None:
    colours = np.full((96, 96, 3), 255, np.uint8)
    colours[THIN > 0] = (255, 0, 0)
    colours[LEFT > 0] = (0, 0, 255)
    assert "data.mask_values takes those that you name, for example [29, 76]" in problem(tmp_path, colours)
    assert "takes all above" not in problem(tmp_path, colours)
    grey = problem(tmp_path, np.where(THIN > 0, 29 * THIN + 47 * LEFT, 255).astype(np.uint8))
    assert "data.mask_values takes those that you name, for example [29, 76]" in grey
    assert "takes all above" not in grey


def test_exact_levels_are_not_advised_for_masks_with_grey_edges(tmp_path: Path) -> None:
    text = problem(tmp_path, jpeg(128 * DISC + 127 * CUP, 75))
    assert "data.mask_values" not in text
    assert "data.mask_threshold: 64 takes all above the background (0)" in text


def test_shapes_in_the_transparency_are_named(tmp_path: Path) -> None:
    white = np.full((96, 96), 255, np.uint8)
    assert "in its transparency" in problem(tmp_path, np.dstack([white, white, white, 255 * THIN]))
    assert problem(tmp_path, np.dstack([255 * THIN] * 3 + [white])) == ""


def test_a_threshold_that_loses_a_mask_of_0_and_1_is_refused(tmp_path: Path) -> None:
    assert "data.mask_threshold: 127 finds no vessel in it; data.mask_threshold: half" in problem(tmp_path, THIN, 127.0)
    assert problem(tmp_path, 255 * THIN, 127.0) == problem(tmp_path, THIN, 0.0) == ""


def test_mask_values_that_no_mask_holds_are_named(tmp_path: Path) -> None:
    root = with_masks(tmp_path, THIN + LEFT)
    found = {cut: [(f.level, f.message) for f in inspect(root, cut).file_findings if f.kind == "mask-values"]
             for cut in ((1, 2), (1, 3), (3,))}  # fmt: skip
    text = "no mask holds 3, of data.mask_values: {}; the masks hold 0, 1 and 2"
    assert found == {(1, 2): [], (1, 3): [("warning", text.format("[1, 3]"))], (3,): [("error", text.format("[3]"))]}


def test_advice_about_half_is_for_those_who_use_it_or_a_low_threshold(tmp_path: Path) -> None:
    """It was given for levels that the user had named, of which half of the range would lose some."""
    named = inspect(with_masks(tmp_path / "named", THIN + LEFT), (1, 2))
    assert not [f for f in findings(named) if f.kind == "mask-threshold"]
    grey = inspect(with_masks(tmp_path / "grey", cv2.GaussianBlur(255 * THIN, (0, 0), 1)), 0.0)
    (found,) = [f for f in findings(grey) if f.kind == "mask-threshold"]
    assert "data.mask_threshold: 0 makes vessels" in found.message


def with_masks(root: Path, mask: np.ndarray) -> Path:
    """Images whose dark lines are those of `THIN`, and this mask."""
    make_set(root, size=96)
    for number, file in enumerate(sorted(root.glob("*/image/*.png"))):
        image = np.random.default_rng(number).integers(100, 200, (96, 96, 3)).astype(np.uint8)
        write(file, np.where(THIN[:, :, None] > 0, image // 3, image).astype(np.uint8))
        write(file.parent.parent / "mask" / file.name, mask)
    return root


def test_unclear_levels_are_an_error_in_check_and_submit_that_says_how_to_choose(tmp_path: Path) -> None:
    root = with_masks(tmp_path, stray(THIN, 255))
    found = [finding for finding in inspect(root).file_findings if finding.kind == "mask-levels"]
    assert [f.level for f in found] == ["error"]
    assert found[0].message.startswith("6 masks (train/mask/01.png, train/mask/02.png, train/mask/03.png and 3 more): ")
    assert "holds 3 levels: 0 (82%), 1 (18%) and 255 (0.011%)" in found[0].message
    assert "data.mask_threshold: 0 takes all above the background (0)" in found[0].message
    assert "data.mask_values takes those that you name, for example [1, 255] or [1]" in found[0].message
    with pytest.raises(DataError, match=r"6 masks \(.*: holds 3 levels"):
        prepare(DataConfig(str(root), Split(groups="none")))


@pytest.mark.parametrize(
    "chosen", [{"mask_values": (1,)}, {"mask_threshold": 0.0}, {"mask_values": (1, 255)}, {"allow_odd_masks": True}]
)
def test_a_user_who_has_chosen_is_not_asked(tmp_path: Path, chosen: dict[str, Any]) -> None:
    root = with_masks(tmp_path, stray(THIN, 255))
    dataset = prepare(DataConfig(str(root), Split(groups="none", allow_leak=True), **chosen))
    wanted = 0.0001 if "allow_odd_masks" in chosen else THIN.mean()
    assert dataset.vessel_share == pytest.approx(wanted, abs=0.001)
    assert any("holds 3 levels" in warning for warning in dataset.warnings) == ("allow_odd_masks" in chosen)


def test_colours_are_named(tmp_path: Path) -> None:
    colours = np.zeros((96, 96, 3), np.uint8)
    colours[THIN > 0] = (255, 0, 0)
    colours[LEFT > 0] = (0, 0, 255)
    found = inspect(with_masks(tmp_path, cv2.resize(colours, (96, 96)))).file_findings
    assert "6 masks (" in found[0].message
    assert "holds the colours blue (8.8%) and red (9%), with the grey levels 29 and 76; half" in found[0].message
    assert "data.mask_threshold: 0 takes all above the background (0)" in found[0].message
    one = np.zeros((96, 96, 3), np.uint8)
    one[THIN > 0] = (0, 0, 255)
    assert not [f for f in inspect(with_masks(tmp_path / "one", one)).file_findings if f.kind == "mask-levels"]


def test_mask_values_are_levels_of_the_file(tmp_path: Path) -> None:
    levels = np.array([[0, 1, 2, 255]], np.uint8)
    assert read_mask(write(tmp_path / "m.png", levels), None, (1, 2)).tolist() == [[0, 1, 1, 0]]
    assert read_mask(write(tmp_path / "w.png", levels.astype(np.uint16) * 256), None, (256,)).tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    "data", [{"mask_values": [1, 1]}, {"mask_values": [-1]}, {"mask_values": [1], "mask_threshold": 3}]
)
def test_mask_values_are_checked(data: dict[str, Any]) -> None:
    raw = {"epochs": 1, "batch_size": 1, "learning_rate": 0.1, "data": {"root": "d", **data}}
    with pytest.raises(ConfigError, match=r"data\.mask_values"):
        config_from(raw)
