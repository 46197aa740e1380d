"""The pinned split: the same images whatever has been added since, and a refusal by name for what has changed."""

import dataclasses
import shutil
from pathlib import Path

import cv2
import pytest
from images_drawn import make_set

from unetsweep.contract import DataConfig, Split
from unetsweep.errors import DataError
from unetsweep.images.check import check
from unetsweep.images.manifest import divide


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


def test_what_it_does_not_name_is_let_be(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    (root / "groups.csv").write_text("file,group\n" + "".join(f"{n:02d}.png,{n}\n" for n in range(1, 30)))
    data = DataConfig(str(root), Split(groups="groups.csv"))
    data = dataclasses.replace(data, manifest=check(data).manifest)
    before = names(data)

    (root / "groups.csv").unlink()
    shutil.copy(root / "train/image/01.png", root / "train/image/98.png")  # no mask yet
    shutil.copy(root / "train/mask/02.png", root / "train/mask/01_manual2.png")  # a second annotator
    for kind in ("image", "mask"):  # a pair of another size
        picture = cv2.imread(str(root / "train" / kind / "01.png"))
        cv2.imwrite(str(root / "train" / kind / "99.png"), picture[:32, :32])

    assert names(data) == before
    assert check(data).manifest == data.manifest
