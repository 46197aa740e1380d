"""Reconciliations that prune in a real directory: each decision is written once; what follows if no job obeys it."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from fakes import Crash, CrashPoint, FakeJob, FakeStudy
from scenes import Scene

from unetsweep.atomic import write_json
from unetsweep.core import paths
from unetsweep.core.actions import FinishTrial, Prune
from unetsweep.core.spec import StudySpec
from unetsweep.store.sweep_dir import SweepDir


class Pruning(Scene):
    """A scene with trainings that report; the poorer of two at epoch 2 is pruned."""

    def __init__(self, root: Path, trials: int = 2, pruner: str | None = "asha") -> None:
        super().__init__(root, trials)
        arguments = {"min_epochs": 2} if pruner == "asha" else {}
        object.__setattr__(self.spec, "study", StudySpec(pruner=pruner, pruner_args=arguments))
        self.reconcile()
        for each in self.cluster.live():
            self.cluster.start(each)

    def job(self, run: int) -> FakeJob:
        return next(each for each in self.cluster.found if self.cluster.run_of(each)[0] == run)

    def report(self, run: int, *values: float, first: int = 1) -> None:
        path = self.directory.root / paths.progress(run, "1-0")
        with path.open("a") as stream:
            for epoch, value in enumerate(values, first):
                self.clock.advance(1)
                line = {"epoch": epoch, "val_iou": value, "at": self.clock.now().isoformat(), "seconds": 1.0}
                stream.write(json.dumps(line) + "\n")

    def prune_file(self, run: int) -> dict[str, Any] | None:
        path = self.directory.root / paths.prune_file(run)
        return json.loads(path.read_text()) if path.exists() else None


def actions(scene: Scene, kind: type) -> list[Any]:
    return [action for action in scene.reconcile().done if isinstance(action, kind)]


def test_the_poorer_training_is_pruned_once_and_the_better_one_never(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.report(0, 0.5, 0.6)
    scene.report(1, 0.1)
    assert actions(scene, Prune) == []
    scene.report(1, 0.2, first=2)
    (prune,) = actions(scene, Prune)
    assert (prune.run, prune.attempt, prune.trial, prune.milestones, prune.epoch) == (1, 1, 1, (8,), 2)
    assert scene.prune_file(0) is None
    assert scene.prune_file(1) == {
        **(scene.prune_file(1) or {}),
        "attempt": 1,
        "trial": 1,
        "milestones": [8],
        "epoch": 2,
    }
    scene.report(1, 0.2, first=3)
    assert actions(scene, Prune) == []
    assert '"action": "Prune"' in (tmp_path / paths.LEDGER).read_text()


def test_a_training_that_obeys_a_stop_finishes_with_its_published_result(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.report(0, 0.5, 0.6)
    scene.report(1, 0.1, 0.2)
    scene.reconcile()
    folder = tmp_path / "runs/0001/milestones"
    folder.mkdir()
    write_json(folder / "8.json", {"state": "pruned", "val_iou": 0.2, "epochs_run": 2, "message": "poor"})
    assert [(finish.trial, finish.state) for finish in actions(scene, FinishTrial)] == [(1, "pruned")]
    assert scene.directory.trials()[1].result.message == "poor"


def test_a_trial_is_pruned_even_if_its_job_died_before_it_obeyed(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.report(0, 0.5, 0.6)
    scene.report(1, 0.2, 0.1, 0.1)
    scene.reconcile()
    scene.cluster.die(scene.job(1))
    scene.clock.advance(200)
    assert [(finish.trial, finish.state) for finish in actions(scene, FinishTrial)] == [(1, "pruned")]
    result = scene.directory.trials()[1].result
    assert (result.state, result.epochs_run, result.best_epoch, result.val_iou) == ("pruned", 3, 1, 0.2)
    assert "at epoch 2 is not among the best 1/3" in result.message
    assert result.job_id == scene.job(1).job.job_id
    assert scene.cluster.live_runs() == [0]


def test_a_reconciliation_killed_during_a_prune_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    crash_point = CrashPoint()
    for name in ("record_prune", "note"):
        monkeypatch.setattr(SweepDir, name, crash_point.wrap(getattr(SweepDir, name)))
    for at in itertools.count(2):
        crash_point.at = -1
        scene = Pruning(tmp_path / str(at))
        scene.report(0, 0.5, 0.6)
        scene.report(1, 0.1, 0.2)
        crash_point.at, crash_point.effects = at, 0
        with contextlib.suppress(Crash):
            scene.reconcile()
            break
        crash_point.at = -1
        scene.reconcile()
        assert scene.prune_file(0) is None
        assert (scene.prune_file(1) or {})["milestones"] == [8], f"killed at {at}"
        assert actions(scene, Prune) == []
    assert at > 4


def test_trials_are_still_compared_with_ended_ones(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.report(0, 0.5, 0.6)
    scene.cluster.finish(scene.job(0))
    scene.reconcile()
    scene.report(1, 0.1, 0.2)
    assert [prune.run for prune in actions(scene, Prune)] == [1]


class BrokenStudy(FakeStudy):
    """A study with a pruner that raises."""

    def verdicts(self, *_: Any) -> Any:
        raise ValueError("no such rung")


def test_no_pruner_is_asked_without_one_configured_or_without_new_reports(tmp_path: Path):
    plain, quiet = Pruning(tmp_path / "plain", pruner=None), Pruning(tmp_path / "quiet")
    plain.report(0, 0.5, 0.6)
    for scene in (plain, quiet):
        scene.study = BrokenStudy()
        assert scene.reconcile().done == []
        assert "no such rung" not in (scene.directory.root / paths.LEDGER).read_text()


def test_a_failing_pruner_stops_no_sweep(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.study = BrokenStudy()
    scene.report(0, 0.5, 0.6)
    scene.cluster.finish(scene.job(1))
    assert [finish.trial for finish in actions(scene, FinishTrial)] == [1]
    assert "ValueError: no such rung" in (tmp_path / paths.LEDGER).read_text()
