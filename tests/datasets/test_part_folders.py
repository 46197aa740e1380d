"""The folders of a dataset are found under their usual names; otherwise a message says what to rename or to run."""

import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.contract import DataConfig
from unetsweep.datasets.inspection import inspect
from unetsweep.datasets.layout import find_pairs, home_of, read_layout, read_part
from unetsweep.datasets.layout_advice import EXPECTED, how_to_arrange
from unetsweep.datasets.manifest import divide
from unetsweep.datasets.part_folders import masks_beside
from unetsweep.datasets.prepare import prepare
from unetsweep.errors import DataError


def arranged(root: Path, train: str, test: str, image: str, mask: str) -> Path:
    """A set of four training and two test images under other names; the names of parts, then of kinds."""
    make_set(root)
    for part, name in (("train", train), ("test", test)):
        for kind, other in (("image", image), ("mask", mask)):
            (root / part / kind).rename(root / part / other)
        (root / part).rename(root / name)
    return root


@pytest.mark.parametrize(
    ("train", "test", "image", "mask"),
    [
        ("train", "test", "images", "masks"),
        ("training", "testing", "images", "1st_manual"),
        ("train", "test", "Original", "Ground truth"),
        ("Train", "Test", "Images", "Labels"),
        ("TRAINING", "test", "img", "ground-truth"),
    ],
)
def test_other_usual_names_are_accepted(tmp_path: Path, train: str, test: str, image: str, mask: str) -> None:
    root = arranged(tmp_path / "set", train, test, image, mask)
    assert {part: len(pairs) for part, pairs in find_pairs(root).items()} == {"train": 4, "test": 2}
    config = DataConfig(str(root))
    manifest = prepare(config).manifest
    assert {part: len(names) for part, names in manifest.items()} == {"train": 3, "val": 1, "test": 2}
    assert len(divide(DataConfig(str(root), manifest=manifest))["test"]) == 2
    assert home_of(tmp_path / "set") == root


def test_messages_name_files_as_they_lie(tmp_path: Path) -> None:
    root = arranged(tmp_path, "training", "test", "images", "1st_manual")
    (root / "training/images/01.png").write_bytes(b"no image")
    (root / "training/1st_manual/02.png").unlink()
    write(root / "training/1st_manual/03.png", np.eye(48, dtype=np.uint8))
    where = [finding.where for finding in inspect(root, use_cache=False).file_findings]
    assert where == ["training/images/02.png", "training/images/01.png"]


def fields_of_view(root: Path, part: str) -> None:
    (root / part / "mask").mkdir()
    for image in (root / part / "images").iterdir():
        write(root / part / "mask" / f"{image.stem}_mask.png", np.full((32, 32), 255, np.uint8))


def test_fields_of_view_are_not_taken_for_masks(tmp_path: Path) -> None:
    """DRIVE: `mask/` holds the fields of view beside `1st_manual/`. Today its test part has nothing else."""
    root = arranged(tmp_path, "training", "test", "images", "1st_manual")
    fields_of_view(root, "training")
    fields_of_view(root, "test")
    assert {pair.mask.parent.name for pairs in find_pairs(root).values() for pair in pairs} == {"1st_manual"}
    shutil.rmtree(root / "test" / "1st_manual")
    layout = read_layout(root)
    assert (layout.problems, list(layout.pairs), len(layout.without_masks["test"])) == ((), ["train"], 2)
    assert masks_beside(root / "test" / "images") is None
    assert masks_beside(root / "training" / "images") == root / "training" / "1st_manual"


