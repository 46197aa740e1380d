"""`unetsweep data import`: public sets as they are distributed become datasets in our layout."""

import csv
import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from chase import CHASE, needs_chase
from click.testing import CliRunner, Result
from distributed_sets import FIVES, draw, names

from unetsweep.app.public_sets import import_set
from unetsweep.cli.data import command
from unetsweep.contract import DataConfig, Split
from unetsweep.datasets import arrange
from unetsweep.datasets.layout import find_pairs, read_layout
from unetsweep.datasets.layout_advice import how_to_arrange
from unetsweep.datasets.manifest import divide
from unetsweep.datasets.public_sets import SETS
from unetsweep.datasets.reading import read_pair
from unetsweep.errors import DataError, UnetsweepError, UsageError


@pytest.fixture(autouse=True)
def _small_fives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETS, "fives", replace(SETS["fives"], counts=FIVES))  # type: ignore[arg-type]


def run(key: str, folder: Path, to: Path, *options: str) -> Result:
    return CliRunner().invoke(command, ["import", key, str(folder), str(to), *options], catch_exceptions=False)


def files(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("observer", [1, 2])
@pytest.mark.parametrize("key", SETS)
def test_every_set_is_imported_as_it_is_distributed(tmp_path: Path, key: str, observer: int) -> None:
    source, to = draw(key, tmp_path / "source"), tmp_path / "to"
    if observer > len(SETS[key].masks):
        with pytest.raises(UsageError, match="has the masks of one observer only"):
            run(key, source, to, "--observer", "2")
        return
    result = run(key, source, to, "--observer", str(observer))
    counts = SETS[key].counts
    assert f"{counts['train']} train and {counts['test']} test images of {SETS[key].title}, " in result.stderr
    assert f"terms: {SETS[key].terms}" in result.stderr
    assert SETS[key].cite in (to / "README.md").read_text()
    pairs = find_pairs(to)
    assert {part: len(some) for part, some in pairs.items()} == counts
    assert read_layout(to).warnings == ()
    with (to / "sources.csv").open() as stream:
        source_of = {row["file"]: source / row["source"] for row in csv.DictReader(stream)}
    wanted = {image: (part, masks) for part, image, masks in names(key)}
    for part, some in pairs.items():
        for pair in some:
            image, mask = (
                source_of[f"{part}/{kind}/{file.name}"] for kind, file in (("image", pair.image), ("mask", pair.mask))
            )
            of_part, masks = wanted[image.relative_to(source).as_posix()]
            assert of_part == part
            assert mask == source / masks[min(observer, len(masks)) - 1]
            for file, original in ((pair.image, image), (pair.mask, mask)):
                content = original.read_bytes()
                assert file.read_bytes() == (gzip.decompress(content) if original.suffix == ".gz" else content)
    read_pair(pairs["train"][0], None, "half")


@pytest.mark.parametrize("key", SETS)
def test_a_set_as_distributed_is_read_as_it_lies_or_names_the_command(tmp_path: Path, key: str) -> None:
    source = draw(key, tmp_path / "source")
    if key in ("drive", "fives"):  # divided as distributed, in folders of usual names
        home = source / key.upper()
        assert {part: len(some) for part, some in find_pairs(home).items()} == SETS[key].counts
        assert not any("mask" in pair.mask.parts for some in find_pairs(home).values() for pair in some)
    assert f"unetsweep data import {key} {source} data/{key}`" in how_to_arrange(source)


def test_children_stay_together(tmp_path: Path) -> None:
    to = tmp_path / "to"
    run("chase_db1", draw("chase_db1", tmp_path / "source"), to)
    parts = divide(DataConfig(str(to), Split(groups="groups.csv")))
    children = [{pair.name[6:8] for pair in parts[part]} for part in ("train", "val", "test")]
    assert [len(some) for some in children] == [8, 2, 4]
    assert len(set.union(*children)) == 14


def test_an_import_can_be_repeated_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, to = draw("stare", tmp_path / "source"), tmp_path / "to"
    original, written = arrange.link_first, list[Path]()

    def interrupted(made: Path, path: Path) -> bool:
        if len(written) == 7:
            raise KeyboardInterrupt
        written.append(path)
        return original(made, path)

    monkeypatch.setattr(arrange, "link_first", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_set("stare", source, to)
    assert len(files(to)) == 7  # no half-written file, and no README.md, with which an import is complete
    monkeypatch.undo()
    first = files(to)
    assert "35 new files (copied)" in run("stare", source, to).stderr
    whole = files(to)
    assert first.items() <= whole.items()
    assert "all there already, nothing to do" in run("stare", source, to).stderr
    assert files(to) == whole


def test_links_are_made_on_request_but_not_for_compressed_files(tmp_path: Path) -> None:
    chase, stare = (draw(key, tmp_path / key) for key in ("chase_db1", "stare"))
    assert "59 new files (linked)" in run("chase_db1", chase, tmp_path / "a", "--link").stderr
    link = tmp_path / "a" / "train" / "image" / "Image_01L.jpg"
    assert os.readlink(link) == str(chase / "Image_01L.jpg")
    run("stare", stare, tmp_path / "b", "--link")
    assert not (tmp_path / "b" / "train" / "image" / "im0001.ppm").is_symlink()


@pytest.mark.parametrize(
    "there",
    ["train/image/mine.png", "train/image/Image_01L.jpg", "README.md", "test/masks/Image_11L_1stHO.png"],
)
def test_other_files_are_never_replaced_or_mixed_with(tmp_path: Path, there: str) -> None:
    source, to = draw("chase_db1", tmp_path / "source"), tmp_path / "to"
    (to / there).parent.mkdir(parents=True)
    (to / there).write_text("mine")
    with pytest.raises(DataError, match=rf"holds other files \({there}\), which are not replaced"):
        run("chase_db1", source, to)
    assert files(to) == {there: b"mine"}


def test_the_masks_of_the_other_observer_are_not_added(tmp_path: Path) -> None:
    source, to = draw("chase_db1", tmp_path / "source"), tmp_path / "to"
    run("chase_db1", source, to)
    with pytest.raises(DataError, match="holds other files"):
        run("chase_db1", source, to, "--observer", "2")


def test_a_folder_that_is_another_set_says_which(tmp_path: Path) -> None:
    source = draw("hrf", tmp_path / "source")
    with pytest.raises(DataError, match="is not STARE but HRF: unetsweep data import hrf"):
        run("stare", source, tmp_path / "to")
    empty = tmp_path / "empty"
    (empty / "notes").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"holds no images of DRIVE \(such as training/images/.*\); found there: notes/"
    ):
        run("drive", empty, tmp_path / "to")
    with pytest.raises(DataError, match="is not a folder"):
        run("drive", tmp_path / "nowhere", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_set_that_is_not_complete_names_what_is_missing(tmp_path: Path) -> None:
    source = draw("chase_db1", tmp_path / "source")
    (source / "Image_03R_1stHO.png").unlink()
    (source / "Image_12L.jpg").unlink()
    with pytest.raises(DataError) as caught:
        run("chase_db1", source, tmp_path / "to")
    first, second = (problem.message for problem in caught.value.problems)
    assert first.startswith(
        "CHASE_DB1 has 20 train images with their masks, and 19 are here; without a mask: Image_03R.jpg;"
    )
    assert second.startswith(
        "CHASE_DB1 has 8 test images with their masks, and 7 are here; masks without their image: "
    )
    assert not (tmp_path / "to").exists()


def test_a_set_that_is_there_twice_is_refused_but_not_its_unpacked_files(tmp_path: Path) -> None:
    source = draw("chase_db1", tmp_path / "source")
    shutil.copytree(source, source / "again")
    with pytest.raises(DataError, match=r"holds Image_01L\.jpg twice"):
        run("chase_db1", source, tmp_path / "to")
    stare = draw("stare", tmp_path / "stare")
    for file in list(stare.rglob("*.gz"))[:9]:
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))  # gunzip --keep
    assert "42 new files" in run("stare", stare, tmp_path / "to").stderr


