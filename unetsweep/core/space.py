"""The search space of a sweep: its parameters, each a path into the trial config and a domain of values.

A point is one value for each parameter. No other module knows which parameters a sweep has.

Rule 1: a parameter with conditions is part of a point only where they hold. So two trials that differ only in a value
        that neither of them uses are the same point.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
"""A value for each parameter that it has, by its path."""
PartialPoint = tuple[tuple[str, ParameterValue], ...]
"""Values of some parameters, by their paths."""
_ABSENT = "a parameter that a point does not have", ()
"""Differs from every value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Another parameter has one of these values."""

    path: str
    values: tuple[ParameterValue, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a sweep varies."""

    path: str
    """The path of its field in the trial config: `epochs`, `trainer.weight_decay`."""
    domain: Domain
    when: tuple[Condition, ...] = ()
    """A point has the parameter only if all of them hold."""

    def is_part_of(self, point: Point) -> bool:
        """Return whether a point has this parameter. The point must have those that it depends on."""
        return all(point.get(each.path, _ABSENT) in each.values for each in self.when)


@dataclass(frozen=True, slots=True)
class Space:
    """All parameters of a sweep. The first varies slowest in a grid."""

    parameters: tuple[Parameter, ...]
    excluded: tuple[PartialPoint, ...] = ()
    """No point that contains one of them is proposed."""

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

    @property
    def has_conditions(self) -> bool:
        """Whether some points lack a parameter."""
        return any(parameter.when for parameter in self.parameters)

    def domain(self, path: str) -> Domain:
        """Return the domain of one parameter; KeyError if the sweep does not vary it."""
        return self.domains()[path]

    def domains(self) -> dict[str, Domain]:
        """Return the domain of each parameter by its path, in order."""
        return {parameter.path: parameter.domain for parameter in self.parameters}

    def by_dependence(self) -> list[Parameter]:
        """Return the parameters in order, but each after those that it depends on."""
        if not self.has_conditions:
            return list(self.parameters)
        left, found = list(self.parameters), dict[str, Parameter]()
        while left:
            ready = [each for each in left if all(condition.path in found for condition in each.when)]
            if not ready:
                raise ValueError(f"the conditions of {', '.join(each.path for each in left)} form a circle")
            found[ready[0].path] = ready[0]
            left.remove(ready[0])
        return list(found.values())

    def point_of(self, values: Point) -> dict[str, ParameterValue]:
        """Return the point with these values, without the parameters whose conditions do not hold."""
        point: dict[str, ParameterValue] = {}
        for parameter in self.by_dependence():
            if parameter.is_part_of(point):
                point[parameter.path] = values[parameter.path]
        return {path: point[path] for path in self.paths if path in point}

    def key(self, point: Point) -> tuple[object, ...]:
        """Return the values of a point, to compare points. Other entries of the mapping do not count."""
        return tuple(point.get(path, _ABSENT) for path in self.paths)

    def with_values(self, point: Point) -> "Space":
        """Return the space in which the parameters that a point names have this value only."""
        named = {each.path: Choices((point[each.path],)) for each in self.parameters if each.path in point}
        return replace(self, parameters=tuple(replace(p, domain=named.get(p.path, p.domain)) for p in self.parameters))

    def contains(self, point: Point) -> bool:
        """Return whether a sampler may propose the point: all of its values are in their domains, and it is not
        excluded."""
        values = ((each.domain, point[each.path]) for each in self.parameters if each.path in point)
        return all(contains(domain, value) for domain, value in values) and not self.is_excluded(point)

    def is_full(self, point: Point) -> bool:
        """Return whether the point names every parameter that a trial with these values has."""
        if not self.has_conditions:
            return all(each.path in point for each in self.parameters)
        return all(each.path in point for each in self.by_dependence() if each.is_part_of(point))

    def is_excluded(self, point: Point) -> bool:
        """Return whether the point must not be proposed."""
        return any(all(point.get(path, _ABSENT) == value for path, value in each) for each in self.excluded)


def contains(domain: Domain, value: object) -> bool:
    """Return whether a value is one of a domain.

    >>> contains(Choices((1, "a")), True), contains(Range(4, 16, step=4), 12), contains(Range(4, 16, step=4), 13)
    (False, True, False)
    """
    if isinstance(domain, Choices):
        return any(each == value and isinstance(each, bool) == isinstance(value, bool) for each in domain.values)
    if isinstance(value, bool) or not isinstance(value, int | float) or not domain.low <= value <= domain.high:
        return False
    step = domain.step or (1 if domain.is_whole else None)
    steps = 0.0 if step is None else (value - domain.low) / step
    return abs(steps - round(steps)) < 1e-6


def grid_points(space: Space) -> tuple[Point, ...]:
    """Return every point of a grid once, in the order of the sweep file; none if a parameter has a range."""
    if any(isinstance(parameter.domain, Range) for parameter in space.parameters):
        return ()
    return tuple(point for point in walk(space) if not space.is_excluded(point))


def remaining_grid_points(space: Space, taken: Iterable[Point]) -> tuple[Point, ...]:
    """Return the points of a grid that are not in `taken`, in the order of the sweep file."""
    keys = {space.key(point) for point in taken}
    return tuple(point for point in grid_points(space) if space.key(point) not in keys)


def values_in(domain: Domain) -> Sequence[ParameterValue]:
    """Return all values of a list, of a range of whole numbers, or of a range with a step."""
    match domain:
        case Choices(values):
            return values
        case Range(low, high, step=step):
            return [low + k * (step or 1) for k in range(math.floor((high - low) / (step or 1) + 1e-9) + 1)]


def walk(space: Space, values: Callable[[Domain], Sequence[ParameterValue]] = values_in) -> Iterator[Point]:
    """Yield every point of a finite space once, also those that are excluded. The first parameter varies slowest."""
    if not space.has_conditions:
        lists = [values(parameter.domain) for parameter in space.parameters]
        yield from (dict(zip(space.paths, each, strict=True)) for each in product(*lists))
        return
    order = space.by_dependence()
    domains = {parameter.path: values(parameter.domain) for parameter in order}

    def visit(at: int, point: dict[str, ParameterValue]) -> Iterator[Point]:
        if at == len(order):
            yield {path: point[path] for path in space.paths if path in point}
        elif order[at].is_part_of(point):
            for value in domains[order[at].path]:
                yield from visit(at + 1, {**point, order[at].path: value})
        else:
            yield from visit(at + 1, point)

    yield from visit(0, {})


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
