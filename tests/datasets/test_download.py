"""`unetsweep data download`, with a stand-in for the package kagglehub.

These tests have no network. What they show is what this program does with the answers of `kagglehub.dataset_download`;
that Kaggle still distributes the set in this way they cannot show.
"""

import errno
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from images_drawn import make_set

from unetsweep.app import public_sets
from unetsweep.cli.data import command
from unetsweep.datasets.layout import find_pairs
from unetsweep.datasets.layout_advice import KAGGLE
from unetsweep.errors import DataError, DownloadError, UsageError


@pytest.fixture(autouse=True)
def _small_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_sets, "KAGGLE_COUNTS", {"train": 4, "test": 2})


def answer(monkeypatch: pytest.MonkeyPatch, result: Path | Exception) -> list[str]:
    """Let kagglehub return a folder or raise an error; return the names that it is asked for."""
    asked: list[str] = []

    def dataset_download(handle: str) -> str:
        asked.append(handle)
        if isinstance(result, Exception):
            raise result
        return str(result)

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=dataset_download))
    return asked


def download(to: Path) -> Result:
    return CliRunner().invoke(command, ["download", str(to)], catch_exceptions=False)


def test_the_set_is_downloaded_into_our_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_set(tmp_path / "cache" / "Data")
    asked = answer(monkeypatch, tmp_path / "cache")
    result = download(tmp_path / "retina")
    assert asked == [KAGGLE]
    assert "4 train and 2 test images of the set of 100 images, 13 new files (downloaded)" in result.stderr
    assert "DRIVE" in (tmp_path / "retina" / "README.md").read_text()
    pairs = find_pairs(tmp_path / "retina")
    assert {part: len(some) for part, some in pairs.items()} == {"train": 4, "test": 2}
    assert "all there already, nothing to do" in download(tmp_path / "retina").stderr


def test_without_kagglehub_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UsageError) as caught:
        download(tmp_path / "retina")
    assert "pip install 'unetsweep[kaggle]'" in str(caught.value)
    assert f"by hand: download https://www.kaggle.com/datasets/{KAGGLE}" in str(caught.value)


def test_without_a_network_it_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, ConnectionError("api.kaggle.com: name not known\nsecond line"))
    with pytest.raises(DownloadError) as caught:
        download(tmp_path / "retina")
    text = str(caught.value)
    for part in ("ConnectionError: api.kaggle.com: name not known)", "login node", "API token", "by hand: download"):
        assert part in text
    assert "\n" not in text
    assert caught.value.exit_status == 75
    assert not (tmp_path / "retina").exists()


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "/scratch/kaggle"),
        (PermissionError(errno.EACCES, "Permission denied", "/home/me/.cache"), "/home/me/.cache"),
    ],
)
def test_a_disk_that_cannot_be_written_is_no_matter_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, where: str
) -> None:
    monkeypatch.setenv("KAGGLEHUB_CACHE", "/scratch/kaggle")
    answer(monkeypatch, error)
    with pytest.raises(
        DownloadError, match=f"{where}: {error.strerror}.*set KAGGLEHUB_CACHE to another folder"
    ) as caught:
        download(tmp_path / "retina")
    assert "account" not in str(caught.value)


def test_a_download_that_holds_no_set_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    answer(monkeypatch, tmp_path / "cache")
    with pytest.raises(DataError, match="this is what was downloaded; remove this folder and repeat the command"):
        download(tmp_path / "retina")


def test_another_number_of_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, make_set(tmp_path / "cache", train=3))
    with pytest.raises(
        DataError, match="holds 3 train and 2 test images instead of 4 train and 2 test images; remove this folder"
    ):
        download(tmp_path / "retina")


def test_other_files_are_not_mixed_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, make_set(tmp_path / "cache"))
    make_set(tmp_path / "retina", train=5)
    with pytest.raises(DataError, match="holds other files"):
        download(tmp_path / "retina")
