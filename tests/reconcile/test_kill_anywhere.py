"""A reconciliation may be killed before or after any of its effects, any number of times: the next one completes it."""

import contextlib
import itertools
import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Crash, CrashPoint, FakeScheduler, FakeStudy
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
def crash_point(monkeypatch: pytest.MonkeyPatch) -> CrashPoint:
    """A crash point around every new file and every call of the cluster and the study."""
    point = CrashPoint()
    for owner, names in (
        (FakeScheduler, CLUSTER),
        (FakeStudy, STUDY),
        (SweepDir, DIRECTORY),
        (CollectableRuns, ("mark", "collect")),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, point.wrap(getattr(owner, name)))
    monkeypatch.setattr(Path, "unlink", point.wrap(Path.unlink))
    monkeypatch.setattr(atomic, "link_first", point.wrap(atomic.link_first))
    monkeypatch.setattr(os, "fsync", lambda _: None)  # only processes are killed here, no machine
    return point


def assert_one_live_job_per_run(scene: Scene) -> None:
    duplicates = [run for run, count in Counter(scene.cluster.live_runs()).items() if count > 1]
    assert not duplicates, scene.cluster.live()


def test_every_trial_is_trained_and_exported_once_wherever_the_first_reconciliation_is_killed(
    tmp_path: Path, crash_point: CrashPoint
):
    for at in itertools.count(2):
        scene = Scene(tmp_path / str(at), 4, parallel=2)
        crash_point.at, crash_point.effects = at, 0
        with contextlib.suppress(Crash):
            scene.reconcile()
            break
        crash_point.at = -1
        scene.until_ended(lambda scene=scene: assert_one_live_job_per_run(scene))
        assert scene.states() == ["complete"] * 4, f"killed at {at}"
        assert sorted(scene.cluster.trained) == [0, 1, 2, 3], f"killed at {at}"
        assert scene.study.exported == dict.fromkeys(range(4), "complete"), f"killed at {at}"
    assert at > 40


def test_checkpoints_are_removed_wherever_the_last_reconciliation_is_killed(tmp_path: Path, crash_point: CrashPoint):
    for at in itertools.count(2):
        crash_point.at = -1
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
        crash_point.at, crash_point.effects = at, 0
        with contextlib.suppress(Crash):
            scene.reconcile()
            break
        crash_point.at = -1
        scene.until_ended()
        left = [path.name for path in scene.directory.root.glob("runs/*/checkpoints/*")]
        assert left == ["best-8.ckpt"] * 2, f"killed at {at}"
        assert scene.states() == ["complete"] * 2
    assert at > 15


def test_every_result_is_exported_wherever_the_last_reconciliation_is_killed(tmp_path: Path, crash_point: CrashPoint):
    for at in itertools.count(2):
        crash_point.at = -1
        scene = Scene(tmp_path / str(at), 2)
        scene.reconcile()
        scene.run_on()
        scene.run_on()
        crash_point.at, crash_point.effects = at, 0
        with contextlib.suppress(Crash):
            scene.reconcile()
            break
        crash_point.at = -1
        scene.reconcile()
        assert scene.study.exported == dict.fromkeys(range(2), "complete"), f"killed at {at}"
    assert at > 10


@pytest.mark.parametrize("seed", range(40))
def test_any_history_of_faults_ends_with_every_trial_finished_once(tmp_path: Path, crash_point: CrashPoint, seed: int):
    """Kills, missing answers, refusals, lost nodes, late listings and cancellations, drawn from the seed."""
    chance = random.Random(seed)
    scene = Scene(tmp_path, 5, parallel=chance.choice([None, 1, 2]), queues=chance.random() < 0.7)
    ends: Counter[int] = Counter()
    for step in range(400):
        crash_point.at, crash_point.effects = (chance.randrange(2, 60) if step < 40 else -1), 0
        scene.cluster.scheduler_error = "squeue: timed out" if chance.random() < 0.1 else None
        scene.cluster.limit = 2 if chance.random() < 0.2 else None
        with contextlib.suppress(Crash, SchedulerError):
            reconciliation = scene.reconcile()
            if not reconciliation.observation.trials and not reconciliation.plan.actions:
                break
        crash_point.at = -1
        assert_one_live_job_per_run(scene)
        _advance(scene, chance)
        ends.update(path.parent.name for path in tmp_path.glob("trials/*/result.json"))
    else:
        raise AssertionError(f"the sweep did not end: {reconciliation.plan}")
    assert len(scene.states()) == 5
    assert set(scene.states()) <= {"complete", "cancelled", "failed"}
    assert scene.study.exported == dict(enumerate(scene.states()))
    completed = [number for number, state in enumerate(scene.states()) if state == "complete"]
    assert {number for number, _ in _published(tmp_path)} >= set(completed)
    assert all(scene.states()[number] == "complete" for number, _ in _published(tmp_path))


def _advance(scene: Scene, chance: random.Random) -> None:
    running = scene.cluster.running()
    if running and chance.random() < 0.1:
        scene.cluster.die(chance.choice(running), JobState.NODE_FAILED)
    if scene.directory.trials() and chance.random() < 0.02:
        scene.directory.cancel_trial(chance.choice(scene.directory.trials()).number)
    if chance.random() < 0.7:
        scene.cluster.tick()
    scene.clock.advance(chance.choice([1, 20, 40, 90]))


def _published(root: Path) -> list[tuple[int, Path]]:
    return [(int(path.parts[-3]), path) for path in root.glob("runs/*/milestones/*.json")]
