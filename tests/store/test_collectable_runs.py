"""Which checkpoints go when a run's trials have ended, with `run.keep_checkpoints: best`."""

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
    """A run that served two trials, both complete, and whose processes are gone; it is marked."""
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


def test_only_each_trials_best_stays_and_the_mark_goes_last(sweep: SweepDir):
    (collectable_run,) = sweep.observe().collectable
    assert (collectable_run.run, collectable_run.at_work) == (0, False)
    assert CollectableRuns(sweep.root).collect(0)
    assert left(sweep) == BEST
    assert (sweep.root / "runs/0000/checkpoints/best-8.ckpt").read_bytes() == b"weights"
    assert sweep.observe().collectable == ()


def test_a_torn_file_of_a_run_keeps_its_checkpoints_and_stops_nothing(sweep: SweepDir):
    (sweep.root / "runs/0000/attempts/1.json").write_text("torn")
    assert not CollectableRuns(sweep.root).collect(0)
    assert "last.ckpt" in left(sweep)
    assert (sweep.root / "collectable/0000").exists()


def test_a_retried_trial_is_stopped_no_more_and_the_others_of_its_run_are(sweep: SweepDir):
    stop = sweep.root / "runs/0000/stop.json"
    about = {"attempt": 1, "trial": 1, "epoch": 2, "reason": "poor", "at": "2026-01-01T00:00:00+00:00"}
    write_json(stop, {**about, "milestones": [4, 8]})
    assert reopen(sweep.root, [0]) == [0]
    assert json.loads(stop.read_text())["milestones"] == [8]


def test_what_others_left_among_the_files_is_let_be(sweep: SweepDir):
    (sweep.root / "runs/.DS_Store").touch()
    (sweep.root / "collectable/.nfs0001").touch()
    CollectableRuns(sweep.root).mark_all()
    assert [collectable_run.run for collectable_run in sweep.observe().collectable] == [0]


@pytest.mark.parametrize("gone", [1, 2])
def test_a_pass_that_was_killed_half_way_leaves_it_to_the_next_and_no_last_checkpoint_without_its_candidate(
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


def test_a_run_with_a_trial_that_is_open_again_keeps_all(sweep: SweepDir):
    assert reopen(sweep.root, [1]) == [1]
    assert not CollectableRuns(sweep.root).collect(0)
    assert "last.ckpt" in left(sweep)
    assert len(sweep.observe().collectable) == 1, "it is looked at again when that trial has ended"


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_trial_that_a_retry_would_bring_on_keeps_all_of_its_run(sweep: SweepDir, state: str):
    (sweep.root / "trials/0001/result.json").unlink()
    sweep.end_trial(1, Result(state=state))  # type: ignore[arg-type]
    assert not CollectableRuns(sweep.root).collect(0)
    assert "last.ckpt" in left(sweep)
    assert sweep.observe().collectable == ()


def test_a_start_without_an_end_may_be_at_work(sweep: SweepDir):
    write_json(sweep.root / "runs/0000/claims/1-1", {"job_id": "7", "at": "2026-01-01T00:00:00+00:00"})
    assert [collectable_run.at_work for collectable_run in sweep.observe().collectable] == [True]
    sweep.mark_lost(0, 1, "gone")
    assert [collectable_run.at_work for collectable_run in sweep.observe().collectable] == [False]


def test_a_retry_knows_which_trials_train_anew(sweep: SweepDir):
    assert not restarts_from_scratch(sweep.root, 0)
    CollectableRuns(sweep.root).collect(0)
    assert restarts_from_scratch(sweep.root, 0)


def test_a_sweep_that_kept_all_marks_what_there_is(sweep: SweepDir):
    CollectableRuns(sweep.root).collect(0)
    CollectableRuns(sweep.root).mark_all()
    assert [collectable_run.run for collectable_run in sweep.observe().collectable] == [0]
