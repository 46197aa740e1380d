"""`unetsweep data import` when something is in its way: files that cannot be read, other writers, a full disk."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from distributed_sets import draw

from unetsweep.app.public_sets import import_set
from unetsweep.datasets import arrange, layout_advice
from unetsweep.datasets import import_set as plan
from unetsweep.errors import DataError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return draw("chase_db1", tmp_path / "source")


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(
    ("replace", "reason"),
    [
        (lambda file: file.symlink_to("/nowhere"), "a broken link"),
        (os.mkfifo, "no regular file"),
    ],
)
def test_a_source_that_cannot_be_read_is_named_before_anything_is_written(
    tmp_path: Path, source: Path, replace: Callable[[Path], object], reason: str, link: bool
) -> None:
    for name in ("Image_01L.jpg", "Image_12L.jpg"):
        (source / name).unlink()
        replace(source / name)
    with pytest.raises(DataError, match=rf"Image_\d\dL\.jpg: cannot be read \({reason}\) \(and 1 more such file\)"):
        import_set("chase_db1", source, tmp_path / "to", link=link)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("there", ["training/images/mine.png", "Train/mine.png", "test"])
def test_parts_under_other_names_are_not_mixed_with(tmp_path: Path, source: Path, there: str) -> None:
    to = tmp_path / "to"
    (to / there).parent.mkdir(parents=True)
    (to / there).touch()
    with pytest.raises(DataError, match=rf"holds other files \({there}\).*; move them away, or name a new folder"):
        import_set("chase_db1", source, to)


def test_a_folder_in_the_place_of_an_image_is_no_image(tmp_path: Path, source: Path) -> None:
    (tmp_path / "to" / "train" / "image" / "Image_01L.jpg").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds other files \(train/image/Image_01L\.jpg\)"):
        import_set("chase_db1", source, tmp_path / "to")


def test_what_a_file_manager_leaves_does_not_hinder(tmp_path: Path, source: Path) -> None:
    import_set("chase_db1", source, tmp_path / "to")
    (tmp_path / "to" / "train" / "image" / "Thumbs.db").touch()
    assert import_set("chase_db1", source, tmp_path / "to").new_files == 0


def test_links_are_not_taken_for_the_copies_that_are_wanted(tmp_path: Path, source: Path) -> None:
    to = tmp_path / "to"
    import_set("chase_db1", source, to, link=True)
    with pytest.raises(DataError, match=r"holds links to files elsewhere .*; name a new folder, or use --link"):
        import_set("chase_db1", source, to)
    assert import_set("chase_db1", source, to, link=True).new_files == 0


@pytest.mark.parametrize("last", [False, True])
def test_two_different_imports_at_once_do_not_both_succeed(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    """The other one, with the masks of the other observer, writes all after the first one has looked."""
    original, to, calls = arrange._create, tmp_path / "to", list[Path]()

    def meanwhile(target: Path, content: Callable[[], bytes]) -> bool:
        calls.append(target)
        if len(calls) == (59 if last else 1):
            shutil.copytree(tmp_path / "other", to, dirs_exist_ok=True)
        return original(target, content)

    import_set("chase_db1", source, tmp_path / "other", observer=2)
    monkeypatch.setattr(arrange, "_create", meanwhile)
    with pytest.raises(DataError, match=r"another import wrote here at the same time \(.*Image_11L_2ndHO\.png"):
        import_set("chase_db1", source, to)


def test_a_full_disk_is_named(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: Path) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(arrange, "_content", full)
    with pytest.raises(OSError, match="No space left") as caught:
        import_set("chase_db1", source, tmp_path / "to")
    assert str(caught.value.filename).startswith(str(tmp_path / "to"))
    assert not [file for file in (tmp_path / "to").rglob("*") if file.is_file()]


def test_a_target_that_is_a_broken_link_is_called_that(tmp_path: Path, source: Path) -> None:
    (tmp_path / "to").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a broken link; name a folder"):
        import_set("chase_db1", source, tmp_path / "to")


def test_a_set_behind_a_link_to_its_folder_is_found_once(tmp_path: Path, source: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("CHASEDB1", "again"):
        (linked / name).symlink_to(source)
    (source / "loop").symlink_to(linked)
    assert import_set("chase_db1", linked, tmp_path / "to").counts == {"train": 20, "test": 8}


def test_a_folder_that_is_too_large_to_search_is_refused(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (plan, layout_advice):
        monkeypatch.setattr(module, "MAX_FILES", 50)
    with pytest.raises(DataError, match="holds more than 50 files; name the folder of CHASE_DB1 alone"):
        import_set("chase_db1", source, tmp_path / "to")


def test_compressed_files_are_no_links(tmp_path: Path) -> None:
    done = import_set("stare", draw("stare", tmp_path / "stare"), tmp_path / "to", link=True)
    assert "40 compressed files became decompressed copies, not links" in done.notes
