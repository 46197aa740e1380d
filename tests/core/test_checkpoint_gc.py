"""When a plan removes the last checkpoints of a run."""

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


def collected_runs(
    *collectable: CollectableRun, keep: Any = "best", trials: tuple[Trial, ...] = (), **more: Any
) -> list[tuple[int, ...]]:
    spec = replace(grid(3, keep_checkpoints=keep), **more)
    observation = Observation(ended=3, trials=trials, collectable=collectable)
    return [
        action.runs for action in plan(spec, observation, QUEUE, NOW).actions if isinstance(action, CollectCheckpoints)
    ]


def test_the_checkpoints_of_all_ended_runs_are_removed_together():
    assert collected_runs(CollectableRun(0, False, NOW), CollectableRun(2, False, LONG_AGO)) == [(0, 2)]


def test_checkpoints_stay_unless_the_sweep_keeps_only_the_best():
    assert collected_runs(CollectableRun(0, False, NOW), keep="all") == []
    assert collected_runs(CollectableRun(0, False, NOW), trainer=TrainerConfig(command="mine {config} {out}")) == []


def test_the_checkpoint_of_a_run_stays_while_an_open_trial_needs_it():
    assert collected_runs(CollectableRun(0, False, NOW), CollectableRun(1, False, NOW), trials=(Trial(7, 1, 8),)) == [
        (0,)
    ]


def test_checkpoints_stay_while_proposed_trials_may_join_the_run():
    collectable_run = CollectableRun(0, False, NOW)
    actions = plan(
        grid(4, keep_checkpoints="best"), Observation(ended=3, collectable=(collectable_run,)), QUEUE, NOW
    ).actions
    assert [type(action) for action in actions] == [Propose]


@pytest.mark.parametrize(
    ("since", "gone"), [(MINUTE_AGO, []), (LONG_AGO, []), (LONG_AGO - timedelta(minutes=1), [(0,)])]
)
def test_checkpoints_stay_until_no_process_of_the_run_can_be_left(since: Any, gone: list[tuple[int, ...]]):
    assert collected_runs(CollectableRun(0, True, since)) == gone
