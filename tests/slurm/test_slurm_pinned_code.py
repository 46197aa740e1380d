"""On a real SLURM: an edit of the checkout changes neither queued jobs nor the jobs that those submit."""

import os
import shutil
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from slurm_sweeps import TPE, TRAINER, unetsweep, until, until_ended

from unetsweep.store import code_snapshot

pytestmark = pytest.mark.slurm

PACKAGE = Path(code_snapshot.__file__).parents[1]
SEARCH = TPE.replace("trials: 6", "trials: 3").replace("parallel: 2", "parallel: 1")


def break_package(package: Path) -> None:
    """Overwrite every module, so that any import of this copy fails."""
    for path in package.rglob("*.py"):
        path.write_text("raise SystemExit('this checkout is being worked on')")


def test_an_edit_of_the_checkout_changes_no_queued_job(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    checkout = tmp_path / "checkout" / "unetsweep"
    shutil.copytree(PACKAGE, checkout, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "trainer.py").write_text(TRAINER.replace("SLEEP", "3"))
    (tmp_path / "tpe.yaml").write_text(SEARCH)
    monkeypatch.chdir(tmp_path)
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", str(checkout.parent))
    unetsweep("submit", "tpe.yaml")
    until(Path("trained.log").exists)
    break_package(checkout)
    shutil.copytree(checkout, tmp_path / "unetsweep")  # the working directory of the jobs
    monkeypatch.delenv("PYTHONPATH") if path is None else monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # or the `status` of this test would import the broken copy
    results = until_ended("tpe")
    assert [result["state"] for result in results] == ["complete"] * 3
    logs = [log.read_text() for log in Path("results/tpe/submissions").glob("*/*.out")]
    assert len(logs) == 3
    assert not any("being worked on" in log for log in logs)
