"""The local scheduler: detached processes of this machine."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import forks
import pytest
from schedulers.scheduler_contract import Rig, SchedulerContract

from unetsweep import process
from unetsweep.atomic import write_json
from unetsweep.bounded_json import read_json
from unetsweep.contract import DataConfig, TrainerConfig, TrialConfig
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import RefusedError
from unetsweep.record_files import read_record, write_record
from unetsweep.records import ProcessFile
from unetsweep.schedulers.local.local_jobs import LocalJobs, identity_of, log_path, process_path
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.worker import supervisor

# supervisors outlive the test on purpose
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

WAITER = """\
import os, sys, time
while not os.path.exists(sys.argv[1] + "/go"):
    time.sleep(0.02)
open(sys.argv[1] + "/result.json", "w").write('{"val_iou": 0.5}')
"""


SWEEP = "{data: {root: images}, space: {epochs: [8], batch_size: [4], learning_rate: [1e-3]}"


class LocalRig(Rig):
    """A sweep with a trainer that waits for a file in its folder."""

    def __init__(self, folder: Path) -> None:
        self.directory = SweepDir(folder / "s")
        self.directory.create(SWEEP + "}", "local")
        self.scheduler: LocalJobs = LocalJobs(self.directory.root)
        script = folder / "waiter.py"
        script.write_text(WAITER)
        trainer = TrainerConfig(command=f"{sys.executable} -I -S {script} {{out}}")
        self.config = TrialConfig(DataConfig("images"), 8, 4, 1e-3, trainer=trainer)

    def submission(self, elements: int, resources: Resources | None = None) -> Submission:
        trials = self.directory.add_trials([self.config] * elements, {})
        wanted = [Element(trial, 1, ((trial, 8),)) for trial in trials]
        token, _ = self.directory.create_attempts(wanted, None, "local")
        root = self.directory.root
        return Submission(token, "s", root, elements, resources or Resources(), jobs_reconcile=False)

    def finish(self, submission: Submission, index: int) -> None:
        run, _ = self.directory.read_submission(submission.token).elements[index]
        (self.directory.root / f"runs/{run:04d}/go").touch()

    def record(self, submission: Submission) -> Path:
        return process_path(self.directory.root, submission.token, 0)

    def end(self) -> None:
        for path in self.directory.root.glob("submissions/*/*.process.json"):
            identity = identity_of(read_record(ProcessFile, path))
            if identity.is_alive():
                os.killpg(identity.pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "start", forks.start)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[LocalRig]:
    made = LocalRig(tmp_path)
    yield made
    made.end()


class TestLocalJobs(SchedulerContract):
    pass


def only(rig: LocalRig, submission: Submission) -> Job:
    (job,) = rig.jobs(submission).values()
    return job


@pytest.fixture
def running(rig: LocalRig) -> Submission:
    submission = rig.submission(1)
    rig.started(submission)
    return submission


def test_a_job_runs_in_its_own_session_and_writes_a_log(rig: LocalRig, running: Submission):
    pid = read_json(rig.record(running))["pid"]
    assert os.getsid(pid) == pid != os.getsid(0)
    rig.finish(running, 0)
    rig.wait(running, lambda jobs: not jobs[0].state.is_live)
    assert "claims 0000 as 1-0" in log_path(rig.directory.root, running.token, 0).read_text()


def test_a_job_has_ended_once_its_supervisor_is_killed(rig: LocalRig, running: Submission):
    os.kill(read_json(rig.record(running))["pid"], signal.SIGKILL)
    assert rig.wait(running, lambda jobs: not jobs[0].state.is_live)[0].state is JobState.ENDED


def test_no_rank_survives_its_supervisor_however_early_that_is_killed(rig: LocalRig):
    for delay in (0.0, 0.01, 0.03):
        submission = rig.submission(1)
        rig.started(submission)
        time.sleep(delay)
        os.kill(read_json(rig.record(submission))["pid"], signal.SIGKILL)
        until = time.monotonic() + 10
        while processes(submission.token):
            assert time.monotonic() < until, processes(submission.token)
            time.sleep(0.02)


def processes(word: str) -> list[str]:
    """The command lines of running processes that contain this word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if word in line]


def test_a_job_from_before_a_reboot_counts_as_lost_with_its_node(rig: LocalRig, running: Submission):
    record = read_json(rig.record(running))
    write_json(rig.record(running), {**record, "boot": "0" * 36})
    assert only(rig, running).state is JobState.NODE_FAILED
    write_json(rig.record(running), record)


