"""A running testbed, and how a test waits for it."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from unetsweep.core import paths
from unetsweep.core.observation import Job
from unetsweep.core.ports import Submission
from unetsweep.schedulers.slurm.scheduler import Slurm

with_accounts = pytest.mark.parametrize("cluster", ["dbd"], indirect=True)
with_and_without = pytest.mark.parametrize("cluster", ["none", "dbd"], indirect=True)
"""For a test that sees something of the accounts; all others run without. One worker starts the cluster that has them
(`group_of` in tests/conftest.py): it takes seconds, and a database."""


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
        """Of `slurmctld`, `slurmd-n1`, …"""
        return int((self.dir / "pid" / f"{daemon}.pid").read_text())

    def run(self, *command: str) -> str:
        """A client command's output; fails the test where the command fails."""
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def jobs(self, token: str) -> dict[str, Job]:
        return {job.job_id: job for job in Slurm(lambda _: print).jobs([token])}

    def wait(self, token: str, fine: Callable[[list[Job]], bool], seconds: float = 120.0) -> dict[str, Job]:
        """The token's jobs as soon as there are some and `fine` says yes."""
        end = time.monotonic() + seconds
        while True:
            found = self.jobs(token)
            if found and fine(list(found.values())):
                return found
            assert time.monotonic() < end, f"after {seconds} s: {found}"
            time.sleep(0.1)

    def wait_ended(self, token: str, seconds: float = 120.0) -> dict[str, Job]:
        return self.wait(token, lambda jobs: not any(job.state.is_live for job in jobs), seconds)

    def wait_running(self, token: str, seconds: float = 120.0) -> dict[str, Job]:
        return self.wait(token, lambda jobs: all(job.raw_state == "RUNNING" for job in jobs), seconds)


def wait_for(fine: Callable[[], bool], seconds: float = 120.0) -> None:
    """Returns as soon as `fine` says yes."""
    end = time.monotonic() + seconds
    while not fine():
        assert time.monotonic() < end, f"not after {seconds} s"
        time.sleep(0.05)


def folder_of(submission: Submission) -> Path:
    return submission.sweep_dir / paths.submission(submission.token)


def logs(submission: Submission) -> str:
    """All that the submission's jobs printed."""
    return "\n".join(path.read_text() for path in sorted(folder_of(submission).glob("*_log.out")))


def log(submission: Submission, job_id: str, rank: int = 0) -> str:
    return (submission.sweep_dir / paths.slurm_log(submission.token, job_id, rank)).read_text()