def test_a_broken_compressed_file_is_named(tmp_path: Path) -> None:
    source = draw("stare", tmp_path / "source")
    file = source / "stare-images" / "im0003.ppm.gz"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"im0003\.ppm\.gz: cannot be decompressed .*; download it again"):
        run("stare", source, tmp_path / "to")


def test_the_rest_of_the_stare_collection_is_left_out(tmp_path: Path) -> None:
    source = draw("stare", tmp_path / "source")
    shutil.copy(source / "stare-images" / "im0001.ppm.gz", source / "stare-images" / "im0006.ppm.gz")
    run("stare", source, tmp_path / "to")
    assert len(find_pairs(tmp_path / "to")["train"]) == 10


def test_hrf_may_be_unpacked_from_its_three_pairs_of_archives(tmp_path: Path) -> None:
    source = draw("hrf", tmp_path / "source")
    for kind, name in (("h", "healthy"), ("dr", "diabetic_retinopathy"), ("g", "glaucoma")):
        for folder, of, pattern in (
            ("images", "", f"*_{kind}.*"),
            ("manual1", "_manualsegm", f"*_{kind}.tif"),
            ("mask", "_fovmask", f"*_{kind}_mask.tif"),
        ):
            (source / f"{name}{of}").mkdir()
            for file in (source / folder).glob(pattern):
                file.rename(source / f"{name}{of}" / file.name)
    assert "15 train and 30 test images of HRF" in run("hrf", source, tmp_path / "to").stderr


def test_drive_of_today_has_no_test_masks(tmp_path: Path) -> None:
    source, to = draw("drive", tmp_path / "source"), tmp_path / "to"
    for folder in ("1st_manual", "2nd_manual"):
        shutil.rmtree(source / "DRIVE" / "test" / folder)
    result = run("drive", source, to)
    assert "the test images have no masks here, so they are not scored" in result.stderr
    layout = read_layout(to)
    assert (layout.problems, len(layout.pairs["train"]), len(layout.without_masks["test"])) == ((), 20, 20)


def test_the_second_observer_of_drive_drew_the_test_images_only(tmp_path: Path) -> None:
    result = run("drive", draw("drive", tmp_path / "source"), tmp_path / "to", "--observer", "2")
    assert "the train masks are those of observer 1: observer 2 drew none" in result.stderr


def test_the_target_may_not_lie_in_the_set(tmp_path: Path) -> None:
    source = draw("chase_db1", tmp_path / "source")
    for to in (source, source / "arranged"):
        with pytest.raises(UnetsweepError, match="name another folder"):
            run("chase_db1", source, to)


def test_without_a_target_the_set_goes_to_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = draw("chase_db1", tmp_path / "source")
    result = CliRunner().invoke(command, ["import", "CHASE_DB1", str(source)], catch_exceptions=False)
    assert "data/chase_db1: 20 train and 8 test images" in result.stderr
    assert "in a sweep: data: {root: data/chase_db1, split: {groups: groups.csv}}" in result.stderr


@needs_chase
def test_chase_db1_is_divided_as_its_folder_here(tmp_path: Path) -> None:
    run("chase_db1", CHASE, tmp_path / "to", "--link")
    for part, pairs in find_pairs(CHASE).items():
        assert [pair.name for pair in find_pairs(tmp_path / "to")[part]] == [pair.name for pair in pairs]
