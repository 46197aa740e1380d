"""Doctor on a real SLURM: what it says of a node is what the node did, and nothing of it stays."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import Cluster, wait_for, with_accounts

pytestmark = pytest.mark.slurm

SECONDS = 240
"""A bound, not a wait."""

_SITE_RULE = """\
#!/bin/bash
# a stand-in for a site's rule: no sbatch from compute nodes
if [ -n "${ON_A_NODE:-}" ]; then
  echo "sbatch: error: Batch job submission failed: Access/permission denied" >&2; exit 1
fi
exec "$REAL_SBATCH" "$@"
"""


def command(results: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "unetsweep", "doctor", "--results", str(results), "--json", *more]


def page(results: Path, *more: str, status: int = 0) -> dict[str, Any]:
    """The JSON of doctor; fails the test where it ends otherwise than with `status`."""
    done = subprocess.run(
        command(results, *more), capture_output=True, text=True, timeout=SECONDS + 60, check=False, cwd=results.parent
    )
    assert done.returncode == status, done.stderr + done.stdout
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def rows(said: dict[str, Any], section: str) -> dict[str, tuple[str, str]]:
    """Name -> verdict and finding."""
    return {row["name"]: (row["verdict"], row["finding"]) for row in said["rows"] if row["section"] == section}


def assert_nothing_left(cluster: Cluster, results: Path) -> None:
    assert not results.exists()
    assert cluster.run("squeue", "--me", "-h", "-o", "%A %j").split() == []


@with_accounts
def test_the_page_tells_what_a_node_did_and_nothing_of_it_stays(cluster: Cluster, tmp_path: Path):
    results = tmp_path / "my results"
    said = page(results, "--timeout", str(SECONDS))
    node = rows(said, "compute node")
    for name in ("test job", "python", "modules", "squeue", "scontrol", "sbatch", "requeue", "SIGUSR2"):
        assert node[name][0] == "ok", node
    assert "SLURM_RESTART_COUNT=1" in node["requeue"][1]
    assert rows(said, "accounting")["accounting"][0] == "ok"
    assert rows(said, "limits")["partitions"][1].startswith("main* (at most 7-00:00:00")
    assert any("driver: jobs" in line for line in said["advice"])
    assert_nothing_left(cluster, results)


def test_where_a_node_may_not_sbatch_watch_is_recommended_in_sbatch_s_words(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = subprocess.run(["which", "sbatch"], capture_output=True, text=True, check=True).stdout.strip()
    script = tmp_path / "bin" / "sbatch"
    script.parent.mkdir()
    script.write_text(_SITE_RULE)
    script.chmod(0o755)
    monkeypatch.setenv("REAL_SBATCH", real)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    (tmp_path / "site.yaml").write_text("setup: ['export ON_A_NODE=1']\n")
    said = page(tmp_path / "results", "--profile", str(tmp_path / "site.yaml"), "--timeout", str(SECONDS))
    verdict, finding = rows(said, "compute node")["sbatch"]
    assert verdict == "limited"
    assert "Batch job submission failed: Access/permission denied" in finding
    assert rows(said, "accounting")["accounting"][0] == "limited", "there is none"
    (line,) = [line for line in said["advice"] if "driver: cli" in line]
    assert "Access/permission denied" in line
    assert_nothing_left(cluster, tmp_path / "results")


def test_a_job_that_does_not_start_is_told_with_slurm_s_reason(cluster: Cluster, tmp_path: Path):
    (tmp_path / "late.yaml").write_text("sbatch: {begin: now+1hour}\n")
    said = page(tmp_path / "results", "--profile", str(tmp_path / "late.yaml"), "--timeout", "5")
    verdict, finding = rows(said, "compute node")["test job"]
    assert verdict == "unknown"
    assert finding.endswith("(BeginTime)")
    assert list(rows(said, "compute node")) == ["test job"]
    assert_nothing_left(cluster, tmp_path / "results")


def test_a_profile_that_sbatch_refuses_is_broken(cluster: Cluster, tmp_path: Path):
    (tmp_path / "wrong.yaml").write_text("partition: nowhere\n")
    said = page(tmp_path / "results", "--profile", str(tmp_path / "wrong.yaml"), status=1)
    assert rows(said, "limits")["partitions"][0] == "broken"
    verdict, finding = rows(said, "compute node")["test job"]
    assert (verdict, "nvalid partition" in finding) == ("broken", True)


def test_ctrl_c_takes_all_away(cluster: Cluster, tmp_path: Path):
    results = tmp_path / "results"
    (tmp_path / "late.yaml").write_text("sbatch: {begin: now+1hour}\n")
    process = subprocess.Popen(command(results, "--profile", str(tmp_path / "late.yaml")), stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: "unetsweep-doctor." in cluster.run("squeue", "--me", "-h", "-o", "%j"), 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert_nothing_left(cluster, results)
