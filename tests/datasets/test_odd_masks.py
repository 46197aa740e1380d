"""Masks that are not those of vessels of their images are named as what they are; those of vessels never are.

`python -m tests.datasets.plausibility` does this for all sizes and for CHASE_DB1.
"""

import shutil
from dataclasses import replace
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
from unetsweep.datasets.odd_masks import OddMask, odd_masks
from unetsweep.datasets.plausibility import Alignment, measure
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


def test_lesions_are_not_vessels_though_they_are_dark(eyes: list[cases.Eye]) -> None:
    spots = np.zeros((128, 128), np.uint8)
    for number in range(12):
        cv2.circle(spots, (30 + 20 * (number % 4), 30 + 25 * (number // 4)), 4, 1, -1)
    dark = [(np.where(spots[..., None] > 0, image // 3, image).astype(np.uint8), 255 * spots) for image, _ in eyes]
    assert [each.kind for each in errors(dark)] == ["spots"]


def test_a_mask_with_next_to_nothing_is_a_warning(eyes: list[cases.Eye]) -> None:
    point = np.zeros((128, 128), np.uint8)
    point[60, 60] = 255
    found, _ = cases.judged(cases.changed(eyes, lambda mask: point))
    assert [(each.level, each.kind, len(each.names)) for each in found] == [("warning", "few-vessels", len(eyes))]


def test_patches_of_wide_vessels_are_not_refused(eyes: list[cases.Eye]) -> None:
    """In a patch a vessel of 20 pixels is wide, and no fine structure; of hundreds some seem to fit elsewhere."""
    image, mask = eyes[0]
    whole = measure(image, (mask > 127).astype(np.uint8))
    elsewhere = Alignment(0.5, "mirrored left to right", (0.0, 0.0))
    wide = {f"train/{n:03d}": replace(whole, fit=0.05, wide=0.8) for n in range(20)}
    misfits = {f"train/misfit{n}": replace(whole, fit=0.02, wide=0.0) for n in range(8)}
    moved = {"train/moved": replace(whole, fit=0.0, wide=0.0, best=elsewhere)}
    full = {"train/full": replace(whole, share=1.0, side=48)}
    assert not [each for each in odd_masks({**wide, **misfits, **moved, **full}) if each.level == "error"]
    assert {each.level for each in odd_masks(misfits)} == {"error"}
    assert {each.level for each in odd_masks(moved)} == {"error"}
    assert {each.level for each in odd_masks(full)} == {"error"}


def test_of_many_patches_one_that_fits_a_mask_by_accident_is_not_its_image(eyes: list[cases.Eye]) -> None:
    image, mask = eyes[0]
    whole = measure(image, (mask > 127).astype(np.uint8))
    rng = np.random.default_rng(0)
    few = [np.asarray(each / np.linalg.norm(each), np.float32) for each in rng.normal(size=(200, 1, 40))]
    others = {f"train/{n:03d}": replace(whole, fit=0.5, image_sketch=few[n], mask_sketch=few[n]) for n in range(199)}
    odd = {"train/odd": replace(whole, fit=0.0, image_sketch=few[199], mask_sketch=few[198][:, ::-1].copy())}
    assert [(each.level, each.kind) for each in odd_masks({**others, **odd})] == [("warning", "foreign-mask")]


def test_empty_masks_are_judged_by_their_folder(eyes: list[cases.Eye]) -> None:
    """`predict` names images by their path, and said "no vessel in any mask of , so"."""
    empty = measure(eyes[0][0], np.zeros((128, 128), np.uint8))
    (found,) = odd_masks({"photos/2024/01.png": empty, "photos/2024/02.png": empty})
    assert "no vessel in any mask of photos/2024, so no score means anything" in found.message


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
