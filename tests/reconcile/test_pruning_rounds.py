"""Passes over a real directory that prune: the decision is written once, and what follows when nobody obeys it."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from fakes import Crash, Deaths, FakeJob, FakeStudy
from scenes import Scene

from unetsweep.atomic import write_json
from unetsweep.core import paths
from unetsweep.core.actions import FinishTrial, Prune
from unetsweep.core.spec import StudySpec
from unetsweep.store.sweep_dir import SweepDir


class Pruning(Scene):
    """Trainings that report; the poorer of two at epoch 2 is pruned."""

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

    def stop(self, run: int) -> dict[str, Any] | None:
        path = self.directory.root / paths.stop(run)
        return json.loads(path.read_text()) if path.exists() else None


def deeds(scene: Scene, kind: type) -> list[Any]:
    return [action for action in scene.reconcile().done if isinstance(action, kind)]


def test_a_poor_training_is_pruned_once_and_the_good_one_never(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.report(0, 0.5, 0.6)
    scene.report(1, 0.1)
    assert deeds(scene, Prune) == []
    scene.report(1, 0.2, first=2)
    (stop,) = deeds(scene, Prune)
    assert (stop.run, stop.attempt, stop.trial, stop.milestones, stop.epoch) == (1, 1, 1, (8,), 2)
    assert scene.stop(0) is None
    assert scene.stop(1) == {**(scene.stop(1) or {}), "attempt": 1, "trial": 1, "milestones": [8], "epoch": 2}
    scene.report(1, 0.2, first=3)
    assert deeds(scene, Prune) == []
    assert '"action": "Prune"' in (tmp_path / paths.LEDGER).read_text()


def test_a_training_that_obeys_is_told_by_what_it_published(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.report(0, 0.5, 0.6)
    scene.report(1, 0.1, 0.2)
    scene.reconcile()
    folder = tmp_path / "runs/0001/milestones"
    folder.mkdir()
    write_json(folder / "8.json", {"state": "pruned", "val_iou": 0.2, "epochs_run": 2, "message": "as it said"})
    assert [(tell.trial, tell.state) for tell in deeds(scene, FinishTrial)] == [(1, "pruned")]
    assert scene.directory.trials()[1].result.message == "as it said"


def test_a_job_that_died_before_it_obeyed_is_pruned_all_the_same(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.report(0, 0.5, 0.6)
    scene.report(1, 0.2, 0.1, 0.1)
    scene.reconcile()
    scene.cluster.die(scene.job(1))
    scene.clock.advance(200)
    assert [(tell.trial, tell.state) for tell in deeds(scene, FinishTrial)] == [(1, "pruned")]
    result = scene.directory.trials()[1].result
    assert (result.state, result.epochs_run, result.best_epoch, result.val_iou) == ("pruned", 3, 1, 0.2)
    assert "at epoch 2 is not among the best 1/3" in result.message
    assert result.job_id == scene.job(1).job.job_id
    assert scene.cluster.live_runs() == [0]


def test_a_pass_that_dies_at_a_prune_is_made_good_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    deaths = Deaths()
    for name in ("record_prune", "note"):
        monkeypatch.setattr(SweepDir, name, deaths.wrapped(getattr(SweepDir, name)))
    for at in itertools.count(2):
        deaths.at = -1
        scene = Pruning(tmp_path / str(at))
        scene.report(0, 0.5, 0.6)
        scene.report(1, 0.1, 0.2)
        deaths.at, deaths.effects = at, 0
        with contextlib.suppress(Crash):
            scene.reconcile()
            break
        deaths.at = -1
        scene.reconcile()
        assert scene.stop(0) is None
        assert (scene.stop(1) or {})["milestones"] == [8], f"died at {at}"
        assert deeds(scene, Prune) == []
    assert at > 4


def test_ended_trials_are_still_compared_with(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.report(0, 0.5, 0.6)
    scene.cluster.finish(scene.job(0))
    scene.reconcile()
    scene.report(1, 0.1, 0.2)
    assert [stop.run for stop in deeds(scene, Prune)] == [1]


class BrokenStudy(FakeStudy):
    """Its pruner fails."""

    def verdicts(self, *_: Any) -> Any:
        raise ValueError("no such rung")


def test_without_a_pruner_or_without_news_nobody_is_asked(tmp_path: Path):
    plain, quiet = Pruning(tmp_path / "plain", pruner=None), Pruning(tmp_path / "quiet")
    plain.report(0, 0.5, 0.6)
    for scene in (plain, quiet):
        scene.study = BrokenStudy()
        assert scene.reconcile().done == []
        assert "no such rung" not in (scene.directory.root / paths.LEDGER).read_text()


def test_a_pruner_that_fails_stops_no_sweep(tmp_path: Path):
    scene = Pruning(tmp_path)
    scene.study = BrokenStudy()
    scene.report(0, 0.5, 0.6)
    scene.cluster.finish(scene.job(1))
    assert [tell.trial for tell in deeds(scene, FinishTrial)] == [1]
    assert "ValueError: no such rung" in (tmp_path / paths.LEDGER).read_text()
