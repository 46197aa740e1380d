"""Proposals never repeat a point and are determined by the seed."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from search_sweeps import RATE, SMALL, curve, ended, opened, sweep

from unetsweep.contract import Result
from unetsweep.core.space import Choices, Domain, Range, Space
from unetsweep.core.space_size import size
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import UsageError
from unetsweep.search.optuna_samplers import propose


def search(spec: SweepSpec, count: int, at_once: int = 1) -> list[dict[str, Any]]:
    """The points of a whole search, in which the value of a trial depends on its point only."""
    trials: list[StoredTrial] = []
    while len(trials) < count:
        points = propose(spec, trials, min(at_once, count - len(trials)))
        if not points:
            break
        for point in points:
            trials.append(ended(len(trials), point, value=1 / (1 + point["learning_rate"] * point["epochs"])))
    return [dict(trial.params or {}) for trial in trials]


def keys(points: Iterable[dict[str, Any]]) -> list[tuple[float, ...]]:
    return [tuple(point.values()) for point in points]


FINITE = [
    pytest.param(SMALL, id="choices"),
    pytest.param(
        Space.of(epochs=Range(1, 3), batch_size=Choices((4,)), learning_rate=Choices((1e-4, 1e-3))),
        id="a range of whole numbers",
    ),
    pytest.param(
        Space.of(epochs=Choices((4,)), batch_size=Range(4, 12, step=4), learning_rate=Range(0.1, 0.3, step=0.1)),
        id="ranges with steps",
    ),
]


@pytest.mark.parametrize("space", FINITE)
@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_finite_space_is_searched_completely_without_repeating_a_point(space: Space, sampler: str, at_once: int):
    points = search(sweep(space, sampler=sampler), 99, at_once)
    assert len(set(keys(points))) == len(points) == size(space)


def test_a_search_is_determined_by_its_seed():
    space = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=RATE)
    first, again, other = (search(sweep(space, sampler="tpe", seed=seed), 14) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_running_trial_is_not_proposed_again_and_changes_no_other_proposal():
    spec = sweep(Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE), sampler="random")
    together = propose(spec, [], 3)
    (first,) = propose(spec, [], 1)
    later = propose(spec, [opened(0, first)], 2)
    assert together == [first, *later]


def test_tpe_learns_from_the_results_in_the_direction_of_the_metric():
    space = Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE)
    for metric, best in (("val_iou", "high"), ("val_loss", "low")):
        spec = sweep(space, metric, sampler="tpe", seed=1)
        trials: list[StoredTrial] = []
        for number in range(30):
            (point,) = propose(spec, trials, 1)
            trial = ended(number, point)
            rate = point["learning_rate"]
            trials.append(replace(trial, result=Result(val_iou=rate, val_loss=rate)))
        late = sorted(trial.params["learning_rate"] for trial in trials[15:])[7]
        assert (late > 1e-3) == (best == "high")


@pytest.mark.parametrize("state", ["failed", "cancelled", "diverged", "pruned"])
def test_a_trial_without_a_value_stops_no_search(state: str):
    trials = [ended(k, {"epochs": 4, "batch_size": 4, "learning_rate": 10**-k}, state, None) for k in range(2, 5)]
    (point,) = propose(
        sweep(Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE), sampler="tpe"), trials, 1
    )
    assert 1e-5 <= point["learning_rate"] <= 1e-2


@pytest.mark.parametrize("sampler", ["TPESampler", "RandomSampler"])
def test_samplers_of_optuna_can_be_named(sampler: str):
    space = Space.of(epochs=Range(1, 9), batch_size=Choices((4,)), learning_rate=RATE)
    assert len(set(keys(search(sweep(space, sampler=sampler), 6)))) == 6


def test_invalid_arguments_of_a_sampler_are_named_in_the_error():
    with pytest.raises(UsageError, match=r"TPESampler cannot be made with \{'n_ei_candidates': 'x', 'no_such': 1\}"):
        propose(sweep(sampler="tpe", sampler_args={"n_ei_candidates": "x", "no_such": 1}), [], 1)


@pytest.mark.parametrize("domain", [Choices((1e-4, 1e-3)), RATE, Range(0.1, 0.3, step=0.1)])
def test_a_proposed_point_is_valid_for_a_config(domain: Domain):
    (point,) = propose(
        sweep(Space.of(epochs=Choices((4,)), batch_size=Range(4, 8), learning_rate=domain), sampler="random"), [], 1
    )
    assert point["epochs"] == 4
    assert point["batch_size"] == int(point["batch_size"])


def test_tpe_learns_from_pruned_trials():
    """All trials are pruned, and a higher learning rate gives a better value."""
    space = Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE)
    spec = sweep(space, sampler="tpe", seed=1)
    trials: list[StoredTrial] = []
    for number in range(30):
        (point,) = propose(spec, trials, 1, lambda run: curve(0.0, trials[run].params["learning_rate"]))
        trials.append(ended(number, point, "pruned", None))
    late = sorted(trial.params["learning_rate"] for trial in trials[15:])[7]
    assert late > 1e-3
