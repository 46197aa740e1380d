"""Sweeps in a real directory whose points are trained several times: proposals, kills, pruning, the journal."""

import contextlib
import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pytest
from fakes import Crash, CrashPoint, FakeJob
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from scenes import Scene

from unetsweep.atomic import write_json
from unetsweep.core import paths
from unetsweep.core.actions import Prune
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import StudySpec
from unetsweep.search.study import JournalStudy
from unetsweep.store import sweep_dir
from unetsweep.store.sweep_dir import SweepDir


class Repeated(Scene):
    """A scene with `repeats` trainings of each point, and a study as in real sweeps."""

    def __init__(self, root: Path, points: int = 2, repeats: int = 2, parallel: int | None = None, **study: Any):
        super().__init__(root, points, parallel)
        self.spec = replace(self.spec, study=StudySpec(repeats=repeats, **study))
        self.study = JournalStudy(root / paths.STUDY)  # type: ignore[assignment]

    def pairs(self) -> list[tuple[object, int | None]]:
        """The learning rate and the seed of each trial, in order."""
        return [((trial.params or {})["learning_rate"], trial.training_seed) for trial in self.directory.trials()]

    def job(self, run: int) -> FakeJob:
        return next(each for each in self.cluster.found if self.cluster.run_of(each)[0] == run)

    def report(self, run: int, *values: float) -> None:
        with (self.directory.root / paths.progress(run, "1-0")).open("a") as stream:
            for epoch, value in enumerate(values, 1):
                self.clock.advance(1)
                line = {"epoch": epoch, "val_iou": value, "at": self.clock.now().isoformat(), "seconds": 1.0}
                stream.write(json.dumps(line) + "\n")

    def prune_file(self, run: int) -> Path | None:
        path = self.directory.root / paths.prune_file(run)
        return path if path.exists() else None

    def prunes(self) -> list[Prune]:
        return [action for action in self.reconcile().done if isinstance(action, Prune)]

    def journal(self) -> list[optuna.trial.FrozenTrial]:
        """The trials as another program reads them."""
        storage = JournalStorage(JournalFileBackend(str(self.directory.root / paths.STUDY)))
        return optuna.load_study(study_name="grid", storage=storage).get_trials()


def test_every_point_is_trained_with_each_seed(tmp_path: Path):
    scene = Repeated(tmp_path)
    scene.until_ended()
    assert scene.pairs() == [(1e-3, 0), (1e-3, 1), (2e-3, 0), (2e-3, 1)]
    configs = [json.loads((tmp_path / paths.trial_dir(n) / paths.CONFIG).read_text()) for n in range(4)]
    assert [config["seed"] for config in configs] == [0, 1, 0, 1]
    assert len({trial.run for trial in scene.directory.trials()}) == 4, "repeats share no run"


def test_raising_the_repeats_trains_every_point_once_more(tmp_path: Path):
    scene = Repeated(tmp_path, repeats=1)
    scene.until_ended()
    scene.spec = replace(scene.spec, study=StudySpec(repeats=2))
    scene.until_ended()
    assert scene.pairs() == [(1e-3, 0), (2e-3, 0), (1e-3, 1), (2e-3, 1)]
    assert [each.user_attrs["trials"] for each in scene.journal()] == [[0, 2], [1, 3]]
    assert [each.value for each in scene.journal()] == [0.51, 0.52]


def test_milestones_of_one_seed_share_a_run_and_seeds_do_not(tmp_path: Path):
    scene = Repeated(tmp_path, points=1)
    axes = {"epochs": Choices((4, 8)), "batch_size": Choices((4,)), "learning_rate": Choices((1e-3,))}
    scene.spec = replace(scene.spec, space=Space.of(**axes))
    scene.until_ended()
    trials = scene.directory.trials()
    assert [(trial.epochs, trial.training_seed, trial.run) for trial in trials] == [
        (4, 0, 0),
        (4, 1, 1),
        (8, 0, 0),
        (8, 1, 1),
    ]


