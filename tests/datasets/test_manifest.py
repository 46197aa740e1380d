"""The pinned split: the same images whatever has been added since, and a refusal by name for what has changed."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.contract import DataConfig, Split
from unetsweep.datasets.check import check
from unetsweep.datasets.manifest import divide
from unetsweep.errors import DataError


def pinned(root: Path, seed: int = 0) -> DataConfig:
    data = DataConfig(str(root), Split(seed=seed, groups="none"))
    return dataclasses.replace(data, manifest=check(data).manifest)


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


def test_it_names_what_is_missing_and_what_has_changed(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path))
    (tmp_path / "train" / "image" / "01.png").unlink()
    (tmp_path / "train" / "mask" / "01.png").unlink()
    shutil.copy(tmp_path / "train" / "mask" / "02.png", tmp_path / "train" / "mask" / "03.png")
    shutil.copy(tmp_path / "test" / "image" / "01.png", tmp_path / "test" / "image" / "02.png")

    with pytest.raises(DataError) as caught:
        divide(data)

    said = str(caught.value)
    assert "missing: 01; the split names them" in said
    assert "changed since the split was pinned: 03" in said
    assert "test: changed since the split was pinned: 02" in said


def test_a_mask_counts_as_much_as_an_image(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path))
    mask = tmp_path / "test" / "mask" / "01.png"
    mask.write_bytes(mask.read_bytes() + b"\0")

    with pytest.raises(DataError, match="test: changed since the split was pinned: 01"):
        check(data)


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
def test_a_file_that_the_manifest_does_not_name_is_let_be(tmp_path: Path, add: Callable[[Path], None]) -> None:
    data = pinned(make_set(tmp_path))
    before, whole = names(data), check(data)
    add(tmp_path)

    assert names(data) == before
    now = check(data)
    assert (now.manifest, now.train, now.val, now.test) == (whole.manifest, whole.train, whole.val, whole.test)
    assert (dict(now.sizes), now.vessel_share) == (dict(whole.sizes), whole.vessel_share)


def test_groups_need_not_be_told_once_the_split_is_pinned(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    table = root / "groups.csv"
    table.write_text("file,group\n" + "".join(f"{n:02d}.png,{n % 3}\n" for n in range(1, 5)))
    data = DataConfig(str(root), Split(groups="groups.csv"))
    data = dataclasses.replace(data, manifest=check(data).manifest)
    table.unlink()

    assert check(data).groups == 4  # eyes that the pictures show
    with pytest.raises(DataError, match=r"groups\.csv is not there"):
        check(dataclasses.replace(data, manifest=None))


def test_a_folder_that_is_gone_is_said_as_ever(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path / "set"))
    shutil.rmtree(tmp_path / "set/test/mask")
    with pytest.raises(DataError, match="test: missing: 01, 02; the split names them, so put image and mask back"):
        check(data)
    shutil.rmtree(tmp_path / "set")
    with pytest.raises(DataError, match="is not there; expected is"):
        divide(data)


def test_a_test_set_that_nobody_scores_may_be_none(tmp_path: Path) -> None:
    data = pinned(make_set(tmp_path))
    shutil.rmtree(tmp_path / "test")
    data = dataclasses.replace(data, manifest={**dict(data.manifest or {}), "test": {}})
    assert (check(data).test, names(data)["test"]) == (0, [])