def test_a_job_of_another_machine_counts_as_alive(rig: LocalRig, running: Submission):
    record = read_json(rig.record(running))
    write_json(rig.record(running), {**record, "boot": "0" * 36, "host": "n2"})
    job = only(rig, running)
    assert job.state is JobState.UNRECOGNISED
    assert "another machine" in job.raw_state
    write_json(rig.record(running), record)


def test_a_process_that_reuses_the_pid_of_a_job_is_never_killed(rig: LocalRig, running: Submission):
    record = read_json(rig.record(running))
    write_json(rig.record(running), {**record, "start_ticks": record["start_ticks"] + 1})
    assert only(rig, running).state is JobState.ENDED
    rig.scheduler.cancel([record["job_id"]])
    time.sleep(0.2)  # a signal would have arrived by then
    write_json(rig.record(running), record)
    assert only(rig, running).state is JobState.RUNNING


def test_a_missing_interpreter_is_refused_and_nothing_runs(rig: LocalRig):
    submission = rig.submission(2, Resources(python="/nowhere/python"))
    with pytest.raises(RefusedError, match=r"cannot start /nowhere/python: .*slurm\.python"):
        rig.scheduler.submit(submission)
    assert rig.jobs(submission) == {}


def test_setup_lines_run_before_the_training(rig: LocalRig):
    rig.directory.replace_spec(SWEEP + ", slurm: {setup: [echo the modules are loaded, export SCALE=2]}}")
    submission = rig.submission(1)
    rig.started(submission)
    rig.finish(submission, 0)
    rig.wait(submission, lambda jobs: not jobs[0].state.is_live)
    output = log_path(rig.directory.root, submission.token, 0).read_text().splitlines()
    assert output[0] == "the modules are loaded"


def test_the_exit_of_a_job_is_recorded_before_its_end_is_listed(rig: LocalRig, running: Submission):
    until = time.monotonic() + 30
    while len(processes(f"rank {rig.directory.root} {running.token}")) != 1:  # the supervisor starts before its rank
        assert time.monotonic() < until
        time.sleep(0.05)
    rig.finish(running, 0)
    rig.wait(running, lambda jobs: not jobs[0].state.is_live)
    run, attempt = rig.directory.read_submission(running.token).elements[0]
    assert read_json(rig.directory.root / paths.attempt_exit(run, attempt, 0))["status"] == 0


def test_a_job_that_waits_for_a_gpu_can_be_cancelled(rig: LocalRig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    fake_gpus(0, tmp_path, monkeypatch)
    rig.config = replace(rig.config, accelerator="gpu")
    submission = rig.submission(1)
    (job_id,) = rig.started(submission)
    time.sleep(0.3)
    assert only(rig, submission).state is JobState.RUNNING
    rig.scheduler.cancel([job_id])
    rig.wait(submission, lambda jobs: not jobs[0].state.is_live)


def test_a_training_locks_as_many_gpus_as_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake_gpus(4, tmp_path, monkeypatch)
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(sleep=lambda _: pytest.fail("no GPU is free")))
    with contextlib.ExitStack() as held:
        visible = [supervisor._lock_gpus(count, held)["CUDA_VISIBLE_DEVICES"] for count in (1, 2, 1)]
    assert visible == ["0", "1,2", "3"]


def fake_gpus(count: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nvidia-smi list this many GPUs."""
    listed = "\n".join(f"echo GPU {k}: NVIDIA" for k in range(count))
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{listed}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("tempfile.tempdir", str(folder))


def test_job_ids_are_counted_across_the_submissions_of_a_sweep(rig: LocalRig):
    first, second = rig.submission(2), rig.submission(1)
    assert [*rig.started(first), *rig.started(second)] == ["1", "2", "3"]


def test_a_job_of_a_machine_that_was_suspended_is_known_to_have_been_suspended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    token, me = "0123456789ab", process.Identity.of_this_process()
    path = process_path(tmp_path, token, 0)
    path.parent.mkdir(parents=True)
    record = ProcessFile(0, "1", "host", me.boot, me.pid, me.start_ticks, 50.0)
    monkeypatch.setattr(process, "suspended_seconds", lambda: 3650.0)
    for written, suspended_s in ((record, 3600), (replace(record, suspended_s=None), 0)):
        write_record(path, written)
        (job,) = LocalJobs(tmp_path).jobs([token])
        assert (job.state, job.suspended_for) == (JobState.RUNNING, timedelta(seconds=suspended_s))
