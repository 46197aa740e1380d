"""A running SLURM testbed, and functions that wait for what its jobs do."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bed import TESTBED, free_port

from unetsweep.core import paths
from unetsweep.core.observation import Job
from unetsweep.core.ports import Submission
from unetsweep.schedulers.slurm.scheduler import Slurm

with_accounts = pytest.mark.parametrize("cluster", ["dbd"], indirect=True)
with_and_without = pytest.mark.parametrize("cluster", ["none", "dbd"], indirect=True)
with_and_in_test_all_without = pytest.mark.parametrize(
    "cluster", [pytest.param("none", marks=pytest.mark.thorough), "dbd"], indirect=True
)
"""For tests that depend on the accounting; all others run without it. Only one worker starts a cluster with accounting
(`group_of` in tests/conftest.py), because that needs a database and takes seconds."""


@dataclass(frozen=True)
class Cluster:
    """A running testbed; SLURM_CONF points at it while a test runs."""

    variant: str
    """`none`: no accounting; `dbd`: sacct works."""
    dir: Path

    @property
    def conf(self) -> Path:
        return self.dir / "etc" / "slurm.conf"

    def pid(self, daemon: str) -> int:
        """The pid of `slurmctld`, `slurmd-n1`, …"""
        return int((self.dir / "pid" / f"{daemon}.pid").read_text())

    def run(self, *command: str) -> str:
        """The output of a client command; the test fails if the command fails."""
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def jobs(self, token: str) -> dict[str, Job]:
        """The jobs of a submission, by id."""
        return {job.job_id: job for job in Slurm(lambda _: print).jobs([token])}

    def wait(self, token: str, condition: Callable[[list[Job]], bool], seconds: float = 120.0) -> dict[str, Job]:
        """Wait until the submission has jobs and `condition` holds for them; return them by id."""
        end = time.monotonic() + seconds
        while True:
            found = self.jobs(token)
            if found and condition(list(found.values())):
                return found
            assert time.monotonic() < end, f"after {seconds} s: {found}"
            time.sleep(0.1)

    def wait_ended(self, token: str, seconds: float = 120.0) -> dict[str, Job]:
        """Wait until all jobs of the submission have ended."""
        return self.wait(token, lambda jobs: not any(job.state.is_live for job in jobs), seconds)

    def wait_running(self, token: str, seconds: float = 120.0) -> dict[str, Job]:
        """Wait until all jobs of the submission run."""
        return self.wait(token, lambda jobs: all(job.raw_state == "RUNNING" for job in jobs), seconds)


@contextlib.contextmanager
def started_cluster(folder: Path, variant: str = "none", **variables: str) -> Iterator[Cluster]:
    """A cluster on free ports, all of its files in `folder`; `variables` are those of slurm/testbed/README.md."""
    needed = ["slurmctld", "slurmd", "munged", "sbatch"] + ["slurmdbd", "mariadbd"] * (variant == "dbd")
    path = f"/usr/sbin:/sbin:{os.environ['PATH']}"
    missing = [name for name in needed if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: see slurm/testbed/README.md")
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    variables |= {"TESTBED_VARIANT": variant, "TESTBED_DIR": str(folder), "TESTBED_PORT": str(free_port())}
    started = subprocess.run(
        [TESTBED / "start"], env=outer | variables, check=False, capture_output=True, text=True, timeout=120
    )
    assert started.returncode == 0, started.stderr
    try:
        yield Cluster(variant, folder)
    finally:
        subprocess.run([TESTBED / "stop"], env=outer | variables, check=True, capture_output=True, timeout=120)


def use(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of this test use the cluster, with the environment of a user's shell."""
    for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until `condition` holds; fail the test after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not after {seconds} s"
        time.sleep(0.05)


def folder_of(submission: Submission) -> Path:
    """The folder of a submission in its sweep directory."""
    return submission.sweep_dir / paths.submission(submission.token)


def logs(submission: Submission) -> str:
    """Everything that the jobs of a submission printed."""
    return "\n".join(path.read_text() for path in sorted(folder_of(submission).glob("*_log.out")))


def log(submission: Submission, job_id: str, rank: int = 0) -> str:
    """What one process of a job printed."""
    return (submission.sweep_dir / paths.job_log(submission.token, job_id, rank)).read_text()
