"""The names of samplers and pruners that the config knows without Optuna are those of Optuna."""

import inspect
from collections.abc import Iterable, Mapping

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


def types_of(known: Mapping[str, inspect.Parameter], names: Iterable[str]) -> dict[str, str]:
    """The types in a signature of Optuna, whose `bool | None` stands for a default that is not None."""
    return {name: _text(known[name].annotation).removesuffix(" | None") for name in names}


def _text(kind: object) -> str:
    text = kind.__name__ if isinstance(kind, type) else str(kind)
    return text.replace("dict[", "Mapping[").removeprefix("collections.abc.").replace("typing.", "")


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_argument_of_a_sampler_has_the_type_that_optuna_expects(name: str) -> None:
    known = inspect.signature(getattr(optuna.samplers, name)).parameters

    assert {key: _text(kind).removesuffix(" | None") for key, kind in SAMPLERS[name].items()} == types_of(
        known, SAMPLERS[name]
    )


def test_every_pruner_of_optuna_is_known() -> None:
    existing = {name for name in dir(optuna.pruners) if inspect.isclass(getattr(optuna.pruners, name))} - {"BasePruner"}

    assert existing == set(PRUNERS) | set(UNSUPPORTED_PRUNERS)


@pytest.mark.parametrize("name", PRUNERS)
def test_every_argument_is_known_to_the_pruner(name: str) -> None:
    known = inspect.signature(getattr(optuna.pruners, name)).parameters

    assert set(PRUNERS[name]) == set(known) - {"wrapped_pruner"}
    assert {key: _text(kind).removesuffix(" | None") for key, kind in PRUNERS[name].items()} == types_of(
        known, PRUNERS[name]
    )
