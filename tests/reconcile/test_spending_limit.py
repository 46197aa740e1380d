"""`study.limits`, in reconciliations of a real directory: what has been used is read from the files each time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Crash, CrashPoint, FakeStudy
from scenes import Scene

from unetsweep.app.executors import LOCAL
from unetsweep.app.spending import read_spending, spending_reader
from unetsweep.core.actions import Propose
from unetsweep.core.space import Point
from unetsweep.core.spending import Limits, Spending
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.loop import Reconciliation, reconcile
from unetsweep.store.retries import reset_open_retries

HOUR = 3600.0


class LimitedScene(Scene):
    """A sweep of ten trials, each of which uses an hour of one CPU."""

    def __init__(self, root: Path, cpu_hours: float, **more: Any) -> None:
        super().__init__(root, 10, **more)
        self.limit(cpu_hours)

    def limit(self, cpu_hours: float) -> None:
        self.spec = replace(self.spec, study=replace(self.spec.study, limits=Limits(cpu_hours=cpu_hours)))

    def context(self) -> SweepContext:
        return replace(super().context(), spending=spending_reader(self.spec, self.directory, LOCAL))

    def spending(self) -> Spending:
        return read_spending(self.spec, self.directory, LOCAL, self.directory.observe(), self.clock.now())

    def hour(self) -> None:
        """Start what is queued, and end it an hour later."""
        for each in self.cluster.live():
            self.cluster.start(each)
        self.clock.advance(HOUR)
        for each in self.cluster.running():
            run, attempt = self.cluster.run_of(each)
            self.directory.record_exit(run, attempt, 0, 0, self.directory.root / "log")
            self.cluster.finish(each)

    def until_still(self) -> Reconciliation:
        """Reconcile, with an hour in between, until nothing is open."""
        for _ in range(20):
            found = self.reconcile()
            if not found.observation.trials:
                return found
            self.hour()
        raise AssertionError("the sweep did not end")


def test_a_sweep_stops_at_its_limit_and_continues_when_that_is_raised(tmp_path: Path):
    scene = LimitedScene(tmp_path, cpu_hours=6)
    ended = scene.until_still()
    assert scene.states() == ["complete"] * 6
    assert ended.plan.limit is not None
    assert ended.plan.limit.startswith("limit reached: 6 of 6 CPU-hours used; no more trials are proposed.")
    assert scene.reconcile().done == []
    scene.limit(7.5)
    scene.until_still()
    assert scene.states() == ["complete"] * 8, "the last one exceeds the limit by less than a training"


def test_before_a_training_has_ended_no_more_are_open_than_can_run_at_once(tmp_path: Path):
    scene = LimitedScene(tmp_path, cpu_hours=6, parallel=2)
    scene.reconcile()
    assert scene.spending() == Spending(0.0, None, None)
    assert len(scene.directory.trials()) == 2
    scene.hour()
    scene.reconcile()
    assert len(scene.directory.trials()) == 6, "what a training uses is known now"


def test_open_trainings_count_with_what_they_are_expected_to_use(tmp_path: Path):
    scene = LimitedScene(tmp_path, cpu_hours=6)
    scene.reconcile()
    scene.hour()
    found = scene.reconcile()
    assert scene.spending() == Spending(pytest.approx(4.0), pytest.approx(2.0), pytest.approx(1.0))
    assert found.plan.limit is not None
    assert "4 of 6 CPU-hours used, about 2 more expected by open trainings" in found.plan.limit


def test_attempts_that_were_lost_count(tmp_path: Path):
    scene = LimitedScene(tmp_path, cpu_hours=6, parallel=1)
    scene.reconcile()
    (job,) = scene.cluster.live()
    scene.cluster.start(job)
    scene.clock.advance(2 * HOUR)
    scene.directory.record_exit(0, 1, 0, 137, scene.directory.root / "log")
    scene.cluster.die(job)
    scene.until_still()
    assert scene.states() == ["complete"] * 4
    assert scene.spending().used == pytest.approx(6.0)


def test_trials_that_are_retried_go_on_although_the_limit_is_reached(tmp_path: Path):
    scene = LimitedScene(tmp_path, cpu_hours=0.5, parallel=1)
    scene.reconcile()
    (job,) = scene.cluster.live()
    scene.cluster.start(job)
    scene.clock.advance(HOUR)
    scene.directory.record_exit(0, 1, 0, 137, scene.directory.root / "log")
    scene.cluster.die(job)
    reset_open_retries(scene.directory.root)
    ended = scene.until_still()
    assert scene.states() == ["complete"]
    assert ended.plan.limit is not None


def test_a_sweep_without_a_limit_reads_nothing(tmp_path: Path):
    scene = Scene(tmp_path, 3)
    assert spending_reader(scene.spec, scene.directory, LOCAL) is None


def test_what_is_used_is_read_only_if_more_trials_might_be_proposed(tmp_path: Path):
    scene = LimitedScene(tmp_path, cpu_hours=100, parallel=2)
    read: list[Spending] = []

    def reading(*arguments: Any) -> Spending:
        read.append(scene.spending())
        return read[-1]

    while len(scene.directory.trials()) < 10:
        scene.reconcile()
        scene.hour()
    reconcile(replace(scene.context(), spending=reading))
    assert read == []


def test_a_kill_at_any_moment_neither_loses_a_trial_nor_exceeds_the_limit(tmp_path: Path):
    crashes = 0
    for at in range(2, 10):
        scene = LimitedScene(tmp_path / str(at), cpu_hours=3, parallel=1)
        crash = CrashPoint(at)
        scene.directory.add_trials = crash.wrap(scene.directory.add_trials)  # type: ignore[method-assign]
        scene.directory.create_attempts = crash.wrap(scene.directory.create_attempts)  # type: ignore[method-assign]
        for _ in range(12):
            try:
                done = scene.reconcile().observation.trials
            except Crash:
                crashes, done = crashes + 1, ()
                scene.clock.advance(60)
                continue
            if not done:
                break
            scene.hour()
        assert scene.states() == ["complete"] * 3
        assert sorted(scene.cluster.trained) == [0, 1, 2]
    assert crashes == 8


def test_two_reconciliations_at_once_do_not_propose_twice(tmp_path: Path):
    class SlowStudy(FakeStudy):
        def propose(self, *arguments: Any) -> list[Point]:
            scene.study = FakeStudy()
            scene.reconcile()  # the other one, while this one proposes
            return super().propose(*arguments)

    scene = LimitedScene(tmp_path, cpu_hours=3, parallel=3)
    scene.study = SlowStudy()
    found = scene.reconcile()
    assert len(scene.directory.trials()) == 3
    assert not any(isinstance(action, Propose) for action in found.done)
