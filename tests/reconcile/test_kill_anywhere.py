"""A reconciliation may die before or after any of its effects, again and again: the next one makes good."""

import contextlib
import itertools
import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Crash, Deaths, FakeScheduler, FakeStudy
from scenes import Scene

from unetsweep import atomic
from unetsweep.core.observation import JobState
from unetsweep.errors import SchedulerError
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.sweep_dir import SweepDir

CLUSTER = ("submit", "cancel")
STUDY = ("export", "mark_stale")
DIRECTORY = ("add_trials", "create_attempts", "record_job", "record_jobs", "mark_lost", "end_trial", "note")


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Deaths:
    """Every file that appears, every word to the cluster and to the study is a place to die at."""
    places = Deaths()
    for owner, names in (
        (FakeScheduler, CLUSTER),
        (FakeStudy, STUDY),
        (SweepDir, DIRECTORY),
        (CollectableRuns, ("mark", "collect")),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, places.wrapped(getattr(owner, name)))
    monkeypatch.setattr(Path, "unlink", places.wrapped(Path.unlink))
    monkeypatch.setattr(atomic, "link_first", places.wrapped(atomic.link_first))
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no machine dies here, only passes
    return places


def one_live_job_a_run(scene: Scene) -> None:
    twice = [run for run, count in Counter(scene.cluster.live_runs()).items() if count > 1]
    assert not twice, scene.cluster.live()


def test_every_trial_is_trained_once_and_told_once_wherever_the_first_pass_dies(tmp_path: Path, deaths: Deaths):
    for at in itertools.count(2):
        scene = Scene(tmp_path / str(at), 4, parallel=2)
        deaths.at, deaths.effects = at, 0
        with contextlib.suppress(Crash):
            scene.reconcile()
            break
        deaths.at = -1
        scene.until_ended(lambda scene=scene: one_live_job_a_run(scene))
        assert scene.states() == ["complete"] * 4, f"died at {at}"
        assert sorted(scene.cluster.trained) == [0, 1, 2, 3], f"died at {at}"
        assert scene.study.told == dict.fromkeys(range(4), "complete"), f"died at {at}"
    assert at > 40


def test_what_only_a_longer_training_could_use_goes_wherever_the_last_pass_dies(tmp_path: Path, deaths: Deaths):
    for at in itertools.count(2):
        deaths.at = -1
        scene = Scene(tmp_path / str(at), 2)
        scene.spec = replace(scene.spec, run=replace(scene.spec.run, keep_checkpoints="best"))
        scene.reconcile()
        scene.run_on()
        scene.run_on()
        for run in range(2):
            folder = scene.directory.root / f"runs/000{run}/checkpoints"
            folder.mkdir()
            for name in ("last.ckpt", "candidate-7.ckpt", "best-8.ckpt"):
                (folder / name).touch()
            scene.directory.record_exit(run, 1, 0, 0, None)
        deaths.at, deaths.effects = at, 0
        with contextlib.suppress(Crash):
            scene.reconcile()
            break
        deaths.at = -1
        scene.until_ended()
        left = [path.name for path in scene.directory.root.glob("runs/*/checkpoints/*")]
        assert left == ["best-8.ckpt"] * 2, f"died at {at}"
        assert scene.states() == ["complete"] * 2
    assert at > 15


def test_the_study_knows_every_end_wherever_the_last_pass_dies(tmp_path: Path, deaths: Deaths):
    for at in itertools.count(2):
        deaths.at = -1
        scene = Scene(tmp_path / str(at), 2)
        scene.reconcile()
        scene.run_on()
        scene.run_on()
        deaths.at, deaths.effects = at, 0
        with contextlib.suppress(Crash):
            scene.reconcile()
            break
        deaths.at = -1
        scene.reconcile()
        assert scene.study.told == dict.fromkeys(range(2), "complete"), f"died at {at}"
    assert at > 10


@pytest.mark.parametrize("seed", range(40))
def test_any_history_ends_with_every_trial_told_once(tmp_path: Path, deaths: Deaths, seed: int):
    """Deaths, silence, refusals, lost nodes, late listings and cancellations, as the seed has it."""
    chance = random.Random(seed)
    scene = Scene(tmp_path, 5, parallel=chance.choice([None, 1, 2]), queues=chance.random() < 0.7)
    ends: Counter[int] = Counter()
    for step in range(400):
        deaths.at, deaths.effects = (chance.randrange(2, 60) if step < 40 else -1), 0
        scene.cluster.scheduler_error = "squeue: timed out" if chance.random() < 0.1 else None
        scene.cluster.limit = 2 if chance.random() < 0.2 else None
        with contextlib.suppress(Crash, SchedulerError):
            reconciliation = scene.reconcile()
            if not reconciliation.observation.trials and not reconciliation.plan.actions:
                break
        deaths.at = -1
        one_live_job_a_run(scene)
        _world_goes_on(scene, chance)
        ends.update(path.parent.name for path in tmp_path.glob("trials/*/result.json"))
    else:
        raise AssertionError(f"the sweep did not end: {reconciliation.plan}")
    assert len(scene.states()) == 5
    assert set(scene.states()) <= {"complete", "cancelled", "failed"}
    assert scene.study.told == dict(enumerate(scene.states()))
    completed = [number for number, state in enumerate(scene.states()) if state == "complete"]
    assert {number for number, _ in _published(tmp_path)} >= set(completed)
    assert all(scene.states()[number] == "complete" for number, _ in _published(tmp_path))


def _world_goes_on(scene: Scene, chance: random.Random) -> None:
    running = scene.cluster.running()
    if running and chance.random() < 0.1:
        scene.cluster.die(chance.choice(running), JobState.NODE_FAILED)
    if scene.directory.trials() and chance.random() < 0.02:
        scene.directory.cancel(chance.choice(scene.directory.trials()).number)
    if chance.random() < 0.7:
        scene.cluster.tick()
    scene.clock.advance(chance.choice([1, 20, 40, 90]))


def _published(root: Path) -> list[tuple[int, Path]]:
    return [(int(path.parts[-3]), path) for path in root.glob("runs/*/milestones/*.json")]
