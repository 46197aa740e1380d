"""`unetsweep data check` tells everything at once, to people, to programs and on a page."""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chase import CHASE, needs_chase
from click.testing import CliRunner, Result
from images_drawn import make_set, write

from unetsweep.cli.data import command
from unetsweep.contract import DataConfig
from unetsweep.datasets.duplicates import Duplicates, Match
from unetsweep.datasets.findings import findings
from unetsweep.datasets.inspection import inspect
from unetsweep.datasets.manifest import divide
from unetsweep.datasets.sample import draw_sample
from unetsweep.errors import DataError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("check") / "sample"
    draw_sample(root, size=128, eyes=3, test_eyes=2)
    return root


@pytest.fixture
def sample(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "sample"))


def check(root: Path, *options: str) -> Result:
    return CliRunner().invoke(command, ["check", str(root), *options], catch_exceptions=False)


def as_object(root: Path, *options: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(check(root, "--json", *options).stdout)
    return said


def kinds(said: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(f["level"], f["kind"], f["where"]) for f in said["findings"]]


def test_a_sample_is_usable_and_its_copies_are_listed(sample: Path) -> None:
    result = check(sample)
    assert result.exit_code == 0
    assert "3 in train: 3 groups of 4\n" in result.stdout
    assert "01.png, 02.png (mirrored left to right), 03.png (mirrored top to bottom), 04.png (turned" in result.stdout
    assert "data.split.groups: auto" in result.stdout
    assert result.stdout.endswith("\nusable\n")


def test_the_object_has_the_groups_as_groups_csv_has_them(sample: Path) -> None:
    said = as_object(sample)
    assert (said["schema"], said["train"], said["test"], said["root"]) == (1, 12, 2, str(sample))
    assert said["groups"] == [[f"{4 * eye + n:02d}.png" for n in range(1, 5)] for eye in range(3)]
    assert said["test_groups"] == [["01.png"], ["02.png"]]
    assert said["test_copies"] == said["suspicious"] == said["patients"] == []
    assert said["sizes"] == {"train": {"128x128": 12}, "test": {"128x128": 2}}
    assert said["random_split_leak"] == 1  # 3 of 12 validate, so no eye's 4 can all be there
    assert said["masks"]["grey_edged"] == said["masks"]["count"] == 14
    assert said["masks"]["vessel_share_above_0"] > 1.1 * said["masks"]["vessel_share_half"]
    assert kinds(said) == [("warning", "duplicates", "train"), ("warning", "mask-threshold", "")]
    assert "fatter" in said["findings"][1]["message"]


def test_a_test_image_that_copies_a_training_image_must_be_mended(sample: Path) -> None:
    image = cv2.imread(str(sample / "train" / "image" / "05.png"))
    turn = cv2.getRotationMatrix2D((63.5, 63.5), 30, 1)
    write(sample / "test" / "image" / "02.png", cv2.warpAffine(image[:, ::-1].copy(), turn, (128, 128)))
    assert check(sample).exit_code == 1
    said = as_object(sample)
    (copy,) = said["test_copies"]
    assert (copy["test"], copy["train"]) == ("02.png", "05.png")
    assert re.fullmatch(r"mirrored, then turned by (29\.[5-9]|30\.[0-5]) degrees", copy["how"])
    assert copy["correlation"] > 0.9
    assert kinds(said)[0] == ("error", "test-copies", "test/image/02.png")
    assert said["groups"][1] == ["05.png", "06.png", "07.png", "08.png"]


def test_everything_that_is_wrong_is_told_at_once(sample: Path) -> None:
    (sample / "train" / "image" / "01.png").write_bytes(b"no image")
    (sample / "train" / "mask" / "02.png").write_bytes(b"")
    (sample / "train" / "mask" / "03.png").unlink()
    write(sample / "train" / "mask" / "04.png", np.zeros((128, 128), np.uint8))
    write(sample / "train" / "mask" / "05.png", np.full((128, 128), 255, np.uint8))
    write(sample / "test" / "mask" / "01.png", np.zeros((64, 128), np.uint8))
    shutil.copy(sample / "train" / "image" / "06.png", sample / "train" / "image" / "07.png")
    result = check(sample)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert "4 to mend" in result.stdout
    assert set(kinds(as_object(sample))) >= {
        ("error", "layout", "train/image/03.png"),
        ("error", "unreadable", "train/image/01.png"),
        ("error", "unreadable", "train/mask/02.png"),
        ("error", "size", "test/mask/01.png"),
        ("warning", "empty-mask", "train/mask/04.png"),
        ("warning", "full-mask", "train/mask/05.png"),
        ("warning", "identical-files", "train/image/07.png"),
    }


def test_no_set_at_all_is_said(tmp_path: Path) -> None:
    result = check(tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "is not there; expected is" in result.stdout
    assert kinds(as_object(tmp_path / "nowhere")) == [("error", "layout", "")]


@pytest.mark.parametrize(("train", "said"), [(1, "1 image"), (2, "2 images")])
def test_a_set_that_nobody_can_divide_is_not_usable(tmp_path: Path, train: int, said: str) -> None:
    root = make_set(tmp_path, train=train)
    if train == 2:
        for kind in ("image", "mask"):
            shutil.copy(root / "train" / kind / "01.png", root / "train" / kind / "02.png")
    result = check(root)
    assert result.exit_code == 1
    assert f"{said} of one eye or person; training and validation need one each" in " ".join(result.stdout.split())
    assert ("error", "one-group", "train") in kinds(as_object(root))
    with pytest.raises(DataError, match="training and validation need one each"):
        divide(DataConfig(str(root)))


def test_names_that_are_no_text_are_told_and_the_page_is_written(sample: Path, tmp_path: Path) -> None:
    home = tmp_path / os.fsdecode(b"caf\xe9")
    sample.rename(home)
    os.rename(home / "train/image/01.png", os.fsencode(home / "train/image") + b"/\xe9.png")
    result = check(home, "--report", str(tmp_path / "out.html"))
    assert result.exit_code == 1
    assert "its name is no text in UTF-8; rename it" in result.stdout
    assert "Copies of one eye" in (tmp_path / "out.html").read_text()
    assert ("error", "layout", "train/image/\\udce9.png") in kinds(as_object(home))


def test_the_page_is_its_users_alone(sample: Path, tmp_path: Path) -> None:
    """It holds photographs of patients."""
    check(sample, "--report", str(tmp_path / "out.html"))
    assert (tmp_path / "out.html").stat().st_mode & 0o777 == 0o600


def test_several_sizes_and_the_threshold_that_was_asked_for(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    write(root / "train" / "image" / "01.png", np.zeros((40, 48, 3), np.uint8))
    write(root / "train" / "mask" / "01.png", np.full((40, 48), 7, np.uint8))
    said = as_object(root, "--mask-threshold", "5")
    assert said["masks"]["mask_threshold"] == 5
    assert ("warning", "sizes", "train") in kinds(said)
    assert ("warning", "full-mask", "train/mask/01.png") in kinds(said)
    assert ("warning", "empty-mask", "train/mask/01.png") in kinds(as_object(root))


def test_left_and_right_eyes_of_one_person_are_kept_in_mind(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    renamed = [("train/{}/01", "7_left"), ("train/{}/02", "7_right"), ("train/{}/03", "8L"), ("test/{}/01", "8R")]
    for old, new in renamed:
        for kind in ("image", "mask"):
            file = root / f"{old.format(kind)}.png"
            file.rename(file.with_name(f"{new}.png"))
    said = as_object(root)
    assert said["patients"] == [["7_left.png", "7_right.png"], ["8R.png", "8L.png"]]
    messages = [f["message"] for f in said["findings"] if f["kind"] == "patients"]
    assert messages[0] == "test/image/8R.png and train/image/8L.png are of one person; put both into one part"
    assert messages[1].startswith("names of 2 pairs differ in left and right only (as 7_left.png, 7_right.png)")


class Page(HTMLParser):
    """What a page asks for and shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.said += data


def test_the_page_is_one_file_that_asks_for_nothing(sample: Path, tmp_path: Path) -> None:
    name = "<script>alert(1)<-script>&"
    for kind in ("image", "mask"):
        (sample / "test" / kind / "02.png").rename(sample / "test" / kind / f"{name}.png")
    shutil.copy(sample / "train" / "image" / "09.png", sample / "test" / "image" / f"{name}.png")
    out = tmp_path / "pages" / "check.html"
    result = check(sample, "--report", str(out))
    assert result.exit_code == 1
    assert [f.name for f in out.parent.iterdir()] == ["check.html"]
    page = Page(out.read_text())
    assert "script" not in page.tags
    assert page.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert "http" not in out.read_text()
    assert f"test/{name}" in page.said
    assert page.tags.count("img") == 3 + 4 + 4 + 5  # the pair and the second turned back; three groups
    assert "mirrored left to right, correlation" in page.said


def test_a_suspicious_pair_is_told_and_shown_and_is_no_error(sample: Path) -> None:
    from unetsweep.app.data_page import page

    seen = inspect(sample)
    doubt = Match("train/01", "test/01", 0.55, "turned by 3.0 degrees")
    object.__setattr__(seen, "duplicates", Duplicates(seen.duplicates.groups, seen.duplicates.matches, (doubt,)))
    (told,) = [finding for finding in findings(seen) if finding.kind == "suspicious"]
    assert (told.level, told.where) == ("warning", "test/image/01.png")
    assert "Suspicious pairs" in Page(page(seen, [told])).said


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "check.html"
    out.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        check(sample, "--no-cache", "--report", str(out))
    assert out.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir() if f.suffix != ".html" and f.is_file()] == []


@needs_chase
def test_chase_db1_has_no_copies_and_14_persons() -> None:
    said = as_object(CHASE)
    assert (said["train"], said["test"], len(said["groups"]), len(said["patients"])) == (20, 8, 20, 14)
    assert said["random_split_leak"] == 0
    assert kinds(said) == [("note", "patients", "")]
