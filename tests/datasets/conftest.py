"""A separate duplicate cache for the tests, and a small sample dataset."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from unetsweep.datasets.sample import draw_sample


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three training eyes with four images each, and three test eyes. Do not write into it."""
    root = tmp_path_factory.mktemp("drawn") / "sample"
    draw_sample(root, size=128, eyes=3, test_eyes=3)
    return root
