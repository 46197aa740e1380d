"""The fault campaign in short: each fault once without accounting, and those with it that ask the accounts."""

import shutil
from pathlib import Path

import pytest
from bed import SBIN, Bed, free_port
from campaign import Case, line_of, run_one
from kinds import KINDS

pytestmark = pytest.mark.slurm

ASKED = ("scancel of a job", "node set down", "out of memory", "kill -9 of the rank", "the accounting away")
"""What the accounting is asked about."""
CASES = [("none", name) for name in KINDS if "dbd" not in KINDS[name].needs] + [("dbd", name) for name in ASKED]


@pytest.fixture(scope="module")
def beds(tmp_path_factory: pytest.TempPathFactory):
    """A testbed of each variant, as soon as somebody asks for it."""
    started: dict[str, Bed] = {}

    def bed(variant: str) -> Bed:
        if variant not in started:
            new = Bed(variant, tmp_path_factory.mktemp(variant), free_port())
            new.start()
            started[variant] = new
        return started[variant]

    yield bed
    for each in started.values():
        each.stop()


@pytest.mark.parametrize(("variant", "name"), CASES, ids=[" ".join(case) for case in CASES])
def test_nothing_is_lost_and_nothing_is_done_twice(variant: str, name: str, beds, tmp_path: Path):
    needed = ["slurmctld", "slurmd", "munged"] + ["slurmdbd", "mariadbd"] * (variant == "dbd")
    if any(shutil.which(program, path=SBIN) is None for program in needed):
        pytest.skip("SLURM is not installed: see slurm/testbed/README.md")
    case: Case = run_one(KINDS[name], 1, beds(variant), tmp_path)
    if "left_out" in case:
        pytest.skip(case["left_out"])
    assert case["kept"], f"{line_of(case)}\n{case}"
