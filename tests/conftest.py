"""How the tests are dealt out to the workers of pytest-xdist, and what holds for all of them."""

import os
from typing import Any

import forks
import pytest
from hypothesis import HealthCheck, settings

collect_ignore_glob = ["conftest.py", "*/conftest.py"]
"""Of doctest, which would import each a second time."""

EXAMPLES = "HYPOTHESIS_EXAMPLES"
"""Variable: how many examples a property is tried with, where it does not say so itself."""

settings.register_profile(
    "tests",
    max_examples=int(os.environ.get(EXAMPLES, "50")),
    deadline=None,  # a machine that is busy is no fault
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")

FOLDERS = ("tests/training", "tests/faults")
"""Each is a group of its own: one server of forks for all trainings of tests/training; one campaign."""
FIRST = (
    *("tests/faults", "tests/slurm/test_slurm_training.py", "accounting"),
    *("tests/training", "tests/docs/test_docs.py", "tests/cli/test_shared.py", "tests/cli/test_confirm.py"),
)
"""What takes longest must not begin last."""


def group_of(nodeid: str) -> str:
    """The tests of a group run on one worker, one after the other: those of a file, so that its fixtures are made once;
    those of some folders; and those on a SLURM with accounting, which is started once."""
    path, _, name = nodeid.partition("::")
    if path.startswith("tests/slurm/") and "[dbd" in name:
        return "accounting"
    return next((folder for folder in FOLDERS if path.startswith(f"{folder}/")), path)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # its workers share the servers that tests fork from
        forks.share()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whole groups to each worker. (xdist's own marks for groups do nothing with pytest 9.2 and xdist 3.8.)"""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups first, then files that train."""
    trains = {group_of(item.nodeid) for item in items if item.get_closest_marker("train")}
    ranks = {name: at for at, name in enumerate(FIRST)}

    def rank(item: pytest.Item) -> int:
        group = group_of(item.nodeid)
        return ranks.get(group, len(FIRST) + (group not in trains))

    items.sort(key=rank)
