"""`unetsweep data check` reports everything at once: as text, as JSON and as a page."""

import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chase import CHASE, needs_chase
from click.testing import CliRunner, Result
from images_drawn import make_set, write

from unetsweep.app.data import DataCheck
from unetsweep.app.data_page import render_page
from unetsweep.cli.data import command
from unetsweep.contract import DataConfig
from unetsweep.datasets.duplicates_cache import Match
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


def json_report(root: Path, *options: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(check(root, "--json", *options).stdout)
    return report


def kinds(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(f["level"], f["kind"], f["where"]) for f in report["findings"]]


def test_a_sample_is_usable_and_its_duplicates_are_listed(sample: Path) -> None:
    result = check(sample)
    assert result.exit_code == 0
    assert "\ngroups   3 in train: 3 groups of 4\n" in result.stdout
    assert "\ngroups   2 in test: 2 single images\n" in result.stdout
    assert "01.png, 02.png (mirrored left to right), 03.png (mirrored top to bottom), 04.png (rotated" in result.stdout
    assert "data.split.groups: auto" in result.stdout
    assert result.stdout.endswith("\nusable\n")


def test_the_json_has_the_groups_of_groups_csv(sample: Path) -> None:
    report = json_report(sample)
    assert (report["schema"], report["train"], report["test"], report["root"]) == (1, 12, 2, str(sample))
    assert report["groups"] == [[f"{4 * eye + n:02d}.png" for n in range(1, 5)] for eye in range(3)]
    assert report["test_groups"] == [["01.png"], ["02.png"]]
    assert report["test_duplicates"] == report["suspicious"] == report["patients"] == []
    assert report["sizes"] == {"train": {"128x128": 12}, "test": {"128x128": 2}}
    assert report["random_split_leak"] == 1  # 3 of 12 validate, so never all 4 of an eye
    assert report["masks"]["grey_edged"] == report["masks"]["count"] == 14
    assert report["masks"]["vessel_share_above_0"] > 1.1 * report["masks"]["vessel_share_half"]
    assert kinds(report) == [("warning", "duplicates", "train"), ("warning", "mask-threshold", "")]
    assert "wider" in report["findings"][1]["message"]


def test_a_test_image_that_duplicates_a_training_image_is_an_error(sample: Path) -> None:
    image = cv2.imread(str(sample / "train" / "image" / "05.png"))
    rotation = cv2.getRotationMatrix2D((63.5, 63.5), 30, 1)
    write(sample / "test" / "image" / "02.png", cv2.warpAffine(image[:, ::-1].copy(), rotation, (128, 128)))
    assert check(sample).exit_code == 1
    report = json_report(sample)
    (duplicate,) = report["test_duplicates"]
    assert (duplicate["test"], duplicate["train"]) == ("02.png", "05.png")
    assert re.fullmatch(r"mirrored, then rotated by (29\.[5-9]|30\.[0-5]) degrees", duplicate["transform"])
    assert duplicate["correlation"] > 0.9
    assert kinds(report)[0] == ("error", "test-duplicates", "test/image/02.png")
    assert report["groups"][1] == ["05.png", "06.png", "07.png", "08.png"]


def test_all_problems_are_reported_at_once(sample: Path) -> None:
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
    assert "6 errors: fix before you use these images" in result.stdout
    assert set(kinds(json_report(sample))) >= {
        ("error", "layout", "train/image/03.png"),
        ("error", "unreadable", "train/image/01.png"),
        ("error", "unreadable", "train/mask/02.png"),
        ("error", "size", "test/mask/01.png"),
        ("warning", "empty-mask", "train/mask/04.png"),
        ("error", "full-mask", "train/mask/05.png"),
        ("error", "misplaced-mask", "train/mask/07.png"),
        ("warning", "identical-files", "train/image/07.png"),
    }


def test_a_missing_dataset_is_an_error(tmp_path: Path) -> None:
    result = check(tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "is not there; expected is" in result.stdout
    assert kinds(json_report(tmp_path / "nowhere")) == [("error", "layout", "")]


@pytest.mark.parametrize(("train", "images"), [(1, "1 image"), (2, "2 images")])
def test_a_dataset_that_cannot_be_split_is_not_usable(tmp_path: Path, train: int, images: str) -> None:
    root = make_set(tmp_path, train=train)
    if train == 2:
        for kind in ("image", "mask"):
            shutil.copy(root / "train" / kind / "01.png", root / "train" / kind / "02.png")
    result = check(root)
    assert result.exit_code == 1
    assert f"{images} of one eye or patient; training and validation need one each" in " ".join(result.stdout.split())
    assert ("error", "one-group", "train") in kinds(json_report(root))
    with pytest.raises(DataError, match="training and validation need one each"):
        divide(DataConfig(str(root)))


def test_names_that_are_not_utf8_are_reported_and_the_page_is_written(sample: Path, tmp_path: Path) -> None:
    home = tmp_path / os.fsdecode(b"caf\xe9")
    sample.rename(home)
    os.rename(home / "train/image/01.png", os.fsencode(home / "train/image") + b"/\xe9.png")
    result = check(home, "--report", str(tmp_path / "out.html"))
    assert result.exit_code == 1
    assert "its name is not UTF-8 text; rename it" in result.stdout
    page = (tmp_path / "out.html").read_text()
    assert "Duplicates of the same eye" in page
    assert "caf\\udce9</title>" in page
    assert ("error", "layout", "train/image/\\udce9.png") in kinds(json_report(home))


def test_only_the_user_can_read_the_page(sample: Path, tmp_path: Path) -> None:
    """It may show photographs of patients."""
    check(sample, "--report", str(tmp_path / "out.html"))
    assert (tmp_path / "out.html").stat().st_mode & 0o777 == 0o600


def test_several_sizes_and_a_mask_threshold(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    write(root / "train" / "image" / "01.png", np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8))
    write(root / "train" / "mask" / "01.png", np.full((40, 48), 7, np.uint8))
    report = json_report(root, "--mask-threshold", "5")
    assert report["masks"]["mask_threshold"] == 5
    assert ("warning", "sizes", "train") in kinds(report)
    assert ("warning", "full-mask", "train/mask/01.png") in kinds(report)
    assert ("warning", "empty-mask", "train/mask/01.png") in kinds(json_report(root))


def test_left_and_right_eyes_of_a_patient_are_reported(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    renamed = [("train/{}/01", "7_left"), ("train/{}/02", "7_right"), ("train/{}/03", "8L"), ("test/{}/01", "8R")]
    for old, new in renamed:
        for kind in ("image", "mask"):
            file = root / f"{old.format(kind)}.png"
            file.rename(file.with_name(f"{new}.png"))
    report = json_report(root)
    assert report["patients"] == [["7_left.png", "7_right.png"], ["8R.png", "8L.png"]]
    messages = [f["message"] for f in report["findings"] if f["kind"] == "patients"]
    assert messages[0] == "test/image/8R.png and train/image/8L.png are of one patient; put both into the same part"
    assert messages[1].startswith(
        "names of 2 pairs differ only in left and right (for example 7_left.png, 7_right.png)"
    )


class Page(HTMLParser):
    """The tags, sources and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_that_loads_nothing_else(sample: Path, tmp_path: Path) -> None:
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
    assert f"test/{name}" in page.text
    assert page.tags.count("img") == 14 + 3 + 4 + 4 + 5  # all images; the pair and the aligned image; three groups
    assert "mirrored left to right, correlation" in page.text


def test_a_suspicious_pair_is_a_warning_and_is_on_the_page(sample: Path) -> None:
    inspection = inspect(sample)
    doubtful = Match("train/01", "test/01", 0.55, "rotated by 3.0 degrees")
    inspection = replace(inspection, duplicates=replace(inspection.duplicates, suspicious=(doubtful,)))
    (finding,) = [finding for finding in findings(inspection) if finding.kind == "suspicious"]
    assert (finding.level, finding.where) == ("warning", "test/image/01.png")
    assert "Suspicious pairs" in Page(render_page(DataCheck(inspection, (finding,)))).text


def test_a_page_that_cannot_be_written_keeps_the_old_one(
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
def test_chase_db1_has_no_duplicates_and_14_patients() -> None:
    report = json_report(CHASE)
    assert (report["train"], report["test"], len(report["groups"]), len(report["patients"])) == (20, 8, 20, 14)
    assert report["random_split_leak"] == 0
    assert kinds(report) == [("note", "patients", "")]
