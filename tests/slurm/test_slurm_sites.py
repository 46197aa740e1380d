"""Searches on clusters as different sites run them, with nobody at a terminal."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sites
from slurm_cluster import Cluster, started_cluster, use

pytestmark = pytest.mark.slurm
WRAPPERS = Path(__file__).parent / "wrappers"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cluster]]:
    """Starts a cluster of its own for this test and uses it: `start(variant, **variables of the testbed)`."""
    with contextlib.ExitStack() as stack:

        def start(variant: str = "none", **variables: str) -> Cluster:
            cluster = stack.enter_context(started_cluster(tmp_path / "site", variant, **variables))
            use(cluster, monkeypatch)
            return cluster

        yield start


def test_a_search_ends_where_wrappers_change_what_the_commands_say_and_jobs_get_no_environment(
    workspace: Path, start: Callable[..., Cluster]
):
    cluster = start()
    sites.search(cluster, workspace, wrappers=WRAPPERS)
    assert (cluster.dir / "calls-sbatch").read_text().count("\n") >= 4  # every third failed after it had submitted


def test_a_search_where_a_qos_accepts_three_jobs_of_a_user_and_no_job_may_take_longer_than_a_minute(
    start: Callable[..., Cluster], workspace: Path
):
    partition = "PartitionName=main Nodes=ALL Default=YES MaxTime=1 DefaultTime=1 State=UP"
    cluster = start("dbd", TESTBED_SET=partition)
    cluster.run("sacctmgr", "-i", "-Q", "add", "qos", "few", "MaxSubmitJobsPerUser=3")
    me = cluster.run("id", "-un").strip()
    cluster.run("sacctmgr", "-i", "-Q", "modify", "user", me, "set", "qos+=few")
    printed = sites.search(cluster, workspace, "time: 1m, mem: 200M, qos: few")
    assert "1 trial waits: the cluster accepts no more jobs now" in printed
    assert not list(Path("results/search/runs").glob("*/attempts/*.lost.json"))  # nothing was refused


ONLY_TYPED_GPUS = """#!/bin/bash
for argument; do [ -f "$argument" ] && script=$argument; done
grep -q -- '--gres=gpu:a100:1' "$script" && exec SBATCH "$@"
echo "sbatch: error: job_submit/lua: ask for a GPU of a type" >&2
echo "sbatch: error: Batch job submission failed: Unspecified error" >&2
exit 1
"""
"""A site's plugin that refuses every job without a GPU of a type, so also a reconciler job with one CPU."""


def test_a_search_ends_where_every_job_must_ask_for_a_gpu_of_a_type(
    workspace: Path, start: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cluster = start(TESTBED_GPU_TYPES="a100 h100", TESTBED_GPUS="2")
    wrapper = tmp_path / "bin" / "sbatch"
    wrapper.parent.mkdir()
    wrapper.write_text(ONLY_TYPED_GPUS.replace("SBATCH", shutil.which("sbatch") or ""))
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    printed = sites.search(cluster, workspace, "time: 5m, mem: 200M, gpus: 1, sbatch: {gres: 'gpu:a100:1'}")
    assert "warning" not in printed
    assert list(Path("results/search/reconcilers").glob("*.job.json")), "no reconciler job was accepted"
    nodes = set(cluster.run("squeue", "--me", "-h", "--states=all", "--format=%N").split())
    assert nodes <= {"n1", "n3"}, "a job ran where no a100 is"


@pytest.mark.parametrize("option", ["gpus-per-node", "gres", "gpus-per-task"])
def test_a_search_asks_for_gpus_of_a_type_in_each_spelling(option: str, workspace: Path, start: Callable[..., Cluster]):
    cluster = start(TESTBED_GPU_TYPES="a100 h100", TESTBED_GPUS="2")
    sites.search(cluster, workspace, f"time: 5m, mem: 200M, gpus: 'h100:1', gpu_option: {option}")
    nodes = set(cluster.run("squeue", "--me", "-h", "--states=all", "--format=%N").split())
    assert nodes <= {"n2", "n4"}, "a job ran where no h100 is"
