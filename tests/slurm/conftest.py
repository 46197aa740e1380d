"""Fixtures of a real SLURM on this machine. Tests ask for `cluster`; each worker starts each variant at most once."""

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bed import TESTBED, free_port
from slurm_cluster import Cluster, wait_for

from unetsweep.core import paths
from unetsweep.core.ports import Submission
from unetsweep.core.spec import Resources

HERE = Path(__file__).parent
SBIN = f"/usr/sbin:/sbin:{os.environ['PATH']}"


@pytest.fixture(scope="session")
def testbeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Cluster]]:
    """Returns the cluster of a variant, which is started on free ports at the first call and kept for the session."""
    running: dict[str, Cluster] = {}
    with contextlib.ExitStack() as stack:

        def testbed(variant: str) -> Cluster:
            if variant not in running:
                folder = tmp_path_factory.mktemp(f"testbed-{variant}")
                running[variant] = stack.enter_context(_testbed(variant, folder))
            return running[variant]

        yield testbed


@contextlib.contextmanager
def _testbed(variant: str, folder: Path) -> Iterator[Cluster]:
    needed = ["slurmctld", "slurmd", "munged", "sbatch"] + ["slurmdbd", "mariadbd"] * (variant == "dbd")
    missing = [name for name in needed if shutil.which(name, path=SBIN) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: see slurm/testbed/README.md")
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    variables = {"TESTBED_VARIANT": variant, "TESTBED_DIR": str(folder), "TESTBED_PORT": str(free_port())}
    started = subprocess.run(
        [TESTBED / "start"], env=outer | variables, check=False, capture_output=True, text=True, timeout=120
    )
    assert started.returncode == 0, started.stderr
    try:
        yield Cluster(variant, folder)
    finally:
        subprocess.run([TESTBED / "stop"], env=outer | variables, check=True, capture_output=True, timeout=120)


@pytest.fixture
def cluster(
    request: pytest.FixtureRequest, testbeds: Callable[[str], Cluster], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """The worker's cluster, with the environment of a user's shell. It has no accounting, unless a test asks for it
    (`slurm_cluster.with_accounts`) or TESTBED_VARIANT=dbd. Jobs that a test leaves in the queue are cancelled."""
    found = testbeds(getattr(request, "param", os.environ.get("TESTBED_VARIANT", "none")))
    for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", str(found.conf))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
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
