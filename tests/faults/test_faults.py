"""The fault campaign in short: each fault once without accounting, and those with it that ask the accounts."""

import shutil

import pytest
from bed import SBIN
from campaign import Case, beside, cases_of, line_of
from kinds import KINDS

pytestmark = pytest.mark.slurm

ASKED = ("scancel of a job", "node set down", "out of memory", "kill -9 of the rank", "the accounting away")
"""What the accounting is asked about."""
NONE = [name for name in KINDS if "dbd" not in KINDS[name].needs]
CASES = [("none", name) for name in NONE] + [("dbd", name) for name in ASKED]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Case]:
    """All cases, by four testbeds side by side."""
    needed = ("slurmctld", "slurmd", "munged", "slurmdbd", "mariadbd")
    missing = [program for program in needed if shutil.which(program, path=SBIN) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: see slurm/testbed/README.md")
    results = tmp_path_factory.mktemp("faults") / "results.jsonl"
    base = ["--rounds", "1", "--results", str(results)]
    shares = [("none", NONE[k::3]) for k in range(3)] + [("dbd", list(ASKED))]
    beside([*base, "--variant", variant, "--exactly", *names] for variant, names in shares)
    return {(case["variant"], case["kind"]): case for case in cases_of(results)}


@pytest.mark.parametrize(("variant", "name"), CASES, ids=[" ".join(case) for case in CASES])
def test_nothing_is_lost_and_nothing_is_done_twice(variant: str, name: str, made: dict[tuple[str, str], Case]) -> None:
    case = made[variant, name]
    if "left_out" in case:
        pytest.skip(case["left_out"])
    assert case["kept"], f"{line_of(case)}\n{case}"
