"""Files that are not read are named with the reason, and are an error if a pair would be missing without a word."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.contract import DataConfig
from unetsweep.datasets.file_names import EXTENSIONS
from unetsweep.datasets.inspection import inspect
from unetsweep.datasets.layout import Layout, find_pairs, read_layout
from unetsweep.datasets.prepare import prepare
from unetsweep.datasets.reading import read_pair
from unetsweep.errors import DataError, Problem

FILE = Path("01.png")


def layout_after(root: Path, change: Callable[[Path], object]) -> Layout:
    """The layout of a small set, after something was done to both folders of its training part."""
    make_set(root, train=3, test=1)
    for kind in ("image", "mask"):
        change(root / "train" / kind)
    return read_layout(root)


def reasons(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    return [(problem.field, problem.message.partition(";")[0].partition(": ")[2]) for problem in problems]


def in_both(text: str) -> list[tuple[str, str]]:
    return [("train/image", text), ("train/mask", text)]


def replace_by_broken_link(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / FILE).symlink_to("nowhere.png")


def compress(folder: Path) -> None:
    (folder / "01.png.gz").write_bytes(gzip.compress((folder / FILE).read_bytes()))


def compress_and_remove(folder: Path) -> None:
    compress(folder)
    (folder / FILE).unlink()


def move_down(folder: Path) -> None:
    (folder / "left").mkdir()
    (folder / FILE).rename(folder / "left" / FILE)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (replace_by_broken_link, "01.png (broken link)"),
        (lambda folder: (folder / "more").symlink_to("nowhere"), "more (broken link)"),
        (lambda folder: os.mkfifo(folder / "04.png"), "04.png (no regular file)"),
        (lambda folder: os.mkdir(folder / "04.png"), "04.png (no regular file)"),
        (compress_and_remove, "01.png.gz (compressed)"),
        (lambda folder: (folder / "more.zip").touch(), "more.zip (archive)"),
        (lambda folder: (folder / FILE).rename(folder / "01.dcm"), "01.dcm (a format that is not read)"),
        (move_down, "left (subfolder with images)"),
        (lambda folder: (folder / FILE).rename(folder / "01"), "01 (no known suffix)"),
    ],
)
def test_a_pair_that_would_be_missing_is_an_error(tmp_path: Path, change: Callable[[Path], object], found: str) -> None:
    assert reasons(layout_after(tmp_path, change).problems) == in_both(found)
    with pytest.raises(DataError, match="1 file was not read"):
        prepare(DataConfig(str(tmp_path)))
    errors = [finding.where for finding in inspect(tmp_path, use_cache=False).file_findings if finding.level == "error"]
    assert errors == ["train/image", "train/mask"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (compress, "01.png.gz (compressed)"),
        (lambda folder: (folder / FILE).rename(folder / ".01.png"), ".01.png (hidden)"),
        (lambda folder: (folder / "01.png~").touch(), "01.png~ (no known suffix)"),
        (lambda folder: (folder / f"{folder.name}-list").touch(), "KIND-list (no known suffix)"),
    ],
)
def test_what_may_be_an_image_and_costs_no_pair_is_a_warning(
    tmp_path: Path, change: Callable[[Path], object], found: str
) -> None:
    layout = layout_after(tmp_path, change)
    expected = [(field, text.replace("KIND", field.rpartition("/")[2])) for field, text in in_both(found)]
    assert (layout.problems, reasons(layout.warnings)) == ((), expected)
    assert sum("1 file was not read" in warning for warning in prepare(DataConfig(str(tmp_path))).warnings) == 2


@pytest.mark.parametrize("name", ["04.heic", "04.png.gz"])
def test_an_image_in_a_form_that_is_not_read_is_an_error_without_a_mask_too(tmp_path: Path, name: str) -> None:
    root = make_set(tmp_path, train=3, test=1)
    (root / "train/image" / name).touch()
    assert [problem.field for problem in read_layout(root).problems] == ["train/image"]


def test_archives_and_folders_beside_the_images_only_cost_no_pair(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=3, test=1)
    (root / "train/image/thumbs").mkdir()
    write(root / "train/image/thumbs/01.png")
    (root / "train/image/all.zip").touch()
    layout = read_layout(root)
    assert layout.problems == ()
    assert reasons(layout.warnings) == [
        ("train/image", "all.zip (archive)"),
        ("train/image", "thumbs (subfolder with images)"),
    ]


def test_what_is_no_image_is_a_note_of_the_check_alone(tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        (folder / "notes").mkdir()
        (folder / ".ipynb_checkpoints").mkdir()
        for name in (".DS_Store", "._01.png", "README.txt", "Thumbs.db"):
            (folder / name).touch()

    layout = layout_after(tmp_path, change)
    assert (layout.problems, layout.warnings) == ((), ())
    assert reasons(layout.notes) == in_both(".DS_Store, ._01.png, .ipynb_checkpoints, README.txt and 2 more (no image)")
    assert [finding.level for finding in inspect(tmp_path, use_cache=False).file_findings] == ["note", "note"]
    assert not any("not read" in warning for warning in prepare(DataConfig(str(tmp_path))).warnings)


@pytest.mark.parametrize("suffix", sorted(EXTENSIONS))
def test_every_format_that_is_listed_is_read(tmp_path: Path, suffix: str) -> None:
    root = make_set(tmp_path, train=2, test=1)
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 8:16] = 255
    for kind in ("image", "mask"):
        (root / "train" / kind / "01.png").unlink()
    colours = {".pgm": cv2.COLOR_BGR2GRAY, ".pbm": cv2.COLOR_BGR2GRAY}
    image = cv2.cvtColor(np.repeat(mask[..., None], 3, 2), colours.get(suffix, cv2.COLOR_BGR2RGB))
    write(root / "train/image" / f"01{suffix}", image)
    write(root / "train/mask" / f"01{suffix}", mask if suffix not in (".gif", ".ppm", ".pnm") else image)
    pixels, levels = read_pair(find_pairs(root)["train"][0], None, "half")
    assert pixels.shape == (32, 32, 3)
    assert np.array_equal(levels, mask // 255)
