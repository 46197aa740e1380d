"""Fixtures for tests that train our own trainer: synthetic eyes, and a workspace with them."""

import shutil
import sys
from pathlib import Path

import forks
import pytest
from local_sweeps import Workspace


@pytest.fixture(scope="session")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 training images of four eyes and 4 test images, of 64x64. All tests share it, so copy it before a change."""
    folder = tmp_path_factory.mktemp("eyes") / "eyes"
    command = [sys.executable, "-m", "unetsweep", "data", "sample", folder, "--size", "64", "--eyes", "4"]
    forks.run(command).check_returncode()
    return folder


@pytest.fixture
def workspace(tmp_path: Path, eyes: Path) -> Workspace:
    """A workspace with its own copy of the eyes. Tests with the trainer of a few lines make their own workspace."""
    shutil.copytree(eyes, tmp_path / "eyes")
    return Workspace(tmp_path)
