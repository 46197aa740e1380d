"""A short fault campaign: the core faults in each run and the others in turn, without accounting; with accounting the
faults that depend on it. `python tests/faults` causes all of them."""

import shutil
import sys

import pytest
from bed import SBIN
from campaign import Case, cases_of, line_of, run_lanes
from turns import CORE, HEAVY, LIGHT, WITH_ACCOUNTING, current_turn, describe, kinds_of

pytestmark = pytest.mark.slurm

LANES = {"none": 3, "dbd": 1}
TURN = current_turn()
"""Taken once, because it changes at midnight."""


@pytest.fixture(scope="session")
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Case]:
    """All cases of this turn by variant and kind, run on parallel testbeds."""
    needed = ("slurmctld", "slurmd", "munged", "slurmdbd", "mariadbd")
    missing = [program for program in needed if shutil.which(program, path=SBIN) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: see slurm/testbed/README.md")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{describe(TURN)}", file=sys.stderr, flush=True)  # pytest-xdist loses what a worker prints to stdout
    results = tmp_path_factory.mktemp("faults") / "results.jsonl"
    failed = run_lanes({"none": [*CORE, *kinds_of(TURN)], "dbd": list(WITH_ACCOUNTING)}, LANES, 1, results)
    assert not failed, f"{failed} lanes failed; their output is above"
    return {(case["variant"], case["kind"]): case for case in cases_of(results)}


def assert_kept(case: Case) -> None:
    if "skipped" in case:
        pytest.skip(case["skipped"])
    assert case["kept"], f"{line_of(case)}\n{case}\n{describe(TURN)}"


@pytest.mark.parametrize("name", CORE)
def test_no_core_fault_loses_or_repeats_anything(name: str, cases: dict[tuple[str, str], Case]) -> None:
    assert_kept(cases["none", name])


@pytest.mark.parametrize("index", range(LIGHT + HEAVY))  # not by name: at midnight workers would collect other tests
def test_no_fault_of_this_turn_loses_or_repeats_anything(index: int, cases: dict[tuple[str, str], Case]) -> None:
    assert_kept(cases["none", kinds_of(TURN)[index]])


@pytest.mark.parametrize("name", WITH_ACCOUNTING)
def test_no_fault_loses_or_repeats_anything_with_accounting(name: str, cases: dict[tuple[str, str], Case]) -> None:
    assert_kept(cases["dbd", name])
