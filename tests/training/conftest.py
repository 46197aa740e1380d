from pathlib import Path

import pytest
import training_scenes


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training images (six train, two validate) and three test images of 32 x 32."""
    return training_scenes.write_images(tmp_path_factory.mktemp("images") / "set")
