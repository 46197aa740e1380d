"""A sampler or pruner that would fail later is refused before a sweep is made."""

import sys
from typing import Any

import pytest
from search_sweeps import RATE, SMALL, sweep

from unetsweep.config.names import PRUNERS, SAMPLERS
from unetsweep.core.space import Choices, Range, Space
from unetsweep.errors import UsageError
from unetsweep.search import study
from unetsweep.search.study import check_study

RANGE = Space.of(epochs=Choices((8, 16)), batch_size=Choices((4,)), learning_rate=RATE)
NEEDED = {
    "PercentilePruner": {"percentile": 25.0},
    "PatientPruner": {"patience": 2},
    "ThresholdPruner": {"lower": 0.0},
}


INSTALLED = sorted(set(SAMPLERS) - {"CmaEsSampler", "BruteForceSampler", "GPSampler"})
SLOW = pytest.param("GPSampler", marks=pytest.mark.thorough)  # it imports torch


@pytest.mark.parametrize("sampler", ["random", "tpe", *INSTALLED, SLOW])
def test_every_installed_sampler_passes(sampler: str) -> None:
    check_study(sweep(RANGE, sampler=sampler))


@pytest.mark.parametrize("pruner", PRUNERS)
def test_every_pruner_passes(pruner: str) -> None:
    check_study(sweep(pruner=pruner, pruner_args=NEEDED.get(pruner, {})))


def test_a_sampler_whose_package_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)  # as if it were not installed
    with pytest.raises(UsageError, match=r"CmaEsSampler needs a package that is not installed: .*cmaes"):
        check_study(sweep(RANGE, sampler="CmaEsSampler"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": "TPESampler", "sampler_args": {"n_ei_candidates": 0}}, "TPESampler cannot draw from this space"),
        ({"sampler": "NSGAIISampler", "sampler_args": {"population_size": 0}}, "cannot be made with"),
        ({"sampler": "QMCSampler", "sampler_args": {"qmc_type": "x"}}, "cannot be made with"),
        ({"pruner": "PercentilePruner", "pruner_args": {"percentile": 101.0}}, "cannot be made with"),
        ({"pruner": "HyperbandPruner", "pruner_args": {"reduction_factor": 1}}, "HyperbandPruner cannot judge a"),
        ({"pruner": "HyperbandPruner", "pruner_args": {"min_resource": 0}}, "HyperbandPruner cannot judge a training"),
    ],
)
def test_arguments_that_fail_only_when_they_are_used_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_study(sweep(RANGE, **change))


def test_a_range_that_optuna_cannot_represent_is_refused() -> None:
    space = Space.of(epochs=Choices((8,)), batch_size=Choices((4,)), learning_rate=Range(1e-300, 1e-299, step=1e-308))
    with pytest.raises(UsageError, match="tpe cannot draw from this space"):
        check_study(sweep(space, sampler="tpe"))


def test_a_grid_and_the_own_pruners_need_no_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("optuna_samplers", "optuna_pruners"):
        monkeypatch.setitem(sys.modules, f"{study.__package__}.{name}", None)
    check_study(sweep(SMALL, pruner="asha"))
