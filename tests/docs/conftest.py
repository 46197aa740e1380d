"""Fixtures of the tests of the documentation."""

import pytest
from workspace import Workspace, make_workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A folder in which the examples run; they share it, as a reader's folder is shared by the pages."""
    return make_workspace(tmp_path_factory.mktemp("docs"))
