"""`unetsweep init` on a real SLURM: the profile has the partition that sinfo lists, and the sweep runs as written."""

from pathlib import Path

import pytest
from slurm_cluster import Cluster, with_and_in_test_all_without
from slurm_sweeps import unetsweep, until_ended

from unetsweep.config.load import load

pytestmark = pytest.mark.slurm

PROGRAM = """\
import json, sys

json.dump({"score": float(sys.argv[1])}, open(sys.argv[2] + "/result.json", "w"))
"""


@with_and_in_test_all_without
def test_the_profile_and_the_sweep_that_init_writes_are_submitted_unchanged(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("fit.py").write_text(PROGRAM)
    unetsweep("init", "--trainer", "python3 fit.py {sigma} {out}", "--metric", "score", "--direction", "maximize")
    unetsweep("validate", "fit.yaml")
    slurm = load(Path("fit.yaml")).slurm

    assert (tmp_path / ".config" / "unetsweep" / f"{slurm.profile}.yaml").is_file()
    assert (slurm.profile, slurm.partition, slurm.gpus) == ("testbed", "main", 1)
    unetsweep("submit", "fit.yaml")
    assert {result["state"] for result in until_ended("fit")} == {"complete"}
