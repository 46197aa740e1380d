"""Searches on clusters as different sites run them, with nobody at a terminal."""

import contextlib
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
    assert (cluster.dir / "calls-sbatch").read_text().count("\n") >= 6  # every third failed after it had submitted


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
