"""The names of samplers and pruners that the config knows without Optuna are those of Optuna."""

import inspect

import optuna
import pytest

from unetsweep.config.names import PRUNERS, SAMPLERS, UNSUPPORTED_PRUNERS, UNSUPPORTED_SAMPLERS


def test_every_sampler_of_optuna_is_known() -> None:
    existing = {
        name
        for name in dir(optuna.samplers)
        if inspect.isclass(getattr(optuna.samplers, name)) and not name.startswith("Base")
    }

    assert existing == set(SAMPLERS) | set(UNSUPPORTED_SAMPLERS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_argument_is_known_to_the_sampler(name: str) -> None:
    known = inspect.signature(getattr(optuna.samplers, name)).parameters

    assert set(SAMPLERS[name]) <= set(known)


def test_every_pruner_of_optuna_is_known() -> None:
    existing = {name for name in dir(optuna.pruners) if inspect.isclass(getattr(optuna.pruners, name))} - {"BasePruner"}

    assert existing == set(PRUNERS) | set(UNSUPPORTED_PRUNERS)


@pytest.mark.parametrize("name", PRUNERS)
def test_every_argument_is_known_to_the_pruner(name: str) -> None:
    known = set(inspect.signature(getattr(optuna.pruners, name)).parameters)

    assert set(PRUNERS[name]) == known - {"wrapped_pruner"}
