"""A pinned split: the same images whatever was added, and an error that names what has changed."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.contract import DataConfig, Split
from unetsweep.datasets.manifest import divide
from unetsweep.datasets.prepare import prepare, verify_pinned
from unetsweep.errors import DataError


def pinned(root: Path, seed: int = 0) -> DataConfig:
    data = DataConfig(str(root), Split(seed=seed, groups="none"))
    return dataclasses.replace(data, manifest=prepare(data).manifest)


def names(data: DataConfig) -> dict[str, list[str]]:
    return {part: [pair.name for pair in pairs] for part, pairs in divide(data).items()}


def test_a_pinned_split_stays_when_images_are_added_or_the_seed_says_another(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path))
    before = names(data)
    for kind in ("image", "mask"):
        shutil.copy(tmp_path / "train" / kind / "01.png", tmp_path / "train" / kind / "99.png")

    assert names(data) == before
    assert names(dataclasses.replace(data, split=Split(seed=9, groups=r"(\d)"))) == before
    assert "99" in str(names(dataclasses.replace(data, manifest=None)))


def test_missing_and_changed_files_are_named(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path))
    (tmp_path / "train" / "image" / "01.png").unlink()
    (tmp_path / "train" / "mask" / "01.png").unlink()
    shutil.copy(tmp_path / "train" / "mask" / "02.png", tmp_path / "train" / "mask" / "03.png")
    shutil.copy(tmp_path / "test" / "image" / "01.png", tmp_path / "test" / "image" / "02.png")

    with pytest.raises(DataError) as caught:
        divide(data)

    message = str(caught.value)
    assert "missing: 01; the split names them" in message
    assert "changed since the split was pinned: 03" in message
    assert "test: changed since the split was pinned: 02" in message


def test_a_mask_counts_as_much_as_an_image(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path))
    mask = tmp_path / "test" / "mask" / "01.png"
    mask.write_bytes(mask.read_bytes() + b"\0")

    with pytest.raises(DataError, match="test: changed since the split was pinned: 01"):
        prepare(data)


def _alone(root: Path) -> None:
    write(root / "train/image/99.png")


def _second_annotator(root: Path) -> None:
    shutil.copy(root / "train/mask/02.png", root / "train/mask/01_1st.png")
    shutil.copy(root / "test/mask/01.png", root / "test/mask/01_manual2.png")


def _same_stem(root: Path) -> None:
    write(root / "train/image/01.jpg")


def _mask_of_none(root: Path) -> None:
    write(root / "test/mask/77.png")


def _another_size(root: Path) -> None:
    for kind in ("image", "mask"):
        write(root / "train" / kind / "99.png", np.zeros((64, 64), np.uint8))


def _owner_of_a_longer_name(root: Path) -> None:
    """Without the manifest, `01_2.png` would be the mask of the new image."""
    write(root / "train/image/01_2.png")
    shutil.copy(root / "train/mask/01.png", root / "train/mask/01_2.png")
    (root / "train/mask/01.png").unlink()


def _no_text(root: Path) -> None:
    shutil.copy(root / "train/image/01.png", os.fsencode(root / "train/image") + b"/caf\xe9.png")


@pytest.mark.parametrize(
    "add",
    [_alone, _second_annotator, _same_stem, _mask_of_none, _another_size, _owner_of_a_longer_name, _no_text],
)
def test_files_outside_the_manifest_are_ignored(tmp_path: Path, add: Callable[[Path], None]) -> None:
    data = pinned(make_set(tmp_path))
    before, whole = names(data), prepare(data)
    add(tmp_path)

    assert names(data) == before
    now = prepare(data)
    assert now == whole


def test_a_pinned_split_does_not_need_its_groups_file(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    table = root / "groups.csv"
    table.write_text("file,group\n" + "".join(f"{n:02d}.png,{n % 3}\n" for n in range(1, 5)))
    data = DataConfig(str(root), Split(groups="groups.csv"))
    data = dataclasses.replace(data, manifest=prepare(data).manifest)
    table.unlink()

    assert prepare(data).image_groups == 4  # found from the pixels
    with pytest.raises(DataError, match=r"groups\.csv is not there"):
        prepare(dataclasses.replace(data, manifest=None))


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path / "set"))
    shutil.rmtree(tmp_path / "set/test/mask")
    with pytest.raises(DataError, match="test: missing: 01, 02; the split names them, so restore image and mask"):
        prepare(data)
    shutil.rmtree(tmp_path / "set")
    with pytest.raises(DataError, match="is not there; expected is"):
        divide(data)


def test_an_unused_test_set_may_be_missing(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path))
    shutil.rmtree(tmp_path / "test")
    data = dataclasses.replace(data, manifest={**dict(data.manifest or {}), "test": {}})
    assert (prepare(data).test_images, names(data)["test"]) == (0, [])


def test_a_training_that_scores_no_test_image_does_not_read_them(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path))
    (tmp_path / "test/image/01.png").write_bytes(b"changed")
    assert divide(data, test=False)["test"] == ()
    shutil.rmtree(tmp_path / "test")
    assert [len(divide(data, test=False)[part]) for part in ("train", "val")] == [3, 1]
    verify_pinned(data, test=False)
    with pytest.raises(DataError, match="test: missing"):
        verify_pinned(data)
