"""Synthetic eyes for what is trained for real."""

import shutil
import sys
from pathlib import Path

import forks
import pytest
from local_sweeps import Place


@pytest.fixture(scope="session")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 training images of four eyes, and 4 test images, of 64x64. It is everybody's: copy it to change it."""
    folder = tmp_path_factory.mktemp("eyes") / "eyes"
    words = [sys.executable, "-m", "unetsweep", "data", "sample", folder, "--size", "64", "--eyes", "4"]
    forks.run(words).check_returncode()
    return folder


@pytest.fixture
def place(tmp_path: Path, eyes: Path) -> Place:
    """A place with eyes of its own. Sweeps of a trainer of a few lines need none, and make their own place."""
    shutil.copytree(eyes, tmp_path / "eyes")
    return Place(tmp_path)
