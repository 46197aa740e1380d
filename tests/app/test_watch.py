"""When watching a sweep ends, and what it may do meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import small_sweeps

from unetsweep.app import spending as spending_app
from unetsweep.app import watch as watch_app
from unetsweep.app.watch import watch
from unetsweep.config.written import as_yaml
from unetsweep.core import paths
from unetsweep.core.live import LiveSweep
from unetsweep.core.observation import Job, JobState
from unetsweep.core.space import Choices
from unetsweep.core.spending import Limits
from unetsweep.schedulers.local.local_jobs import LocalJobs
from unetsweep.store.sweep_dir import SweepDir


class Rounds:
    """The rounds of a watched sweep; `waits` counts the pauses between them."""

    def __init__(self, sweep: SweepDir, *, reconciles: bool = False) -> None:
        self.waits: list[float] = []
        self.found: Iterator[LiveSweep] = watch(sweep, reconciles=reconciles, wait=self.waits.append)

    def all(self) -> list[LiveSweep]:
        return list(self.found)


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What the scheduler was asked for. It lists no job."""
    asked: list[set[str]] = []
    monkeypatch.setattr(LocalJobs, "jobs", lambda _, tokens: asked.append(set(tokens)) or [])
    return asked


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    return small_sweeps.make_sweep(tmp_path / "results", "s", (8, 16))


def files_of(sweep: SweepDir) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sweep.root.rglob("*")}


def test_a_sweep_whose_trials_have_all_ended_is_over_at_once(sweep: SweepDir) -> None:
    small_sweeps.end(sweep, 0, None, 0.5)
    small_sweeps.end(sweep, 1, None)
    rounds = Rounds(sweep)
    first, last = rounds.all()  # the first one is without what the runs have used
    assert (first.is_over, first.used, last.is_over) == (False, None, True)
    assert last.used is not None
    assert not last.is_well
    assert rounds.waits == []


def test_watching_asks_the_scheduler_once_in_each_round_and_changes_nothing(
    sweep: SweepDir, queries: list[set[str]]
) -> None:
    small_sweeps.submit(sweep, 0, "7", (0, 8))
    before, rounds = files_of(sweep), Rounds(sweep)
    for _ in range(4):
        assert not next(rounds.found).is_over
    assert len(queries) == 3  # the first two models are of the same round
    assert rounds.waits == [2.0, 2.0]
    assert files_of(sweep) == before


def test_a_sweep_that_nobody_continues_is_over_in_the_second_round(sweep: SweepDir) -> None:
    rounds = Rounds(sweep)
    *_, last = rounds.all()
    assert len(rounds.waits) == 1
    assert last.is_over
    assert not last.is_well
    assert "the sweep does not continue by itself" in (last.problem or "")


def test_a_reconciliation_that_begins_between_two_rounds_is_waited_for(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = Rounds(sweep)
    assert [next(rounds.found).is_over for _ in range(2)] == [False, False]
    token = small_sweeps.submit(sweep, 0, "7", (0, 8))
    monkeypatch.setattr(LocalJobs, "jobs", lambda _, tokens: [Job("7", token, 0, JobState.RUNNING, "running")])
    assert not next(rounds.found).is_over


def test_a_paused_sweep_is_over_when_no_job_runs(tmp_path: Path) -> None:
    sweep = small_sweeps.make_sweep(tmp_path / "results", "p", (8, 9, 10, 11))
    for number in range(3):
        small_sweeps.submit(sweep, number, str(number), (number, 8 + number))
        small_sweeps.claim(sweep, number, str(number))
        small_sweeps.fail(sweep, number, "no x")
        small_sweeps.end(sweep, number, str(number), message="no x")
    rounds = Rounds(sweep)
    *_, last = rounds.all()
    assert last.is_over
    assert last.paused is not None
    assert rounds.waits == []


def test_if_another_process_holds_the_lease_the_sweep_is_still_observed(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch, queries: list[set[str]]
) -> None:
    small_sweeps.submit(sweep, 0, "7", (0, 8))
    monkeypatch.setattr(watch_app, "reconcile_sweep", lambda *_: None)
    rounds = Rounds(sweep, reconciles=True)
    assert next(rounds.found).counts == {"submitted": 1, "waiting": 1}
    assert len(queries) == 1


def test_the_option_watch_reconciles_until_every_trial_has_ended(sweep: SweepDir) -> None:
    for number, epochs in ((0, 8), (1, 16)):
        small_sweeps.submit(sweep, number, str(number), (number, epochs))
        small_sweeps.claim(sweep, number, str(number))
        file = sweep.root / paths.run_dir(number) / paths.milestone(epochs)
        file.parent.mkdir()
        file.write_text('{"schema": 1, "state": "complete", "val_iou": 0.5}')
    *_, last = Rounds(sweep, reconciles=True).all()
    assert last.counts == {"complete": 2}
    assert last.is_well
    assert (sweep.root / "trials/0001/result.json").exists()


def test_what_is_used_of_a_limit_is_read_again_only_when_a_trial_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queries: list[set[str]]
) -> None:
    sweep = small_sweeps.make_sweep(tmp_path / "results", "l", (8, 9, 10))
    spec = sweep.spec()
    sweep.replace_spec(as_yaml(replace(spec, study=replace(spec.study, limits=Limits(cpu_hours=5)))))
    read: list[int] = []
    real = spending_app.read_spending
    monkeypatch.setattr(spending_app, "read_spending", lambda *args: read.append(args[3].ended) or real(*args))
    small_sweeps.submit(sweep, 0, "7", (0, 8))
    rounds = Rounds(sweep)
    for _ in range(4):
        next(rounds.found)
    small_sweeps.end(sweep, 1, None, 0.5)
    next(rounds.found)
    assert read == [0, 1]


def test_a_sweep_of_which_everything_has_failed_is_not_paused_but_over(tmp_path: Path) -> None:
    sweep = small_sweeps.make_sweep(tmp_path / "results", "f", (8, 9, 10))
    for number in range(3):
        small_sweeps.submit(sweep, number, str(number), (number, 8 + number))
        small_sweeps.fail(sweep, number, "no x")
        small_sweeps.end(sweep, number, str(number), message="no x")
    *_, last = Rounds(sweep).all()
    assert (last.is_over, last.paused, last.failed) == (True, None, 3)


def test_a_watching_submit_is_not_over_while_another_process_may_propose_more(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit hook holds the lease: all trials that there are have ended, and it has not proposed the next ones yet."""
    small_sweeps.end(sweep, 0, None, 0.5)
    small_sweeps.end(sweep, 1, None, 0.5)
    space = replace(sweep.spec().space.parameters[0], domain=Choices((8, 16, 24)))
    spec = replace(
        sweep.spec(), space=replace(sweep.spec().space, parameters=(space, *sweep.spec().space.parameters[1:]))
    )
    sweep.replace_spec(as_yaml(spec))
    monkeypatch.setattr(watch_app, "reconcile_sweep", lambda *_: None)
    rounds = Rounds(sweep, reconciles=True)
    for _ in range(4):
        assert not next(rounds.found).is_over
