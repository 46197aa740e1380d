"""Doctor on a real SLURM: it reports what a node can do, and leaves nothing behind."""

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
"""A bound for a busy machine; no test waits that long if it passes."""

_SITE_RULE = """\
#!/bin/bash
# imitates a site that forbids sbatch on compute nodes
if [ -n "${ON_A_NODE:-}" ]; then
  echo "sbatch: error: Batch job submission failed: Access/permission denied" >&2; exit 1
fi
exec "$REAL_SBATCH" "$@"
"""


def command(results: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "unetsweep", "doctor", "--results", str(results), "--json", *more]


def page(results: Path, *more: str, status: int = 0) -> dict[str, Any]:
    """Run doctor and return its JSON; fail the test if the exit status is not `status`."""
    done = subprocess.run(
        command(results, *more), capture_output=True, text=True, timeout=SECONDS + 60, check=False, cwd=results.parent
    )
    assert done.returncode == status, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(found: dict[str, Any], section: str) -> dict[str, tuple[str, str]]:
    """Verdict and finding of each row in a section, by name."""
    return {row["name"]: (row["verdict"], row["finding"]) for row in found["rows"] if row["section"] == section}


def assert_nothing_left(cluster: Cluster, results: Path) -> None:
    assert not results.exists()
    assert cluster.run("squeue", "--me", "-h", "-o", "%A %j").split() == []


@with_accounts
def test_doctor_reports_what_a_compute_node_can_do_and_leaves_nothing_behind(cluster: Cluster, tmp_path: Path):
    results = tmp_path / "my results"
    found = page(results, "--timeout", str(SECONDS))
    node = rows(found, "compute node")
    for name in ("test job", "python", "modules", "squeue", "scontrol", "sbatch", "requeue", "SIGUSR2"):
        assert node[name][0] == "ok", node
    assert "SLURM_RESTART_COUNT=1" in node["requeue"][1]
    assert rows(found, "accounting")["accounting"][0] == "ok"
    assert rows(found, "limits")["partitions"][1].startswith("main* (at most 7-00:00:00")
    assert any("driver: jobs" in line for line in found["advice"])
    assert_nothing_left(cluster, results)


def test_if_nodes_may_not_call_sbatch_driver_cli_is_recommended_with_sbatchs_message(
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
    found = page(tmp_path / "results", "--profile", str(tmp_path / "site.yaml"), "--timeout", str(SECONDS))
    verdict, finding = rows(found, "compute node")["sbatch"]
    assert verdict == "limited"
    assert "Batch job submission failed: Access/permission denied" in finding
    assert rows(found, "accounting")["accounting"][0] == "limited", "there is none"
    (line,) = [line for line in found["advice"] if "driver: cli" in line]
    assert "Access/permission denied" in line
    assert_nothing_left(cluster, tmp_path / "results")


def test_a_test_job_that_does_not_start_is_reported_with_slurms_reason(cluster: Cluster, tmp_path: Path):
    (tmp_path / "late.yaml").write_text("sbatch: {begin: now+1hour}\n")
    found = page(tmp_path / "results", "--profile", str(tmp_path / "late.yaml"), "--timeout", "5")
    verdict, finding = rows(found, "compute node")["test job"]
    assert verdict == "unknown"
    assert finding.endswith("(BeginTime)")
    assert list(rows(found, "compute node")) == ["test job"]
    assert_nothing_left(cluster, tmp_path / "results")


def test_a_profile_that_sbatch_refuses_is_reported_as_broken(cluster: Cluster, tmp_path: Path):
    (tmp_path / "wrong.yaml").write_text("partition: nowhere\n")
    found = page(tmp_path / "results", "--profile", str(tmp_path / "wrong.yaml"), status=1)
    assert rows(found, "limits")["partitions"][0] == "broken"
    verdict, finding = rows(found, "compute node")["test job"]
    assert (verdict, "nvalid partition" in finding) == ("broken", True)


def test_ctrl_c_cancels_and_removes_everything(cluster: Cluster, tmp_path: Path):
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
