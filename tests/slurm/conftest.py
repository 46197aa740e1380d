"""A real SLURM on this machine, one of each variant a session: `cluster` is the fixture to ask for."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bed import TESTBED, free_port
from slurm_cluster import Cluster

from unetsweep.core import layout
from unetsweep.core.ports import Submission
from unetsweep.core.spec import Resources

HERE = Path(__file__).parent
SBIN = f"/usr/sbin:/sbin:{os.environ['PATH']}"


@pytest.fixture(scope="session", params=["none", "dbd"])
def testbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this session's own, on ports that are free."""
    needed = ["slurmctld", "slurmd", "munged", "sbatch"] + ["slurmdbd", "mariadbd"] * (request.param == "dbd")
    missing = [name for name in needed if shutil.which(name, path=SBIN) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: see slurm/testbed/README.md")
    folder = tmp_path_factory.mktemp(f"testbed-{request.param}")
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    variables = {"TESTBED_VARIANT": request.param, "TESTBED_DIR": str(folder), "TESTBED_PORT": str(free_port())}
    started = subprocess.run(
        [TESTBED / "start"], env=outer | variables, check=False, capture_output=True, text=True, timeout=120
    )
    assert started.returncode == 0, started.stderr
    yield Cluster(request.param, folder)
    subprocess.run([TESTBED / "stop"], env=outer | variables, check=True, capture_output=True, timeout=120)


@pytest.fixture
def cluster(testbed: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The session's cluster, as a user's shell would know it; what a test leaves there is cancelled."""
    for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", str(testbed.conf))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    yield testbed
    left = testbed.run("squeue", "--me", "-h", "-o", "%A").split()
    if left:
        testbed.run("scancel", "--quiet", *left)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the modules beside this file importable in a job."""
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{HERE}:{path}" if path else str(HERE))


@pytest.fixture
def make(cluster: Cluster, tmp_path: Path) -> Callable[..., Submission]:
    """Submissions with a folder, in a sweep directory whose path has a space in it."""

    def submission(elements: int = 1, throttle: int | None = None, **resources: object) -> Submission:
        sweep_dir = tmp_path / "my results"
        token = secrets.token_hex(6)
        (sweep_dir / layout.submission(token)).mkdir(parents=True)
        wanted = Resources(**({"time_min": 5, "mem": "200M"} | resources))
        return Submission(token, "grid", sweep_dir, elements, wanted, throttle, relay=False)

    return submission


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder
