"""Masks that are not those of vessels of their images are named as what they are; those of vessels never are.

`python -m tests.datasets.plausibility` does this for all sizes and for CHASE_DB1.
"""

import shutil
from pathlib import Path

import cv2
import numpy as np
import plausibility as cases
import pytest
from chase import CHASE, needs_chase
from click.testing import CliRunner
from images_drawn import write

from unetsweep.cli.data import command
from unetsweep.contract import DataConfig, Split
from unetsweep.datasets.odd_masks import OddMask
from unetsweep.datasets.prepare import prepare
from unetsweep.errors import DataError


@pytest.fixture(scope="module")
def eyes() -> list[cases.Eye]:
    return cases.sample_eyes(128, 3)


@pytest.mark.parametrize("change", cases.OF_VESSELS)
def test_masks_of_vessels_are_never_refused(eyes: list[cases.Eye], change: str) -> None:
    found, unclear = cases.judged(cases.changed(eyes, cases.OF_VESSELS[change]))
    assert ([each for each in found if each.level == "error"], unclear) == ([], 0)


@pytest.mark.parametrize("size", [64, 256])
def test_small_and_large_masks_of_vessels_are_not_refused(size: int) -> None:
    for change in ("as drawn", "thinned by 1", "thickened by 2"):
        found, _ = cases.judged(cases.changed(cases.sample_eyes(size, 1), cases.OF_VESSELS[change]))
        assert not [each for each in found if each.level == "error"]


def errors(eyes: list[cases.Eye]) -> list[OddMask]:
    return [each for each in cases.judged(eyes)[0] if each.level == "error"]


@pytest.mark.parametrize("change", cases.OTHER)
def test_other_masks_are_named(eyes: list[cases.Eye], change: str) -> None:
    kind, apply = cases.OTHER[change]
    found = errors(cases.changed(eyes, apply))
    assert [(each.kind, len(each.names)) for each in found] == [(kind, len(eyes))]


def test_fields_of_view_and_masks_of_other_eyes_are_named(eyes: list[cases.Eye]) -> None:
    (field,) = errors(cases.fields_of_view(eyes))
    assert field.kind == "field-of-view"
    (other,) = errors(cases.of_other_eyes(eyes))
    assert other.kind == "foreign-mask"
    assert "train/00 fits train/" in other.message


def test_spots_are_not_vessels(eyes: list[cases.Eye]) -> None:
    disc = np.zeros((128, 128), np.uint8)
    cv2.circle(disc, (40, 64), 9, 255, -1)
    assert [each.kind for each in errors(cases.changed(eyes, lambda mask: disc))] == ["no-vessels"]


def test_bright_vessels_are_a_warning(eyes: list[cases.Eye]) -> None:
    found, _ = cases.judged([(np.asarray(255 - image), mask) for image, mask in eyes])
    assert [(each.level, each.kind) for each in found] == [("warning", "bright-vessels")]


def test_two_masks_that_were_swapped_are_named(eyes: list[cases.Eye]) -> None:
    swapped = list(eyes)
    swapped[0], swapped[2] = (eyes[0][0], eyes[2][1]), (eyes[2][0], eyes[0][1])
    (found,) = errors(swapped)
    assert found.names == ("train/00", "train/02")
    assert "train/00 fits train/02" in found.message


def test_a_shift_is_given_in_pixels(eyes: list[cases.Eye]) -> None:
    moved = [(image, np.roll(mask, (6, -10), axis=(0, 1))) for image, mask in eyes]
    (found,) = errors(moved)
    assert "shifted by 10 to the left and 6 down (pixels) against the image" in found.message


@pytest.fixture
def upside_down(sample: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(sample, tmp_path / "sample"))
    for file in root.glob("*/mask/*.png"):
        write(file, cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)[::-1].copy())
    return root


def test_check_and_submit_refuse_them_unless_allowed(upside_down: Path) -> None:
    result = CliRunner().invoke(command, ["check", str(upside_down)], catch_exceptions=False)
    text = " ".join(result.stdout.split())
    assert result.exit_code == 1
    assert "error 15 masks (train/mask/01.png, train/mask/02.png, train/mask/03.png and 12 more): mirrored" in text
    split = Split(groups="none", allow_leak=True)
    with pytest.raises(DataError, match=r"15 masks .*upside down"):
        prepare(DataConfig(str(upside_down), split))
    allowed = prepare(DataConfig(str(upside_down), split, allow_odd_masks=True))
    assert any("upside down" in warning for warning in allowed.warnings)


@pytest.mark.parametrize(
    ("level", "kind"), [(0, "no vessel in any mask of train"), (255, "15 masks .*: vessel everywhere")]
)
def test_a_set_of_empty_or_full_masks_is_refused(sample: Path, tmp_path: Path, level: int, kind: str) -> None:
    root = Path(shutil.copytree(sample, tmp_path / "sample"))
    for file in root.glob("*/mask/*.png"):
        write(file, np.full((128, 128), level, np.uint8))
    with pytest.raises(DataError, match=kind):
        prepare(DataConfig(str(root), Split(groups="none", allow_leak=True)))
    assert CliRunner().invoke(command, ["check", str(root)]).exit_code == 1


@needs_chase
@pytest.mark.parametrize("observer", ["mask", "mask2"])
def test_both_observers_of_chase_db1_pass_and_their_mirrored_masks_do_not(observer: str) -> None:
    eyes = cases.chase_eyes(CHASE, observer, 256)[:6]
    assert cases.judged(eyes) == ([], 0)
    (found,) = errors(cases.changed(eyes, cases.OTHER["mirrored"][1]))
    assert len(found.names) == 6
