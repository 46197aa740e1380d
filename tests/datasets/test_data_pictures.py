"""The pictures on the page of `data check --report`: they show what is wrong, and there are never too many."""

from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.app import data_pictures
from unetsweep.app.data import DataCheck
from unetsweep.app.data_page import render_page
from unetsweep.app.data_pictures import INSIDE, OUTLINE, Pictures, outlined, pictures
from unetsweep.contract import Split
from unetsweep.datasets.inspection import inspect
from unetsweep.datasets.layout import find_pairs
from unetsweep.datasets.splits import split


def pictures_of(root: Path) -> Pictures:
    return pictures(inspect(root, use_cache=False))


def page_of(root: Path) -> str:
    return render_page(DataCheck(inspect(root, use_cache=False), ()))


def test_the_page_has_every_image_in_the_part_that_the_default_split_gives_it(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    found = pictures_of(root)
    training, validation = split(find_pairs(root)["train"], Split(), root)
    names = {sheet.use: [figure.name for figure in sheet.figures] for sheet in found.sheets}
    assert names == {
        "training": [f"train/{pair.name}" for pair in training],
        "validation": [f"train/{pair.name}" for pair in validation],
        "test": ["test/01", "test/02"],
    }
    assert found.no_split is None
    assert [figure.caption for figure in found.sheets[2].figures] == ["6.2% vessel"] * 2
    page = page_of(root)
    assert "Training: 3 images" in page
    assert "as data.split: {val: 0.25, seed: 0, groups: auto} divides the training images" in page


def test_the_names_of_a_group_stand_together(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    for kind in ("image", "mask"):
        (root / "train" / kind / "01.png").rename(root / "train" / kind / "7_left.png")
        (root / "train" / kind / "04.png").rename(root / "train" / kind / "7_right.png")
    groups = {group for sheet in pictures_of(root).sheets for group in sheet.groups}
    assert groups == {("7_left.png", "7_right.png"), ("02.png",), ("03.png",), ("01.png",)}
    assert "<li>7_left.png, 7_right.png</li>" in page_of(root)


def test_of_many_images_the_page_has_an_evenly_spaced_sample_and_says_so(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=8, test=5)
    with mock.patch.multiple(data_pictures, MOST_PICTURES=3, MOST_NAMES=4):
        sheet = pictures_of(root).sheets[2]
        page = page_of(root)
    assert [figure.name for figure in sheet.figures] == ["test/01", "test/03", "test/05"]
    assert (sheet.images, len(sheet.groups), sheet.unnamed) == (5, 4, 1)
    assert "Test: 3 of 5 images, evenly spaced" in page
    assert "<li>and 1 more</li>" in page
    assert page.count("<img") == 3 + 2 + 3  # two images validate


def test_a_picture_has_few_bytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 400, 3)).astype(np.uint8)
    root = make_set(tmp_path, train=2)
    write(root / "test" / "image" / "01.png", noise)
    write(root / "test" / "mask" / "01.png", noise[..., 0] // 128 * 255)
    assert all(len(figure.source) < 80_000 for sheet in pictures_of(root).sheets for figure in sheet.figures)


@pytest.fixture
def small() -> np.ndarray:
    return np.full((60, 60, 3), 100, np.uint8)


def test_the_outline_of_a_field_of_view_is_a_ring_and_its_area_is_tinted(small: np.ndarray) -> None:
    mask = cv2.circle(np.zeros((600, 600), np.uint8), (300, 300), 200, 1, -1)
    drawn = outlined(small, mask)
    assert drawn[30, 9].tolist() == list(OUTLINE)
    assert drawn[30, 30].tolist() == [round(100 + INSIDE * (level - 100)) for level in OUTLINE]
    assert drawn[3, 3].tolist() == [100, 100, 100]
    ring = (drawn == OUTLINE).all(axis=2).sum()
    assert 100 < ring < 200  # about 2 * pi * 20


def test_empty_full_and_thin_masks_are_drawn_differently(small: np.ndarray) -> None:
    empty, full, thin = np.zeros((600, 600), np.uint8), np.ones((600, 600), np.uint8), np.zeros((600, 600), np.uint8)
    thin[:, 300:306] = 1
    assert np.array_equal(outlined(small, empty), small)
    assert (outlined(small, full)[..., 1] > 120).all()
    assert (outlined(small, thin)[30, 29:32] == OUTLINE).all(axis=1).tolist() == [True, False, True]


def test_masks_that_cannot_be_drawn_are_named(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    (root / "test" / "mask" / "01.png").write_bytes(b"no image")
    write(root / "test" / "mask" / "02.png", np.zeros((20, 30), np.uint8))
    captions = [figure.caption for figure in pictures_of(root).sheets[2].figures]
    assert captions == ["its mask cannot be read", "its mask is 30x20, the image 48x48"]


def test_the_page_has_training_images_that_cannot_be_split_with_the_reason(tmp_path: Path) -> None:
    found = pictures_of(make_set(tmp_path, train=1))
    assert [sheet.use for sheet in found.sheets] == ["train", "test"]
    assert found.no_split is not None
    assert "training and validation need one each" in found.no_split
    assert "training and validation need one each" in page_of(tmp_path)


def test_of_a_folder_that_is_no_dataset_the_page_has_the_images_in_it(tmp_path: Path) -> None:
    for name in ("Original/1.png", "Ground truth/1.png", "notes.txt", "Original/broken.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write(path) if "1" in name else path.write_text("no image")
    (sheet,) = pictures_of(tmp_path).sheets
    assert [figure.name for figure in sheet.figures] == ["Ground truth/1.png", "Original/1.png"]
    assert "Images in this folder: 2 images" in page_of(tmp_path)
    assert pictures_of(tmp_path / "nowhere").sheets == ()
    assert page_of(tmp_path / "nowhere").count("<img") == 0
