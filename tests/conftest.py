"""How the tests are distributed over the workers of pytest-xdist, and settings of all tests."""

import os
from typing import Any

import forks
import pytest
from hypothesis import HealthCheck, settings

collect_ignore_glob = ["conftest.py", "*/conftest.py"]
"""Not collected by doctest, which would import each a second time."""

EXAMPLES = "HYPOTHESIS_EXAMPLES"
"""The variable with the number of examples of a property that does not set its own."""

settings.register_profile(
    "tests",
    max_examples=int(os.environ.get(EXAMPLES, "50")),
    deadline=None,  # a busy machine must not fail a test
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")

FOLDERS = ("tests/training", "tests/faults", "tests/docs")
"""Each folder is one group: tests/training shares a fork server, tests/faults is one campaign, and the examples of the
pages share a folder."""
FIRST = (
    *("tests/faults", "tests/slurm/test_slurm_training.py", "accounting"),
    *("tests/training", "tests/docs", "tests/cli/test_shared.py", "tests/cli/test_confirm.py"),
)
"""The groups that take longest start first, or one worker would still run them when the others are done."""


def group_of(nodeid: str) -> str:
    """The group of a test, which runs on one worker.

    It is the file, so that fixtures are made once; the folder, if that is one of FOLDERS; or `accounting`, because the
    SLURM with accounting is started once."""
    path, _, name = nodeid.partition("::")
    if path.startswith("tests/slurm/") and "[dbd" in name:
        return "accounting"
    return next((folder for folder in FOLDERS if path.startswith(f"{folder}/")), path)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers share the fork servers
        forks.share()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler that gives whole groups to workers: group marks have no effect with pytest 9.2 and xdist 3.8."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests: the longest groups first, then files that train."""
    trains = {group_of(item.nodeid) for item in items if item.get_closest_marker("train")}
    ranks = {name: position for position, name in enumerate(FIRST)}

    def rank(item: pytest.Item) -> int:
        group = group_of(item.nodeid)
        return ranks.get(group, len(FIRST) + (group not in trains))

    items.sort(key=rank)
