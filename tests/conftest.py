"""How the tests are dealt out to the workers of pytest-xdist."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file run on one worker, so that its fixtures are made once; those of a group of their own too.

    Files that train come first: what takes long must not begin last.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    trains = {_group(item) for item in items if item.get_closest_marker("train")}
    items.sort(key=lambda item: _group(item) not in trains)


def _group(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    assert mark is not None
    return str(mark.args[0])
