"""When the last checkpoints of a run go."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from plan_rows import LONG_AGO, NOW, QUEUE, grid

from unetsweep.contract import TrainerConfig
from unetsweep.core.actions import CollectCheckpoints, Propose
from unetsweep.core.observation import CollectableRun, Observation, Trial
from unetsweep.core.plan import plan

MINUTE_AGO = NOW - timedelta(minutes=1)


def cleared(
    *collectable: CollectableRun, keep: Any = "best", trials: tuple[Trial, ...] = (), **more: Any
) -> list[tuple[int, ...]]:
    spec = replace(grid(3, keep_checkpoints=keep), **more)
    seen = Observation(ended=3, trials=trials, collectable=collectable)
    return [action.runs for action in plan(spec, seen, QUEUE, NOW).actions if isinstance(action, CollectCheckpoints)]


def test_the_runs_that_are_over_go_together():
    assert cleared(CollectableRun(0, False, NOW), CollectableRun(2, False, LONG_AGO)) == [(0, 2)]


def test_nothing_goes_unless_it_is_asked_for():
    assert cleared(CollectableRun(0, False, NOW), keep="all") == []
    assert cleared(CollectableRun(0, False, NOW), trainer=TrainerConfig(command="mine {config} {out}")) == []


def test_a_run_that_an_open_trial_needs_stays():
    assert cleared(CollectableRun(0, False, NOW), CollectableRun(1, False, NOW), trials=(Trial(7, 1, 8),)) == [(0,)]


def test_nothing_goes_while_trials_are_proposed_that_may_join_it():
    collectable_run = CollectableRun(0, False, NOW)
    actions = plan(
        grid(4, keep_checkpoints="best"), Observation(ended=3, collectable=(collectable_run,)), QUEUE, NOW
    ).actions
    assert [type(action) for action in actions] == [Propose]


@pytest.mark.parametrize(
    ("since", "gone"), [(MINUTE_AGO, []), (LONG_AGO, []), (LONG_AGO - timedelta(minutes=1), [(0,)])]
)
def test_a_run_that_may_have_a_process_stays_until_none_can_be_left(since: Any, gone: list[tuple[int, ...]]):
    assert cleared(CollectableRun(0, True, since)) == gone
