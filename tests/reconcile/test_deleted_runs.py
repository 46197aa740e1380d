"""A run whose folder was deleted, as a trainer command may do: its attempts are known from its submissions."""

import shutil
from pathlib import Path

import pytest
from scenes import Scene

from unetsweep.core.actions import Element
from unetsweep.core.causes import Cause
from unetsweep.core.observation import JobState
from unetsweep.errors import TrainingError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.worker.claim import Claim
from unetsweep.worker.command import CommandInvocation, run_command
from unetsweep.worker.failure import write_error


def test_a_deleted_run_is_not_submitted_while_it_trains(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "s", 1)
    scene.reconcile()
    scene.cluster.tick()
    for _ in range(3):
        shutil.rmtree(scene.directory.root / "runs/0000")
        scene.clock.advance(100)
        assert len(scene.reconcile().observation.runs[0].attempts) == 1
    assert len(scene.cluster.found) == 1
    scene.cluster.tick()
    scene.reconcile()
    assert scene.states() == ["complete"]


def test_the_job_of_a_cancelled_trial_whose_run_was_deleted_is_cancelled(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "s", 1)
    scene.reconcile()
    scene.cluster.tick()
    shutil.rmtree(scene.directory.root / "runs")
    scene.directory.cancel_trial(0)
    scene.reconcile()
    assert not scene.cluster.live()
    scene.reconcile()
    assert scene.states() == ["cancelled"]


def test_a_run_that_is_deleted_in_each_attempt_uses_up_its_retries(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "s", 1)
    for _ in range(20):
        scene.reconcile()
        for job in scene.cluster.live():
            scene.cluster.start(job)
            shutil.rmtree(scene.directory.root / "runs/0000")
            scene.cluster.die(job, JobState.ENDED)
        scene.clock.advance(100)
    assert scene.states() == ["failed"]
    assert len(scene.cluster.found) <= scene.spec.run.retries.node + 2


def deleted(sweep: SweepDir, attempts: int) -> str:
    """Submit so many attempts of run 0, and delete its folder; return the token of the last one."""
    token = ""
    for number in range(1, attempts + 1):
        token, _ = sweep.create_attempts([Element(0, number, ((0, 8),))], None, "slurm")
    shutil.rmtree(sweep.root / "runs/0000")
    return token


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    scene = Scene(tmp_path / "s", 1)
    scene.reconcile()  # adds the trial, and attempt 1
    return scene.directory


def test_all_attempts_but_the_newest_are_restored_as_lost(sweep: SweepDir) -> None:
    token = deleted(sweep, 3)
    assert sweep.create_attempts([Element(0, 1, ((0, 8),))], None, "slurm")[1] == []
    first, second, last = sweep.observe().runs[0].attempts
    assert (first.cause, second.cause, last.cause) == (Cause.VANISHED, Cause.VANISHED, None)
    assert first.lost == "its files in runs/0000 were deleted"
    assert (last.token, last.milestones, last.lost) == (token, (8,), None)


def test_the_end_of_a_training_that_deleted_its_run_is_recorded(sweep: SweepDir) -> None:
    token = deleted(sweep, 2)
    folder = sweep.root / "runs/0000"
    write_error(folder, TrainingError("no result, and deleted its folder"), 2, 0, 0)
    assert sweep.is_owner(token, 0)
    sweep.record_exit(0, 2, 0, 1, None)
    last = sweep.observe().runs[0].last
    assert last is not None
    assert last.ending is not None
    assert (last.number, last.ending.is_final, last.ending.message) == (2, True, "no result, and deleted its folder")


def test_a_claim_that_the_training_deleted_still_holds(tmp_path: Path) -> None:
    claim = Claim(tmp_path, tmp_path, 1, 0, 0)
    assert claim.holds()
    (tmp_path / "claims").mkdir()
    assert claim.holds()
    (tmp_path / "claims/2-0").touch()
    assert not claim.holds()


def test_the_error_of_a_trainer_that_deletes_its_run_and_writes_no_result_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "runs/0000"
    (folder / "claims").mkdir(parents=True)
    (folder / "claims/1-0").touch()
    invocation = CommandInvocation(folder, (8,), "1-0", "1", str(tmp_path))
    with pytest.raises(TrainingError, match=r"wrote no result\.json, and deleted .*runs/0000, which the sweep needs"):
        run_command("rm -r {out}", invocation, lambda: True)
