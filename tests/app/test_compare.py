"""`report A B`: which sweeps are compared."""

import json
from pathlib import Path

import pytest
from small_sweeps import end, make_sweep

from unetsweep.app.compare import MOST_SWEEPS, compare_sweeps
from unetsweep.errors import UsageError
from unetsweep.records import DataFile
from unetsweep.report.formats import Format


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The sweeps `one` and `two`, with other validation images and a common point."""
    for name, score in (("one", 0.5), ("two", 0.75)):
        directory = make_sweep(tmp_path, name, (8, 16))
        directory.pin_images(DataFile({"train": {}, "val": {"1": name}, "test": {}}))
        end(directory, 0, "7", score)
    return tmp_path


def test_two_sweeps_are_read_with_their_images_and_costs(results: Path) -> None:
    found = json.loads(compare_sweeps(["one", "two"], results, Format.JSON))
    assert [(row["sweep"], row["score"], row["open"], row["hours"]) for row in found["sweeps"]] == [
        ("one", 0.5, 1, 0.0),
        ("two", 0.75, 1, 0.0),
    ]
    assert [row["difference"] for row in found["points"]] == [0.25]
    assert "different validation images" in found["warnings"][0]


def test_two_sweeps_with_one_name_are_named_by_their_folders(results: Path, tmp_path: Path) -> None:
    other = make_sweep(tmp_path / "elsewhere", "one", (8,))
    end(other, 0, "7", 0.6)
    found = json.loads(compare_sweeps(["one", str(other.root)], results, Format.JSON))
    assert [row["sweep"] for row in found["sweeps"]] == [str(results / "one"), str(other.root)]


def test_damaged_images_are_warned_about_and_not_called_different(results: Path) -> None:
    (results / "two" / "data.json").write_text("{")
    found = json.loads(compare_sweeps(["one", "two"], results, Format.JSON))
    assert any(each.startswith("two: ") and "data.json" in each for each in found["warnings"])
    assert not any("different validation" in each for each in found["warnings"])


def test_the_same_sweep_twice_is_refused(results: Path) -> None:
    with pytest.raises(UsageError, match=r"found one and .*one, which are the same sweep"):
        compare_sweeps(["one", str(results / "one")], results, Format.TABLE)


def test_too_many_sweeps_are_refused(results: Path) -> None:
    for at in range(MOST_SWEEPS):
        make_sweep(results, f"more{at}", (8,))
    with pytest.raises(UsageError, match="found 9 sweeps; a report compares at most 8"):
        compare_sweeps(["one", *(f"more{at}" for at in range(MOST_SWEEPS))], results, Format.TABLE)


def test_an_unknown_sweep_is_named(results: Path) -> None:
    with pytest.raises(UsageError, match="tow"):
        compare_sweeps(["one", "tow"], results, Format.TABLE)
