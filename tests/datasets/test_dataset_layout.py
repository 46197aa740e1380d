"""Pairs are found by name, and every file without a partner is reported at once."""

import os
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.datasets.file_names import owner
from unetsweep.datasets.layout import find_pairs, pairs_named
from unetsweep.errors import DataError


@pytest.mark.parametrize(
    ("image", "mask", "name"),
    [
        ("01.png", "01.png", "01"),
        ("21_training.tif", "21_manual1.gif", "21_training"),
        ("im0235.ppm", "im0235.ah.ppm", "im0235"),
        ("Image_12R.jpg", "Image_12R_1stHO.png", "Image_12R"),
        ("7.PNG", "7.jpeg", "7"),
    ],
)
def test_the_names_of_public_datasets_are_paired(tmp_path: Path, image: str, mask: str, name: str) -> None:
    root = make_set(tmp_path, train=2, test=1)
    write(root / "test" / "image" / image)
    write(root / "test" / "mask" / mask, np.zeros((32, 32), np.uint8))
    assert name in [pair.name for pair in find_pairs(root)["test"]]


def test_a_mask_belongs_to_the_longest_name_that_it_starts_with() -> None:
    assert owner("1_2_manual1", ["1", "1_2"]) == "1_2"
    assert owner("12", ["1"]) is None


def test_a_last_word_is_removed_only_if_one_image_remains() -> None:
    assert owner("3_mask", ["3_left", "3_right"]) is None
    assert owner("3_mask", ["3_left", "4_left"]) == "3_left"


def test_pairs_are_sorted_and_stray_files_ignored(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=3, test=1)
    for stray in (".DS_Store", "Thumbs.db", "._01.png", "notes.txt"):
        (root / "train" / "image" / stray).write_bytes(b"stray")
    (root / "train" / "mask2").mkdir()
    assert [pair.name for pair in find_pairs(root)["train"]] == ["01", "02", "03"]


def test_a_Data_parent_is_accepted(tmp_path: Path) -> None:
    make_set(tmp_path / "Data", train=2, test=1)
    assert {part: len(pairs) for part, pairs in find_pairs(tmp_path).items()} == {"train": 2, "test": 1}


def test_a_missing_root_describes_the_layout_and_where_to_get_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        find_pairs(tmp_path / "nowhere")
    assert caught.value.source == str(tmp_path / "nowhere")
    for part in (
        "is not there",
        "train/",
        "https://www.kaggle.com/datasets/abdallahwagih/retina-blood-vessel",
        "unetsweep data import SET FOLDER",
        "unetsweep data download",
        "unetsweep data sample DIR",
    ):
        assert part in str(caught.value)


def test_all_problems_of_a_dataset_are_reported_at_once(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=4, test=1)
    (root / "train" / "mask" / "01.png").unlink()
    (root / "train" / "image" / "02.png").unlink()
    write(root / "train" / "mask" / "03_2ndHO.png", np.zeros((32, 32), np.uint8))
    write(root / "train" / "image" / "04.jpg")
    (root / "test" / "image" / "01.png").unlink()
    with pytest.raises(DataError) as caught:
        find_pairs(root)
    messages = {problem.field: problem.message for problem in caught.value.problems}
    assert set(messages) == {
        "train/image/01.png",
        "train/mask/02.png",
        "train/image/03.png",
        "train/image/04.jpg",
        "test/image",
    }
    assert messages["train/image/01.png"].startswith("no mask; add train/mask/01.png")
    assert "2 masks (03.png, 03_2ndHO.png)" in messages["train/image/03.png"]
    assert messages["train/image/04.jpg"].startswith("2 images have this name: 04.jpg, 04.png; keep only one")


@pytest.mark.parametrize(("part", "kind"), [("train", "image"), ("train", "mask"), ("test", "image")])
def test_a_missing_folder_is_named_with_what_was_found(tmp_path: Path, part: str, kind: str) -> None:
    root = make_set(tmp_path, train=2, test=1)
    (root / part / kind).rename(root / part / "pictures")
    with pytest.raises(DataError) as caught:
        find_pairs(root)
    assert f"{part}/{kind}: this folder is missing; found there: " in str(caught.value)
    assert "pictures/ (" in str(caught.value)


def test_a_folder_without_images_is_named_with_what_it_holds(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=2, test=1)
    for image in (root / "train" / "image").iterdir():
        image.rename(image.with_suffix(".heic"))
    with pytest.raises(DataError) as caught:
        find_pairs(root)
    texts = [(p.field, p.message.partition(";")[0].partition(" (PNG")[0]) for p in caught.value.problems]
    assert texts == [
        ("train/image", "2 files were not read: 01.heic, 02.heic (a format that is not read)"),
        ("train/image", "holds no image file that is read"),
    ]


def names(form: Literal["NFC", "NFD"], *parts: str) -> str:
    return unicodedata.normalize(form, "".join(parts))


@pytest.mark.parametrize("suffix", ["", "_manual1"])
@pytest.mark.parametrize(("image", "mask"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accented_names_pair_up_however_they_are_written(
    tmp_path: Path, image: Literal["NFC", "NFD"], mask: Literal["NFC", "NFD"], suffix: str
) -> None:
    root = make_set(tmp_path, train=2, test=1)
    (root / "train/image/01.png").rename(root / "train/image" / names(image, "é.png"))
    (root / "train/mask/01.png").rename(root / "train/mask" / names(mask, "é", suffix, ".png"))
    name = names("NFC", "é")
    assert [pair.name for pair in find_pairs(root)["train"]] == ["02", name]
    assert list(pairs_named(root, {"train": [name]})["train"]) == [name]  # a set that was pinned before it was copied


def test_two_images_whose_names_read_alike_are_refused(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=3, test=1)
    for kind in ("image", "mask"):
        (root / f"train/{kind}/01.png").rename(root / "train" / kind / names("NFC", "é.png"))
        (root / f"train/{kind}/02.png").rename(root / "train" / kind / names("NFD", "é.png"))
    with pytest.raises(DataError, match=r"2 images have this name: .*\(an accented letter is written in two ways\)"):
        find_pairs(root)


def test_several_masks_and_several_images_of_one_name_are_counted(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=2, test=1)
    for suffix in ("a", "b"):
        write(root / "train" / "mask" / f"01_{suffix}.png", np.zeros((32, 32), np.uint8))
        write(root / "train" / "image" / f"02.{'jpg' if suffix == 'a' else 'tif'}")
    with pytest.raises(DataError) as caught:
        find_pairs(root)
    assert [p.message for p in caught.value.problems] == [
        "3 images have this name: 02.jpg, 02.png, 02.tif; keep only one of them, or rename",
        "3 masks (01.png, 01_a.png, 01_b.png); keep only one of them in train/mask",
    ]


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=2, test=1)
    for kind in ("image", "mask"):
        folder = os.fsencode(root / "train" / kind)
        os.rename(folder + b"/01.png", folder + b"/caf\xe9.png")
    with pytest.raises(DataError) as caught:
        find_pairs(root)
    problems = [(p.field, p.message) for p in caught.value.problems]
    assert problems == [
        (f"train/{kind}/caf\\udce9.png", "its name is not UTF-8 text; rename it") for kind in ("image", "mask")
    ]
