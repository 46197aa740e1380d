"""Trials: the config of each point of the space, and what the files of a trial say.

`trial_config` is the only place that writes parameters into a config, and `params_of` the only one that reads them.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, cast

from unetsweep.contract import Result, TrialConfig
from unetsweep.core.space import Choices, Point, Space
from unetsweep.core.spec import SweepSpec
from unetsweep.trial_config import ParameterValue, is_own_name

_types = cast(Callable[[Any], dict[str, Any]], cache(typing.get_type_hints))
"""Return the type of each field of a section of the config, by its name."""


def trial_config(spec: SweepSpec, point: Point) -> TrialConfig:
    """Return the config of one point of the space, with the point's `seed` if it has one.

    Only the space of a trainer command may lack batch_size and learning_rate. Then they have the smallest valid value
    and 1, which the program does not get.
    """
    base = TrialConfig(
        data=spec.data,
        epochs=1,
        batch_size=spec.slurm.processes,
        learning_rate=1.0,
        model=spec.model,
        trainer=spec.trainer,
        seed=spec.study.seed,
        processes=spec.slurm.processes,
        accelerator="gpu" if spec.slurm.gpus else "cpu",
        metric=spec.study.metric,
    )
    own: dict[str, Any] = {}
    for path, domain in spec.space.domains().items():
        if path not in point:  # its conditions do not hold
            continue
        if is_own(path):
            own[path] = domain.setting(point[path])
        else:
            base = with_value(base, path, domain.setting(point[path]))
    base = replace(base, params=own) if own else base
    return with_value(base, "seed", point["seed"]) if "seed" in point else base


def params_of(config: TrialConfig, space: Space) -> dict[str, ParameterValue]:
    """Return the point of the space that a config was made of."""
    return space.point_of({path: domain.label(config_value(config, path)) for path, domain in space.domains().items()})


def is_own(path: str) -> bool:
    """Return whether a parameter is a trainer command's own, and no setting.

    >>> is_own("sigma"), is_own("layers.0"), is_own("model.base")
    (True, True, False)
    """
    return _field_type(path) is None


def has_epochs(space: Space) -> bool:
    """Return whether the trainings of a sweep have epochs: a program without epochs has one that nobody named."""
    return space.domain("epochs") != Choices((1,)) or not any(map(is_own, space.paths))


def config_value(config: TrialConfig, path: str) -> Any:
    """Return what a config has for a parameter."""
    if is_own(path):
        return config.params.get(path)
    found: Any = config
    for name in path.split("."):
        found = getattr(found, name)
    return found


def with_value(config: TrialConfig, path: str, value: Any) -> TrialConfig:
    """Return the config with another value of one setting. A number is converted to the type of its field."""
    changed: TrialConfig = _with_value(config, path.split("."), value)
    return changed


def _with_value(section: Any, names: Sequence[str], value: Any) -> Any:
    """Return the section of a config with one value replaced. A number is converted to the type of its field."""
    name, *rest = names
    if rest:
        return replace(section, **{name: _with_value(getattr(section, name), rest, value)})
    kind = _types(type(section))[name]
    if kind in (int, float) and isinstance(value, int | float):
        value = kind(value)
    return replace(section, **{name: value})


def field_type(path: str) -> Any:
    """Return the type of the config field at this path; None: there is no such field, or it is a whole section."""
    section: Any = TrialConfig
    for name in path.split("."):
        if not dataclasses.is_dataclass(section) or name not in _types(section):
            return None
        section = _types(section)[name]
    return None if dataclasses.is_dataclass(section) else section


_field_type = cache(field_type)


def is_value_of(path: str, value: object) -> bool:
    """Return whether a parameter can have a value of this type. There may be thousands of trials."""
    return type(value) in _types_of_values(path)


@cache
def _types_of_values(path: str) -> tuple[type, ...]:
    """The types of the values of the parameter at this path; empty: none can have this name."""
    if is_own(path):
        return (float, int, str, bool, types.NoneType) if is_own_name(path) else ()
    found = field_type(path)
    options = typing.get_args(found) if isinstance(found, types.UnionType) else (found,)
    known: list[type] = []
    for option in options:
        if typing.get_origin(option) is Literal:
            known += [type(each) for each in typing.get_args(option)]
        elif option is float:
            known += [float, int]
        elif option is Any:
            known += [float, int, str, bool, type(None)]
        elif isinstance(option, type):
            known.append(option)
    return tuple(known)


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial as its files describe it, open or ended."""

    number: int
    run: int
    epochs: int = 0
    """Its milestone in the run; 0: not known."""
    batch_size: int = 0
    """Its global batch; 0: not known."""
    params: Mapping[str, ParameterValue] | None = None
    """Its point of the space; None: not known."""
    config_id: str = ""
    """Digest of its config; empty: not known."""
    run_key: str | None = None
    """`contract.run_key` of its config; None: it shares a run with no other trial."""
    training_seed: int | None = None
    """None: not known."""
    code: str | None = None
    """Hash of the package that its jobs run; None: the installed one."""
    result: Result | None = None
    """None: the trial is open."""
    cancelled: bool = False
    is_listed: bool = False
    """Whether it was made for a point of `points:` or of `unetsweep add`."""
    unreadable: str | None = None
    """Which file of it cannot be read, and why; None: all can."""

    @property
    def point(self) -> dict[str, ParameterValue] | None:
        """Its parameters and the seed of its training; None: not known."""
        return None if self.params is None else {**self.params, "seed": self.training_seed}


def longest_of_runs(trials: Iterable[StoredTrial]) -> dict[int, StoredTrial]:
    """Return the trial with the most epochs of each run; the first of equal ones. It represents its run."""
    found: dict[int, StoredTrial] = {}
    for trial in trials:
        other = found.get(trial.run)
        if other is None or trial.epochs > other.epochs:
            found[trial.run] = trial
    return found
