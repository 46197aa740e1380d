"""The names that we know without importing a library are those of the library."""

import inspect

import optuna
import pytest

from unetsweep.config.names import ELSEWHERE, SAMPLERS


def test_knows_every_sampler_of_optuna() -> None:
    there = {
        name
        for name in dir(optuna.samplers)
        if inspect.isclass(getattr(optuna.samplers, name)) and not name.startswith("Base")
    }

    assert there == set(SAMPLERS) | set(ELSEWHERE)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_argument_is_one_of_the_sampler(name: str) -> None:
    known = inspect.signature(getattr(optuna.samplers, name)).parameters

    assert set(SAMPLERS[name]) <= set(known)