def test_a_search_killed_anywhere_while_it_adds_trials_loses_no_training_and_doubles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each folder of a trial appears by a rename: the kill comes before or after one of them."""
    crash_point = CrashPoint()
    monkeypatch.setattr(sweep_dir, "rename_folder", crash_point.wrap(sweep_dir.rename_folder))
    for at in itertools.count(2):
        crash_point.at, crash_point.effects = at, 0
        scene = twelve(tmp_path / str(at), points=3)
        with contextlib.suppress(Crash):
            scene.until_ended()
            break
        scene.until_ended()
        counts = Counter(rate for rate, _ in scene.pairs())
        assert list(counts.values()) == [2] * 3, f"killed at {at}: {scene.pairs()}"
        assert len({*scene.pairs()}) == 6, f"killed at {at}: {scene.pairs()}"
    assert at == 2 * 6 + 2


def twelve(root: Path, points: int = 12) -> Repeated:
    """A tpe search with two trainings of each point on three slots."""
    scene = Repeated(root, parallel=3, sampler="tpe", trials=points)
    axes = {"epochs": Choices((8,)), "batch_size": Choices((4,)), "learning_rate": Range(1e-5, 1e-1, log=True)}
    scene.spec = replace(scene.spec, space=Space.of(**axes))
    return scene


def test_a_search_of_twelve_points_is_twelve_trials_of_optuna_with_the_means(tmp_path: Path):
    scene = twelve(tmp_path)
    scene.until_ended(lambda: at_most(3, scene))
    trials, studied = scene.directory.trials(), scene.journal()
    assert len(trials) == 24
    assert len(studied) == 12
    assert {each.state for each in studied} == {TrialState.COMPLETE}
    assert sorted(number for each in studied for number in each.user_attrs["trials"]) == list(range(24))
    for each in studied:
        mine = [trials[number] for number in each.user_attrs["trials"]]
        assert [trial.training_seed for trial in mine] == [0, 1]
        assert {(trial.params or {})["learning_rate"] for trial in mine} == {each.params["learning_rate"]}
        assert each.value == fmean(0.5 + trial.run / 100 for trial in mine)  # as the fake jobs publish it
    assert len({each.params["learning_rate"] for each in studied}) == 12


def test_listed_and_added_points_of_a_search_are_repeated_wherever_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A partial point is one point, with all its seeds; an added one, outside of the space, comes on top."""
    crash_point = CrashPoint()
    monkeypatch.setattr(sweep_dir, "rename_folder", crash_point.wrap(sweep_dir.rename_folder))
    for at in itertools.count(2):
        crash_point.at, crash_point.effects = at, 0
        scene = twelve(tmp_path / str(at), points=2)
        axes = {**scene.spec.space.domains(), "epochs": Choices((4, 8))}
        added = {"epochs": 5, "batch_size": 4, "learning_rate": 0.5}
        scene.spec = replace(scene.spec, space=Space.of(**axes), points=({"epochs": 4},), added=(added,))
        is_killed = True
        with contextlib.suppress(Crash):
            scene.until_ended()
            is_killed = False
        scene.until_ended()
        trials = scene.directory.trials()
        points = [(trial.point or {}, trial.is_listed) for trial in trials]
        assert [(point["epochs"], point["seed"], mark) for point, mark in points[:4]] == [
            (4, 0, True),
            (4, 1, True),
            (5, 0, True),
            (5, 1, True),
        ], f"killed at {at}"
        assert points[0][0]["learning_rate"] == points[1][0]["learning_rate"]
        assert [mark for _, mark in points[4:]] == [False, False], f"killed at {at}"
        assert [each.user_attrs["trials"] for each in scene.journal()] == [[0, 1], [2, 3], [4, 5]]
        assert scene.journal()[1].params == added
        if not is_killed:
            break
    assert at == 2 * 6 + 2


def at_most(slots: int, scene: Scene) -> None:
    assert len(scene.cluster.live()) <= slots


def test_a_pruner_compares_means_and_ends_all_trainings_of_a_point(tmp_path: Path):
    scene = Repeated(tmp_path, pruner="asha", pruner_args={"min_epochs": 2})
    scene.reconcile()
    for each in scene.cluster.live():
        scene.cluster.start(each)
    scene.report(0, 0.1, 0.5)  # the first point: 0.6 in the mean
    scene.report(1, 0.1, 0.7)
    scene.report(2, 0.1, 0.9)  # the second point: 0.5, although one training is the best of all
    assert scene.prunes() == []
    scene.report(3, 0.1, 0.1)
    found = scene.prunes()
    assert [(prune.run, prune.milestones) for prune in found] == [(2, (8,)), (3, (8,))]
    assert found[0].reason == (
        "mean of 2 trainings: val_iou 0.5000 at epoch 2 is not among the best 1/3 of 2 trials that trained this far "
        "(0.6000 was needed)"
    )
    assert scene.prunes() == []


def test_a_reconciliation_killed_between_the_trainings_of_a_pruned_point_prunes_the_other_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scene = Repeated(tmp_path, pruner="asha", pruner_args={"min_epochs": 2})
    scene.reconcile()
    for each in scene.cluster.live():
        scene.cluster.start(each)
    for run, value in enumerate((0.5, 0.7, 0.9, 0.1)):
        scene.report(run, 0.1, value)
    crash_point = CrashPoint(3)  # after the first decision
    with monkeypatch.context() as patch:
        patch.setattr(SweepDir, "record_prune", crash_point.wrap(SweepDir.record_prune))
        with pytest.raises(Crash):
            scene.reconcile()
    assert [prune.run for prune in scene.prunes()] == [3]


def test_a_failed_training_is_left_out_of_the_mean_curve(tmp_path: Path):
    scene = Repeated(tmp_path, pruner="asha", pruner_args={"min_epochs": 2})
    scene.reconcile()
    for each in scene.cluster.live():
        scene.cluster.start(each)
    for run, value in ((0, 0.5), (1, 0.7), (2, 0.4)):
        scene.report(run, 0.1, value)
    assert scene.prunes() == [], "the second point waits for its other training"
    folder = tmp_path / "runs/0003/milestones"
    folder.mkdir()
    write_json(folder / "8.json", {"state": "failed", "message": "no such file"})
    scene.cluster.die(scene.job(3))
    scene.reconcile()
    assert [scene.prune_file(run) is not None for run in range(3)] == [False, False, True]


@pytest.mark.parametrize(("failed", "is_paused"), [(6, False), (7, True)])
def test_a_sweep_is_paused_when_three_points_failed_and_not_when_one_did_with_every_seed(
    tmp_path: Path, failed: int, is_paused: bool
):
    scene = Repeated(tmp_path, points=4, repeats=3, parallel=12)
    scene.reconcile()
    for each in scene.cluster.live():
        scene.cluster.start(each)
    for run in range(failed):
        write_json(tmp_path / paths.run_dir(run) / paths.error(0), {"kind": "exception", "message": "no", "attempt": 1})
        scene.cluster.die(scene.job(run))
    assert (scene.reconcile().plan.paused is not None) is is_paused
