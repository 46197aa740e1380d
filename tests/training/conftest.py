"""Fixtures of the tests of training: one thread, a small set of images, and two uninterrupted trainings."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import training_scenes


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """One thread, as in a training: several threads would wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training images (six train, two validate) and three test images of 32 x 32."""
    return training_scenes.write_images(tmp_path_factory.mktemp("images") / "set")


@pytest.fixture(scope="session")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training of four epochs with milestones 3 and 4."""
    config = training_scenes.config(root, **training_scenes.FOUR)
    out = tmp_path_factory.mktemp("whole") / "out"
    return training_scenes.trained(out, config, milestones=training_scenes.MILESTONES)


@pytest.fixture(scope="session")
def pair(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training of `whole` with two processes."""
    config = training_scenes.config(root, **training_scenes.FOUR, processes=2)
    out = tmp_path_factory.mktemp("pair") / "out"
    return training_scenes.trained(out, config, size=2, milestones=training_scenes.MILESTONES)
