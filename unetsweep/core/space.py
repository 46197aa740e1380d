"""The search space of a sweep: its parameters, each a path into the trial config and a domain of values.

A point is one value for each parameter. No other module knows which parameters a sweep has.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from unetsweep.trial_config import ParameterValue

REQUIRED = ("epochs", "batch_size", "learning_rate")
"""The parameters that every space has, each with one value or more: a config has no default for them."""


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A list or mapping that a parameter may have. Points, files and reports show its name."""

    name: str
    value: Any = field(hash=False)


@dataclass(frozen=True, slots=True)
class Choices:
    """A list of distinct values, in the order of the sweep file."""

    values: tuple[ParameterValue, ...]
    """A list or mapping is in it by its name."""
    named: tuple[NamedValue, ...] = ()

    def setting(self, value: ParameterValue) -> Any:
        """Return what the config has for a value of a point."""
        return next((each.value for each in self.named if each.name == value), value)

    def label(self, setting: Any) -> ParameterValue:
        """Return the value of a point for what the config has."""
        found: ParameterValue = next((each.name for each in self.named if each.value == setting), setting)
        return found


@dataclass(frozen=True, slots=True)
class Range:
    """A range of numbers that includes both ends."""

    low: float
    high: float
    log: bool = False
    """Whether values are drawn on a logarithmic scale."""
    step: float | None = None
    """Distance between two values, counted from `low`; None: any number, or any whole number."""

    @property
    def is_whole(self) -> bool:
        """Whether it contains only whole numbers: both ends and the step are whole."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    def setting(self, value: ParameterValue) -> ParameterValue:
        """Return what the config has for a value of a point: that value."""
        return value

    def label(self, setting: ParameterValue) -> ParameterValue:
        """Return the value of a point for what the config has: that value."""
        return setting


Domain = Choices | Range
Point = Mapping[str, ParameterValue]
"""A value for each parameter, by its path."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a sweep varies."""

    path: str
    """The path of its field in the trial config: `epochs`, `trainer.weight_decay`."""
    domain: Domain


@dataclass(frozen=True, slots=True)
class Space:
    """All parameters of a sweep. The first varies slowest in a grid."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def unknown(cls, paths: Iterable[str] = REQUIRED) -> "Space":
        """Return the space of parameters whose values are not known."""
        return cls(tuple(Parameter(path, Choices(())) for path in paths))

    @classmethod
    def of(cls, **domains: Domain) -> "Space":
        """Return the space of parameters at the top level of the config, by their names."""
        return cls(tuple(Parameter(path, domain) for path, domain in domains.items()))

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all parameters, in order."""
        return tuple(parameter.path for parameter in self.parameters)

    def domain(self, path: str) -> Domain:
        """Return the domain of one parameter; KeyError if the sweep does not vary it."""
        return self.domains()[path]

    def domains(self) -> dict[str, Domain]:
        """Return the domain of each parameter by its path, in order."""
        return {parameter.path: parameter.domain for parameter in self.parameters}

    def key(self, point: Point) -> tuple[ParameterValue, ...]:
        """Return the values of a point, to compare points. Other entries of the mapping do not count."""
        return tuple(point[path] for path in self.paths)


def grid_points(space: Space) -> tuple[Point, ...]:
    """Return every point of a grid once, in the order of the sweep file; none if a parameter has a range."""
    lists = [parameter.domain.values for parameter in space.parameters if isinstance(parameter.domain, Choices)]
    if len(lists) < len(space.parameters):
        return ()
    return tuple(dict(zip(space.paths, values, strict=True)) for values in product(*lists))


def remaining_grid_points(space: Space, taken: Iterable[Point]) -> tuple[Point, ...]:
    """Return the points of a grid that are not in `taken`, in the order of the sweep file."""
    keys = {space.key(point) for point in taken}
    return tuple(point for point in grid_points(space) if space.key(point) not in keys)


def size(space: Space) -> float:
    """Return the number of distinct points; infinity if a range of floats has no step."""
    total = 1.0
    for parameter in space.parameters:
        match parameter.domain:
            case Choices(values):
                total *= len(values)
            case Range(low, high, step=None) as numbers if not numbers.is_whole:
                total *= 1 if low == high else math.inf
            case Range(low, high, step=step):
                total *= math.floor((high - low) / (step or 1) + 1e-9) + 1
    return total


def is_fixed(domain: Domain) -> bool:
    """Return whether a domain has one value only."""
    return len(domain.values) == 1 if isinstance(domain, Choices) else domain.low == domain.high


def largest(domain: Domain) -> int:
    """Return the largest value of a domain of whole numbers."""
    return whole_numbers(domain)[-1] if isinstance(domain, Range) else max(whole_numbers(domain))


def whole_numbers(domain: Domain) -> Sequence[int]:
    """Return all values of a domain of whole numbers."""
    if isinstance(domain, Choices):
        return [int(value) for value in domain.values if isinstance(value, int | float)]
    return range(int(domain.low), int(domain.high) + 1, int(domain.step or 1))
