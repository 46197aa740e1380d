"""Fixtures of a real SLURM on this machine. Tests ask for `cluster`; each worker starts each variant at most once."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import forks
import pytest
from slurm_cluster import Cluster, started_cluster, use, wait_for

from unetsweep.core import paths
from unetsweep.core.ports import Submission
from unetsweep.core.spec import Resources

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def testbeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Cluster]]:
    """Returns the cluster of a variant, which is started on free ports at the first call and kept for the session."""
    running: dict[str, Cluster] = {}
    with contextlib.ExitStack() as stack:

        def testbed(variant: str) -> Cluster:
            if variant not in running:
                folder = tmp_path_factory.mktemp(f"testbed-{variant}")
                running[variant] = stack.enter_context(started_cluster(folder, variant))
            return running[variant]

        yield testbed


@pytest.fixture
def cluster(
    request: pytest.FixtureRequest, testbeds: Callable[[str], Cluster], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """The worker's cluster, with the environment of a user's shell. It has no accounting, unless a test asks for it
    (`slurm_cluster.with_accounts`) or TESTBED_VARIANT=dbd. Jobs that a test leaves in the queue are cancelled."""
    monkeypatch.setenv(forks.WHOLE_COPY, "1")  # jobs run the copies of the package
    found = testbeds(getattr(request, "param", os.environ.get("TESTBED_VARIANT", "none")))
    use(found, monkeypatch)
    yield found
    left = found.run("squeue", "--me", "-h", "-o", "%A").split()
    if left:
        found.run("scancel", "--quiet", *left)
        wait_for(lambda: not found.run("squeue", "--me", "-h"), 60)  # the next test starts with an empty queue


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the modules beside this file importable in a job."""
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{HERE}:{path}" if path else str(HERE))


@pytest.fixture
def make(cluster: Cluster, tmp_path: Path) -> Callable[..., Submission]:
    """Makes submissions, each with its folder, in a sweep directory that has a space in its path."""

    def submission(elements: int = 1, throttle: int | None = None, **resources: object) -> Submission:
        sweep_dir = tmp_path / "my results"
        token = secrets.token_hex(6)
        (sweep_dir / paths.submission(token)).mkdir(parents=True)
        wanted = Resources(**({"time_min": 5, "mem": "200M"} | resources))
        return Submission(token, "grid", sweep_dir, elements, wanted, throttle, jobs_reconcile=False)

    return submission


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for the notes of test jobs (`slurm_payloads.Note`)."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder
