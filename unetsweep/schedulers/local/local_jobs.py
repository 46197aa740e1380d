"""Runs trainings as detached processes of this machine, each in a session and with a log of its own.

Rule 1: a job is its supervisor process, identified by boot, pid and start time, never by the pid alone.
Rule 2: the supervisor first writes its own record, so a submitter that is killed leaves no unknown job.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from unetsweep import process
from unetsweep.core import paths
from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import RefusedError, StateError
from unetsweep.process import Identity, boot_id
from unetsweep.record_files import link_record, read_record
from unetsweep.records import LocalJobFile, ProcessFile
from unetsweep.store.code_snapshot import with_code
from unetsweep.store.permissions import original_umask

JOBS = "jobs"
"""The folder with a file for each job id."""


class LocalJobs:
    """A `core.ports.Scheduler` for a machine without SLURM. It starts everything at once: the caller limits that."""

    kind = "local"
    queues = False

    def __init__(self, sweep_dir: Path) -> None:
        self._root = sweep_dir

    def max_elements(self) -> int:
        return 10_000  # no limit in practice: `run.parallel` is far lower

    def remaining_submissions(self, resources: Resources) -> int | None:
        return None

    def jobs(self, tokens: Collection[str]) -> Sequence[Job]:
        """The jobs whose supervisor has written its record."""
        found = []
        for token in tokens:
            for path in (self._root / paths.submission(token)).glob("*.process.json"):
                found.append(self._job(token, path))
        return found

    def _job(self, token: str, path: Path) -> Job:
        try:
            record = read_record(ProcessFile, path)
        except StateError:  # it is not known which process this is, so the job counts as alive
            index = int(path.name.partition(".")[0])
            return Job("?", token, index, JobState.UNRECOGNISED, f"{path} is unreadable: run `unetsweep repair`")
        ended = path.with_name(path.name.replace(".process.json", ".ended")).exists()
        state = JobState.ENDED if ended else _state(record)
        return Job(
            record.job_id, token, record.index, state, _RAW_STATES[state], suspended_for=_suspended_for(record, state)
        )

    def final_states(self, jobs: Mapping[str, str]) -> Mapping[str, tuple[JobState, str]]:
        return {}  # the records of supervisors stay, so `jobs` lists all of them

    def state_in_log(self, log: str) -> tuple[JobState, str] | None:
        return None

    def set_throttle(self, job_id: str, throttle: int | None) -> None:
        raise RefusedError("local trainings have no throttle")

    def submit_reconciler(self, request: ReconcilerRequest) -> str:
        raise RefusedError("local trainings need no reconciler job")

    def submit(self, submission: Submission) -> Sequence[str]:
        return [self._start(submission, index) for index in range(submission.elements)]

    def _start(self, submission: Submission, index: int) -> str:
        python = submission.resources.python
        if python is not None and shutil.which(python) is None:
            raise RefusedError(f"cannot start {python}: this machine has no such program; correct slurm.python")
        job_id = self._next_id(submission.token, index)
        command = process.program("unetsweep.worker", "supervise")
        command += [
            str(self._root),
            submission.token,
            str(index),
            job_id,
            "jobs" if submission.jobs_reconcile else "cli",
        ]
        log = log_path(self._root, submission.token, index)
        with log.open("ab") as stream:
            process.start(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._root,
                env=with_code(os.environ, submission.code),
                umask=original_umask(),
            )
        return job_id

    def _next_id(self, token: str, index: int) -> str:
        """Create the next job id of the sweep."""
        folder = self._root / JOBS
        folder.mkdir(exist_ok=True)
        number = max(paths.numbers_of(os.listdir(folder)), default=0)
        while True:
            number += 1
            if link_record(folder / f"{number}.json", LocalJobFile(token, index)):
                return str(number)

    def end(self, job_id: str) -> None:
        try:
            self._signal(job_id, signal.SIGUSR1)  # ranks dump their stacks; the supervisor ignores it
            time.sleep(1.0)
        finally:
            self.cancel([job_id])

    def cancel(self, job_ids: Collection[str]) -> None:
        for job_id in job_ids:
            self._signal(job_id, signal.SIGTERM)

    def _signal(self, job_id: str, number: signal.Signals) -> None:
        path = self._root / JOBS / f"{job_id}.json"
        if not path.exists():
            return
        job = read_record(LocalJobFile, path)
        record = process_path(self._root, job.token, job.index)
        identity = identity_of(read_record(ProcessFile, record)) if record.exists() else None
        if identity is not None and identity.is_alive():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(identity.pid, number)


_RAW_STATES = {
    JobState.RUNNING: "running",
    JobState.ENDED: "ended",
    JobState.NODE_FAILED: "lost when the machine was restarted",
    JobState.UNRECOGNISED: "started on another machine, where its processes cannot be checked from here",
}


def identity_of(record: ProcessFile) -> Identity:
    """The process that the record describes."""
    return Identity(record.boot, record.pid, record.start_ticks)


def _state(record: ProcessFile) -> JobState:
    """Return the state of the supervisor that wrote the record."""
    identity = identity_of(record)
    if identity.boot == boot_id():
        return JobState.RUNNING if identity.is_alive() else JobState.ENDED
    return JobState.NODE_FAILED if record.host == socket.gethostname() else JobState.UNRECOGNISED


def _suspended_for(record: ProcessFile, state: JobState) -> timedelta:
    """Return how long this machine has been suspended since a running job started."""
    if state is not JobState.RUNNING or record.suspended_s is None:
        return timedelta(0)
    return timedelta(seconds=max(0.0, process.suspended_seconds() - record.suspended_s))


def is_reconciling(root: Path) -> bool:
    """Whether the exit hook of a job runs on this machine, or its supervisor, which starts it."""
    in_order = ("supervise", "exit-hook")  # a supervisor that has just ended has started its exit hook
    return any(process.find_processes(each, str(root)) for each in in_order)


def process_path(root: Path, token: str, index: int) -> Path:
    """The record that a supervisor writes about itself."""
    return root / paths.submission(token) / f"{index}.process.json"


def ended_path(root: Path, token: str, index: int) -> Path:
    """The file that a supervisor writes when its training processes have exited; afterwards it only reconciles."""
    return root / paths.submission(token) / f"{index}.ended"


def log_path(root: Path, token: str, index: int) -> Path:
    return root / paths.element_log(token, index)