def test_masks_that_end_in_mask_are_masks(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    for part in ("train", "test"):
        for mask in (root / part / "mask").iterdir():
            mask.rename(mask.with_name(f"{mask.stem}_mask.png"))
    assert {part: len(pairs) for part, pairs in find_pairs(root).items()} == {"train": 4, "test": 2}


@pytest.mark.parametrize(("kind", "other"), [("image", "images"), ("mask", "1st_manual")])
def test_two_folders_that_fit_are_refused(tmp_path: Path, kind: str, other: str) -> None:
    root = make_set(tmp_path)
    shutil.copytree(root / "train" / kind, root / "train" / other)
    with pytest.raises(DataError, match=rf"train: .* may both hold the {kind}s; rename or move away"):
        find_pairs(root)


def test_two_training_parts_are_refused(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    shutil.copytree(root / "train", root / "Training")
    with pytest.raises(DataError, match="Training and train may both hold"):
        find_pairs(root)


def test_a_folder_of_a_usual_name_without_images_does_not_count(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    (root / "train" / "labels").mkdir()
    (root / "train" / "labels" / "01.txt").touch()
    (root / "training").mkdir()
    assert len(find_pairs(root)["train"]) == 4


def test_images_that_lie_where_none_are_read_are_named(tmp_path: Path) -> None:
    """A set that is divided into three parts, and images beside the folders of images and masks."""
    root = make_set(tmp_path)
    shutil.copytree(root / "test", root / "val")
    write(root / "train" / "05.png")
    (root / "train" / "mask2").mkdir()  # a second observer: no image is missing with it
    write(root / "train" / "mask2" / "01.png")
    first, second = prepare(DataConfig(str(root))).warnings
    assert f"{root}: val: holds images and masks, and is not read: data.split takes the validation images" in first
    assert f"{root}: train: 1 image file beside the folders of images and masks, such as 05.png, not read" in second


def test_turned_folders_get_the_commands_that_turn_them(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set")
    for part in ("train", "test"):
        for kind in ("image", "mask"):
            (root / f"{kind}s").mkdir(exist_ok=True)
            (root / part / kind).rename(root / f"{kind}s" / part)
        (root / part).rmdir()
    found = "holds no train/; found there: images/, masks/; run in it: mkdir -p test train && "
    moves = "mv images/train train/image && mv images/test test/image && mv masks/train train/mask && "
    assert how_to_arrange(root) == f"{found}{moves}mv masks/test test/mask"
    with pytest.raises(DataError, match="mv masks/test test/mask"):
        find_pairs(root)


def test_images_and_masks_without_parts_become_the_training_part(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", train=4)
    shutil.rmtree(root / "test")
    (root / "train" / "image").rename(root / "Original")
    (root / "train" / "mask").rename(root / "Ground truth")
    (root / "train").rmdir()
    found = "holds no train/; found there: Ground truth/ (4 image files), Original/ (4 image files); run in it: "
    assert how_to_arrange(root) == f"{found}mkdir -p train && mv Original train/image && mv 'Ground truth' train/mask"


def test_a_set_in_an_inner_folder_is_pointed_to(tmp_path: Path) -> None:
    make_set(tmp_path / "DRIVE")
    assert how_to_arrange(tmp_path) == f"holds no train/; found there: DRIVE/; use {tmp_path / 'DRIVE'} as the folder"


def test_a_part_points_to_its_set(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    assert how_to_arrange(root / "train") == f"holds no train/; it is a part of a set; use {root} as the folder"


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "CHASEDB1.zip").touch()
    assert how_to_arrange(tmp_path) == "holds no train/; found there: CHASEDB1.zip; unpack CHASEDB1.zip first"


def test_a_set_as_distributed_gets_the_command_that_imports_it(tmp_path: Path) -> None:
    for child in range(1, 8):
        for name in (f"Image_{child:02d}{eye}{suffix}" for eye in "LR" for suffix in (".jpg", "_1stHO.png")):
            (tmp_path / name).touch()
    command = f"unetsweep data import chase_db1 {tmp_path} data/chase_db1"
    assert how_to_arrange(tmp_path) == (
        f"holds no train/; it is CHASE_DB1 as distributed: run `{command}`, then use data/chase_db1"
    )


def test_anything_else_is_described(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    assert how_to_arrange(tmp_path).startswith("holds no train/; found there: holiday/; expected is train/image/")


def test_a_folder_beside_the_parts_that_cannot_be_listed_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, original = make_set(tmp_path), Path.iterdir
    (root / "lost+found").mkdir()

    def iterdir(folder: Path) -> Iterator[Path]:  # root can list every folder
        if folder.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return original(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert len(find_pairs(root)["train"]) == 4


@pytest.mark.parametrize("where", ["train", "test", "train/image", "train/mask", "test/image", "test/mask"])
def test_a_broken_link_of_a_usual_name_is_no_folder_that_is_missing(tmp_path: Path, where: str) -> None:
    root = make_set(tmp_path / "set")
    shutil.rmtree(root / where)
    (root / where).symlink_to("/nowhere")
    with pytest.raises(DataError, match=f"{where}: a broken link, to /nowhere; restore what is linked to"):
        find_pairs(root)


def test_a_broken_link_of_the_other_part_stops_neither_a_prediction_nor_a_training(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set")
    manifest = prepare(DataConfig(str(root))).manifest
    shutil.rmtree(root / "test" / "mask")
    (root / "test" / "mask").symlink_to("/nowhere")
    assert len(read_part(root, "train").pairs["train"]) == 4
    assert len(divide(DataConfig(str(root), manifest=manifest), test=False)["train"]) == 3
    with pytest.raises(DataError, match="test/mask: a broken link"):
        divide(DataConfig(str(root), manifest=manifest))


def test_a_root_that_is_not_there_says_why(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/nowhere")
    assert how_to_arrange(tmp_path / "link") == "is a broken link, to /nowhere; restore what is linked to"
    make_set(tmp_path / unicodedata.normalize("NFD", "é"))
    assert "accented letters are written in another way" in how_to_arrange(tmp_path / "\u00e9")
    assert how_to_arrange(tmp_path / "b") == f"is not there; {EXPECTED}"


@pytest.mark.parametrize("names", ["{part}_{kind}s", "{kind}s-{part}ing"])
def test_folders_that_join_part_and_kind_get_the_commands_that_turn_them(tmp_path: Path, names: str) -> None:
    root = make_set(tmp_path / "set")
    for part in ("train", "test"):
        for kind in ("image", "mask"):
            (root / part / kind).rename(root / names.format(part=part, kind=kind))
        (root / part).rmdir()
    _, _, commands = how_to_arrange(root).partition("; run in it: ")
    subprocess.run(["sh", "-c", commands], cwd=root, check=True)
    assert {part: len(pairs) for part, pairs in find_pairs(root).items()} == {"train": 4, "test": 2}


@pytest.mark.parametrize("inner", ["a/b", "a/b/c"])
def test_a_set_further_down_is_pointed_to(tmp_path: Path, inner: str) -> None:
    make_set(tmp_path / inner)
    assert how_to_arrange(tmp_path).endswith(f"found there: a/; use {tmp_path / inner} as the folder")


def test_a_folder_of_images_is_no_set(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    found = f"holds no train/; it is one folder of a set; use {root} as the folder"
    assert how_to_arrange(root / "train" / "image") == found


def test_a_folder_to_rename_is_named_only_if_there_is_one(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    (root / "train" / "mask").rename(root / "train" / "vessels")
    shutil.rmtree(root / "test" / "image")
    with pytest.raises(DataError) as caught:
        find_pairs(root)
    texts = [problem.message.rpartition(": ")[2] for problem in caught.value.problems]
    assert texts == ["rename the one with the masks to mask", "make image/ there, and move the images into it"]
