"""Searches over spaces with conditions and exclusions."""

from pathlib import Path

import optuna
import pytest
from search_sweeps import ended, sweep

from unetsweep.config.names import SAMPLERS
from unetsweep.config.rules import WITHOUT_CONDITIONS
from unetsweep.core.space import Choices, Condition, Parameter, Range, Space
from unetsweep.core.space_size import size
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.search.journal import export, load
from unetsweep.search.optuna_samplers import check_sampler, propose

THREE = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,))).parameters
OPTIMIZER = Parameter("trainer.optimizer", Choices(("adam", "sgd")))
WHEN = (Condition("trainer.optimizer", ("sgd",)),)
FINITE = Space((*THREE, OPTIMIZER, Parameter("trainer.momentum", Choices((0.8, 0.9)), WHEN)))
INFINITE = Space((*THREE, OPTIMIZER, Parameter("trainer.momentum", Range(0.8, 0.99), WHEN)))


def search(spec: SweepSpec, count: int) -> list[StoredTrial]:
    """The trials of a search whose trials end at once."""
    trials: list[StoredTrial] = []
    while len(trials) < count and (points := propose(spec, trials, 1)):
        trials += [ended(len(trials), point, value=len(trials) / 100) for point in points]
    return trials


SUPPORTED = ["random", "tpe", "NSGAIISampler", "NSGAIIISampler", "BruteForceSampler", "TPESampler", "RandomSampler"]


@pytest.mark.parametrize("sampler", SUPPORTED)
def test_each_point_of_a_space_with_conditions_and_exclusions_is_proposed_once(sampler: str) -> None:
    space = Space(FINITE.parameters, ((("trainer.momentum", 0.8), ("epochs", 8)),))
    spec = sweep(space, sampler=sampler)
    check_sampler(spec)
    trials = search(spec, 9)
    assert len({space.key(trial.params or {}) for trial in trials}) == len(trials) == size(space) == 5
    for trial in trials:
        params = trial.params or {}
        assert ("trainer.momentum" in params) == (params["trainer.optimizer"] == "sgd")
        assert not space.is_excluded(params)


@pytest.mark.parametrize("arguments", [{}, {"multivariate": True, "group": True}])
def test_tpe_searches_an_infinite_space_with_conditions(arguments: dict[str, bool]) -> None:
    trials = search(sweep(INFINITE, sampler="TPESampler", sampler_args={"n_startup_trials": 2, **arguments}), 12)
    assert len(trials) == 12
    assert all(
        ("trainer.momentum" in params) == (params["trainer.optimizer"] == "sgd")
        for params in (trial.params or {} for trial in trials)
    )


def test_a_search_that_meets_only_excluded_points_continues_at_random_and_ends_if_there_are_none() -> None:
    rate = Parameter("learning_rate", Range(1e-5, 1e-2, log=True))
    optimizer = Parameter("trainer.optimizer", Choices(("adam", "adamw", "sgd")))
    excluded = ((("trainer.optimizer", "adam"),), (("trainer.optimizer", "adamw"),))
    left = sweep(Space((rate, optimizer), excluded), sampler="tpe")
    assert {(trial.params or {})["trainer.optimizer"] for trial in search(left, 12)} == {"sgd"}
    nothing = sweep(Space((rate, optimizer), (*excluded, (("trainer.optimizer", "sgd"),))), sampler="tpe")
    assert propose(nothing, [], 1) == []


def test_other_programs_find_no_parameter_that_a_point_does_not_have(tmp_path: Path) -> None:
    spec = sweep(INFINITE, sampler="tpe")
    trials = search(spec, 8)
    export(tmp_path / "study.journal", spec, trials)
    study = load(tmp_path / "study.journal", "s")
    assert [trial.params for trial in study.trials] == [trial.params for trial in trials]
    assert {len(trial.params) for trial in study.trials} == {4, 5}
    kinds = {kind for trial in study.trials for name, kind in trial.distributions.items() if name == "trainer.momentum"}
    assert all(isinstance(kind, optuna.distributions.FloatDistribution) for kind in kinds)
    assert study.best_trial.number == 7


def test_every_sampler_searches_a_space_with_conditions_or_is_refused() -> None:
    assert {*SUPPORTED} - {"random", "tpe"} | {*WITHOUT_CONDITIONS} == set(SAMPLERS)


OWN = Space(
    (
        Parameter("kernel", Choices(("rbf", 2, 0.5, True, None))),
        Parameter("layers.0", Range(-3, 3), (Condition("kernel", ("rbf", None)),)),
        Parameter("shift", Range(-1.5, -0.5)),
        Parameter("epochs", Choices((1,))),
    )
)


@pytest.mark.parametrize("sampler", [each for each in SUPPORTED if each != "BruteForceSampler"])
def test_parameters_of_a_programs_own_are_searched_and_stored_in_the_study(tmp_path: Path, sampler: str) -> None:
    spec = sweep(OWN, sampler=sampler)
    check_sampler(spec)
    trials = search(spec, 12)
    export(tmp_path / "study.journal", spec, trials)
    assert [trial.params for trial in load(tmp_path / "study.journal", "s").trials] == [each.params for each in trials]
    assert all(("layers.0" in each) == (each["kernel"] in ("rbf", None)) for each in (t.params or {} for t in trials))
    assert all(type((trial.params or {}).get("layers.0", 0)) is int for trial in trials)
