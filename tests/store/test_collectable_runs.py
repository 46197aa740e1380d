"""Which checkpoints are removed when the trials of a run have ended, with `run.keep_checkpoints: best`."""

import json
import os
from pathlib import Path

import pytest

from unetsweep.atomic import write_json
from unetsweep.contract import DataConfig, Result, TrialConfig
from unetsweep.core.actions import Element
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.retries import reopen, restarts_from_scratch
from unetsweep.store.sweep_dir import SweepDir

BEST = {"best-4.ckpt", "best-8.ckpt"}


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    """A marked run with two complete trials and no process left."""
    made = SweepDir(tmp_path / "s")
    made.create("name: s\n", "slurm")
    made.add_trials([TrialConfig(DataConfig("images"), epochs, 4, 1e-3) for epochs in (4, 8)], {})
    made.create_attempts([Element(0, 1, ((0, 4), (1, 8)))], None, "slurm")
    run = made.root / "runs/0000"
    for folder in ("claims", "checkpoints"):
        (run / folder).mkdir()
    write_json(run / "claims/1-0", {"job_id": "7", "at": "2026-01-01T00:00:00+00:00"})
    for name in ("last.ckpt", "candidate-3.ckpt", "candidate-12.ckpt", "best-4.ckpt"):
        (run / "checkpoints" / name).write_bytes(b"weights")
    (run / "checkpoints/best-8.ckpt").hardlink_to(run / "checkpoints/candidate-3.ckpt")
    made.record_exit(0, 1, 0, 0, None)
    for trial in (0, 1):
        made.end_trial(trial, Result(val_iou=0.5))
    CollectableRuns(made.root).mark(0)
    return made


def left(sweep: SweepDir) -> set[str]:
    return set(os.listdir(sweep.root / "runs/0000/checkpoints"))


def test_only_the_best_checkpoint_of_each_trial_stays_and_the_mark_is_removed_last(sweep: SweepDir):
    (collectable_run,) = sweep.observe().collectable
    assert (collectable_run.run, collectable_run.at_work) == (0, False)
    assert CollectableRuns(sweep.root).collect(0)
    assert left(sweep) == BEST
    assert (sweep.root / "runs/0000/checkpoints/best-8.ckpt").read_bytes() == b"weights"
    assert sweep.observe().collectable == ()


def test_a_run_with_a_corrupt_file_keeps_its_checkpoints(sweep: SweepDir):
    (sweep.root / "runs/0000/attempts/1.json").write_text("corrupt")
    assert not CollectableRuns(sweep.root).collect(0)
    assert "last.ckpt" in left(sweep)
    assert (sweep.root / "collectable/0000").exists()


def test_a_retry_lifts_the_stop_of_its_trial_only(sweep: SweepDir):
    path = sweep.root / "runs/0000/prune.json"
    about = {"attempt": 1, "trial": 1, "epoch": 2, "reason": "poor", "at": "2026-01-01T00:00:00+00:00"}
    write_json(path, {**about, "milestones": [4, 8]})
    assert reopen(sweep.root, [0]) == [0]
    assert json.loads(path.read_text())["milestones"] == [8]


def test_foreign_files_among_runs_and_marks_are_ignored(sweep: SweepDir):
    (sweep.root / "runs/.DS_Store").touch()
    (sweep.root / "collectable/.nfs0001").touch()
    CollectableRuns(sweep.root).mark_all()
    assert [collectable_run.run for collectable_run in sweep.observe().collectable] == [0]


@pytest.mark.parametrize("gone", [1, 2])
def test_a_killed_removal_is_completed_later_and_deletes_the_last_checkpoint_before_its_candidates(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch, gone: int
):
    real, done = Path.unlink, []

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if len(done) == gone:
            raise KeyboardInterrupt
        done.append(path.name)
        real(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            CollectableRuns(sweep.root).collect(0)
    assert done[0] == "last.ckpt"
    assert [collectable_run.run for collectable_run in sweep.observe().collectable] == [0]
    assert CollectableRuns(sweep.root).collect(0)
    assert left(sweep) == BEST


def test_a_run_with_a_reopened_trial_keeps_all_checkpoints(sweep: SweepDir):
    assert reopen(sweep.root, [1]) == [1]
    assert not CollectableRuns(sweep.root).collect(0)
    assert "last.ckpt" in left(sweep)
    assert len(sweep.observe().collectable) == 1, "it is tried again when that trial has ended"


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_run_with_a_trial_that_may_be_retried_keeps_all_checkpoints(sweep: SweepDir, state: str):
    (sweep.root / "trials/0001/result.json").unlink()
    sweep.end_trial(1, Result(state=state))  # type: ignore[arg-type]
    assert not CollectableRuns(sweep.root).collect(0)
    assert "last.ckpt" in left(sweep)
    assert sweep.observe().collectable == ()


def test_a_start_without_an_exit_may_still_run(sweep: SweepDir):
    write_json(sweep.root / "runs/0000/claims/1-1", {"job_id": "7", "at": "2026-01-01T00:00:00+00:00"})
    assert [collectable_run.at_work for collectable_run in sweep.observe().collectable] == [True]
    sweep.mark_lost(0, 1, "gone")
    assert [collectable_run.at_work for collectable_run in sweep.observe().collectable] == [False]


def test_a_retry_knows_which_trials_train_from_the_beginning(sweep: SweepDir):
    assert not restarts_from_scratch(sweep.root, 0)
    CollectableRuns(sweep.root).collect(0)
    assert restarts_from_scratch(sweep.root, 0)


def test_a_sweep_that_kept_all_checkpoints_can_mark_all_runs(sweep: SweepDir):
    CollectableRuns(sweep.root).collect(0)
    CollectableRuns(sweep.root).mark_all()
    assert [collectable_run.run for collectable_run in sweep.observe().collectable] == [0]
