"""The duplicate search is cached by the content of the images, and a bad cache is never an error."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from unetsweep.datasets import duplicates
from unetsweep.datasets.duplicates import find_duplicates
from unetsweep.datasets.layout import Pair, find_pairs


def no_decoder(*_: object) -> None:
    raise AssertionError("an image was decoded")


def test_a_second_search_decodes_nothing_whatever_the_files_are_called(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_duplicates(find_pairs(sample), tmp_path)
    monkeypatch.setattr(duplicates, "read_image", no_decoder)
    assert find_duplicates(find_pairs(sample), tmp_path) == first
    renamed = {
        part: [Pair(f"z{pair.name}", pair.image, pair.mask) for pair in pairs]
        for part, pairs in find_pairs(sample).items()
    }
    groups = [[name.replace("/", "/z") for name in group] for group in first.groups]
    assert [list(group) for group in find_duplicates(renamed, tmp_path).groups] == groups
    with pytest.raises(AssertionError, match="decoded"):
        find_duplicates({"train": find_pairs(sample)["train"]}, tmp_path)  # other contents, another key
    with pytest.raises(AssertionError, match="decoded"):
        find_duplicates(find_pairs(sample), tmp_path, use_cache=False)


def test_a_changed_file_is_compared_again(sample: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(sample, root)
    find_duplicates(find_pairs(root), tmp_path / "cache")
    shutil.copy(root / "test" / "image" / "01.png", root / "train" / "image" / "01.png")
    assert ("test/01", "train/01") in find_duplicates(find_pairs(root), tmp_path / "cache").groups
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(
    "spoil", ["corrupt", "empty", "foreign", "old", "strangers", "others", "huge", "nan", "low", "a folder"]
)
def test_a_cache_file_that_is_not_valid_is_replaced(sample: Path, tmp_path: Path, spoil: str) -> None:
    pairs = {"train": find_pairs(sample)["train"][:4]}
    first = find_duplicates(pairs, tmp_path)
    assert len(first.matches) == 3
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    raw = json.loads(text)
    raw["matches"] = []
    pair = [raw["images"][0], raw["images"][1]]

    def with_a(correlation: float) -> str:
        return json.dumps(raw | {"matches": [[*pair, correlation, "the same picture"]]})

    spoilt = {
        "huge": with_a(10**400),
        "nan": with_a(float("nan")),
        "low": with_a(0.1),
        "corrupt": text[: len(text) // 2],
        "empty": "",
        "foreign": "[1, 2]",
        "old": json.dumps(raw | {"method": 0}),
        "strangers": json.dumps(raw | {"matches": [["x", "y", 1.0, "the same picture"]]}),
        "others": json.dumps(raw | {"images": raw["images"][1:]}),
        "a folder": "",
    }
    file.unlink()
    if spoil == "a folder":
        file.mkdir()
    else:
        file.write_text(spoilt[spoil])
    assert find_duplicates(pairs, tmp_path) == first
    quarantined = [f"{file.name}.corrupt"] if spoil == "a folder" else []
    assert sorted(f.name for f in tmp_path.iterdir()) == [file.name, *quarantined]  # nothing half-written is left
    assert file.read_text() == text


def test_a_cache_that_cannot_be_written_is_no_error(sample: Path, tmp_path: Path) -> None:
    pairs = {"test": find_pairs(sample)["test"]}
    (tmp_path / "file").write_text("in the way")
    assert len(find_duplicates(pairs, tmp_path / "file" / "duplicates").groups) == 3
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert len(find_duplicates(pairs, closed).groups) == 3
    closed.chmod(0o700)


def test_the_cache_is_in_the_users_cache_folder(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {"test": find_pairs(sample)["test"]}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    find_duplicates(pairs)
    assert len(list((tmp_path / "xdg" / "unetsweep" / "duplicates").glob("*.json"))) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    find_duplicates(pairs)
    assert len(list((tmp_path / "home" / ".cache" / "unetsweep" / "duplicates").glob("*.json"))) == 1


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_user_without_a_home_has_no_cache(sample: Path, monkeypatch: pytest.MonkeyPatch, use_cache: bool) -> None:
    def no_home(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", no_home)
    assert len(find_duplicates({"test": find_pairs(sample)["test"]}, use_cache=use_cache).groups) == 3
