"""How the tests are distributed over the workers of pytest-xdist, and settings of all tests."""

import os
from collections.abc import Generator
from typing import Any

import forks
import pytest
from _pytest.doctest import DoctestModule
from hypothesis import HealthCheck, settings

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
    *("tests/training", "tests/docs", "tests/cli/test_shared.py"),
    *(f"tests/cli/test_{name}.py" for name in ("confirm", "local_sweep", "repair", "adopt", "pinned_code")),
    *("tests/reconcile/test_kill_anywhere.py", "tests/damage/test_damage.py"),
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
    forks.without_slow_files()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler that gives whole groups to workers: group marks have no effect with pytest 9.2 and xdist 3.8."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Search no test file for doctests: there are none, and it would import every module in these folders."""
    found = yield
    return [each for each in found if not isinstance(each, DoctestModule)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in the folder of the trainings, and sort: the longest groups first, then files that train."""
    for item in items:
        if item.nodeid.startswith("tests/training/"):
            item.add_marker("train")
    trains = {group_of(item.nodeid) for item in items if item.get_closest_marker("train")}
    ranks = {name: position for position, name in enumerate(FIRST)}

    def rank(item: pytest.Item) -> int:
        group = group_of(item.nodeid)
        return ranks.get(group, len(FIRST) + (group not in trains))

    items.sort(key=rank)
