"""A full or read-only disk: jobs can be cancelled, and a loss names the disk."""

import errno
import os
from pathlib import Path

import pytest
from scenes import Scene

from unetsweep.app import cancel as cancel_app
from unetsweep.core import paths
from unetsweep.core.causes import Cause
from unetsweep.core.observation import JobState
from unetsweep.errors import StateError, UnetsweepError
from unetsweep.store.lease import Lease
from unetsweep.store.sweep_dir import SweepDir


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A sweep of which two trainings run and two wait."""
    made = Scene(tmp_path / "s", 4, parallel=2, driver="jobs")
    made.reconcile()
    made.cluster.tick()
    monkeypatch.setattr(cancel_app, "context_of", lambda _: made.context())
    return made


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [
        (SweepDir, "cancel_sweep", errno.ENOSPC),
        (SweepDir, "cancel_trial", errno.EDQUOT),
        (Lease, "run", errno.EROFS),
    ],
)
def test_jobs_are_cancelled_although_that_cannot_be_recorded(
    scene: Scene, owner: type, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "results/s/x")

    monkeypatch.setattr(owner, name, refuse)
    count = len(scene.cluster.live()) + 1  # the reconciler job
    with pytest.raises(UnetsweepError) as caught:
        cancel_app.cancel(scene.directory, [])
    assert scene.cluster.live() == []
    text = f"results/s/x: {os.strerror(number)}. Cancelled {count} jobs, but that cannot be recorded"
    assert str(caught.value).startswith(text)
    assert caught.value.exit_status == 1


def test_only_the_jobs_of_the_named_trials_are_cancelled(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "results/s/x")

    monkeypatch.setattr(SweepDir, "cancel_trial", refuse)
    with pytest.raises(UnetsweepError, match=r"Cancelled 1 job, .* make it writable there"):
        cancel_app.cancel(scene.directory, [1])
    assert [job.job.index for job in scene.cluster.found if job.job.state is JobState.CANCELLED] == [1]


def test_every_job_is_cancelled_although_the_trials_cannot_be_read(scene: Scene) -> None:
    count = len(scene.cluster.live()) + 1  # the reconciler job
    (scene.directory.root / paths.TRIALS).rename(scene.directory.root / "gone")
    with pytest.raises(StateError, match=rf"trials: this folder is missing.*\ncancelled {count} jobs of the sweep"):
        cancel_app.cancel(scene.directory, [])
    assert scene.cluster.live() == []


def test_another_error_of_the_disk_is_no_reason_to_cancel_unrecorded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied", "results/s/x")

    monkeypatch.setattr(SweepDir, "cancel_sweep", refuse)
    with pytest.raises(PermissionError):
        cancel_app.cancel(scene.directory, [])
    assert scene.cluster.running()


def test_a_loss_that_a_full_disk_kept_from_being_recorded_names_the_disk(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "s", 1)
    scene.reconcile()
    (job,) = scene.cluster.found
    log = scene.directory.root / paths.job_log(job.job.token, job.job.job_id)
    log.write_text("Traceback (most recent call last):\n  File x\nOSError: [Errno 28] No space left on device: 'a'\n")
    scene.cluster.die(job, JobState.ENDED)
    scene.clock.advance(100)
    found = scene.reconcile().observation.runs[0].attempts[0]
    assert found.cause is Cause.DISK
    assert (
        found.lost
        == f"job {job.job.job_id} ended (ENDED) without a result: OSError: [Errno 28] No space left on device: 'a'"
    )
