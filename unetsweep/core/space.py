"""The space of a sweep: its parameters, each a path into the trial config and a domain of values.

No other module of the engine knows which parameters a sweep has. A point is one value for each of them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from unetsweep.trial_config import ParameterValue


@dataclass(frozen=True, slots=True)
class Choices:
    """A list of values in the file's order, no value twice."""

    values: tuple[ParameterValue, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A range of numbers, both ends included."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are in it: both ends are, and so is the step."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))


Domain = Choices | Range
Point = Mapping[str, ParameterValue]
"""A value for each parameter, by its path."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a sweep varies."""

    path: str
    """Into the trial config: `epochs`, `trainer.weight_decay`."""
    domain: Domain


@dataclass(frozen=True, slots=True)
class Space:
    """All parameters of a sweep; the first varies slowest in a grid."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def of(cls, **domains: Domain) -> "Space":
        """From the domains of parameters at the top of the config, by their names."""
        return cls(tuple(Parameter(path, domain) for path, domain in domains.items()))

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(parameter.path for parameter in self.parameters)

    def domain(self, path: str) -> Domain:
        """The domain of one parameter; KeyError where the sweep does not vary it."""
        return self.domains()[path]

    def domains(self) -> dict[str, Domain]:
        """All domains by their paths, in order."""
        return {parameter.path: parameter.domain for parameter in self.parameters}

    def key(self, point: Point) -> tuple[ParameterValue, ...]:
        """Equal for equal points, whatever else the mapping holds."""
        return tuple(point[path] for path in self.paths)


def grid_points(space: Space) -> tuple[Point, ...]:
    """Every point of a grid once, in the file's order; none where a parameter has a range."""
    lists = [parameter.domain.values for parameter in space.parameters if isinstance(parameter.domain, Choices)]
    if len(lists) < len(space.parameters):
        return ()
    return tuple(dict(zip(space.paths, values, strict=True)) for values in product(*lists))


def grid_left(space: Space, taken: Iterable[Point]) -> tuple[Point, ...]:
    """The points of a grid that are not in `taken`, in the file's order."""
    keys = {space.key(point) for point in taken}
    return tuple(point for point in grid_points(space) if space.key(point) not in keys)


def size(space: Space) -> float:
    """Number of distinct points; infinity where a range of floats has no step."""
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


def largest(domain: Domain) -> int:
    """The largest value of a domain of whole numbers."""
    return whole_numbers(domain)[-1] if isinstance(domain, Range) else max(whole_numbers(domain))


def whole_numbers(domain: Domain) -> Sequence[int]:
    """All values of a domain of whole numbers."""
    if isinstance(domain, Choices):
        return [int(value) for value in domain.values if isinstance(value, int | float)]
    return range(int(domain.low), int(domain.high) + 1, int(domain.step or 1))
