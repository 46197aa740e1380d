"""The fault campaign in short: some faults each time and the others in turn, without accounting; with it those that ask
the accounts. `python tests/faults` causes all of them."""

import shutil
import sys

import pytest
from bed import SBIN
from campaign import Case, beside, cases_of, line_of
from turns import ASKED, CORE, HEAVY, LIGHT, chosen, told, turn_now

pytestmark = pytest.mark.slurm

LANES = {"none": 3, "dbd": 1}
TURN = turn_now()
"""Asked once: midnight may come."""


@pytest.fixture(scope="session")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Case]:
    """All cases, by testbeds side by side."""
    needed = ("slurmctld", "slurmd", "munged", "slurmdbd", "mariadbd")
    missing = [program for program in needed if shutil.which(program, path=SBIN) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: see slurm/testbed/README.md")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{told(TURN)}", file=sys.stderr, flush=True)  # what a worker of pytest-xdist prints is lost
    results = tmp_path_factory.mktemp("faults") / "results.jsonl"
    broken = beside({"none": [*CORE, *chosen(TURN)], "dbd": list(ASKED)}, LANES, 1, results)
    assert not broken, f"{broken} lanes broke: their words are above"
    return {(case["variant"], case["kind"]): case for case in cases_of(results)}


def assert_kept(case: Case) -> None:
    if "left_out" in case:
        pytest.skip(case["left_out"])
    assert case["kept"], f"{line_of(case)}\n{case}\n{told(TURN)}"


@pytest.mark.parametrize("name", CORE)
def test_nothing_is_lost_and_nothing_is_done_twice(name: str, made: dict[tuple[str, str], Case]) -> None:
    assert_kept(made["none", name])


@pytest.mark.parametrize("place", range(LIGHT + HEAVY))  # and not names: all workers collect the same at midnight
def test_nothing_is_lost_or_done_twice_by_the_faults_whose_turn_it_is(
    place: int, made: dict[tuple[str, str], Case]
) -> None:
    assert_kept(made["none", chosen(TURN)[place]])


@pytest.mark.parametrize("name", ASKED)
def test_nothing_is_lost_and_nothing_is_done_twice_where_there_is_accounting(
    name: str, made: dict[tuple[str, str], Case]
) -> None:
    assert_kept(made["dbd", name])
