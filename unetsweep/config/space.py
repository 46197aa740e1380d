"""Read the space: a list, one number, or a range for each parameter.

Rule 1: a parameter never has a value twice, and a range reaches its `high`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unetsweep.core.space import Choices, Domain, Parameter, Range, Space
from unetsweep.core.trials import field_type
from unetsweep.decode import joined, unknown_keys
from unetsweep.errors import Problem
from unetsweep.limits import BOUNDS, MAX_LEARNING_RATE, MAX_STEPS, MAX_VALUES
from unetsweep.trial_config import ParameterValue

AXES = ("epochs", "batch_size", "learning_rate")
"""The parameters that `space:` of a user's YAML file must name, each with a value, a list or a range. It may name no
others."""
_FORMS = "a list of numbers, one number, or {low, high, log, step}"


@dataclass(frozen=True, slots=True)
class Axes:
    """What could be read of the space."""

    domains: Mapping[str, Domain]
    """By path; those with problems are left out."""
    is_complete: bool = False
    """Whether none is left out."""

    def space(self) -> Space | None:
        """Return the space; None if a part of it could not be read."""
        if not self.is_complete:
            return None
        return Space(tuple(Parameter(path, domain) for path, domain in self.domains.items()))


def axes_from(raw: object, problems: list[Problem], at: str = "space", *, any_parameter: bool = False) -> Axes:
    """Read the parameters under `space:`; what does not fit is added to `problems`.

    `any_parameter`: any field of the trial config may be varied, by its path, beside those of AXES.
    """
    if not isinstance(raw, Mapping):
        found = "is missing" if raw is None else f"found {raw!r}"
        problems.append(Problem(f"{found}; a mapping with keys {', '.join(AXES)} is expected", at))
        return Axes({})
    more = [path for path in raw if any_parameter and path not in AXES and field_type(str(path)) is not None]
    problems += unknown_keys(raw, (*AXES, *more), at)
    domains: dict[str, Domain | None] = {}
    for path in (*AXES, *more):
        if raw.get(path) is None:
            problems.append(Problem(f"is missing; {_FORMS}", f"{at}.{path}"))
            domains[path] = None
        else:
            domains[path] = _domain(path, raw[path], problems, f"{at}.{path}")
    read = {path: domain for path, domain in domains.items() if domain is not None}
    return Axes(read, len(read) == len(domains))


def _domain(name: str, raw: object, problems: list[Problem], at: str) -> Domain | None:
    if isinstance(raw, Mapping):
        return _range(name, raw, problems, at)
    if isinstance(raw, list):
        return _choices(name, raw, problems, at)
    value = _number(name, raw, problems, at, forms=f"; {_FORMS}")
    return None if value is None else Choices((value,))


def _choices(name: str, raw: Sequence[object], problems: list[Problem], at: str) -> Choices | None:
    if not raw:
        problems.append(Problem("found an empty list; at least one value", at))
        return None
    if len(raw) > MAX_VALUES:
        problems.append(Problem(f"found {len(raw)} values; at most {MAX_VALUES}", at))
        return None
    values: dict[ParameterValue, None] = {}  # in their order; there may be a thousand
    before = len(problems)
    is_number = field_type(name) in (int, float)
    for index, item in enumerate(raw):
        if not is_number:
            if isinstance(item, ParameterValue):
                values[item] = None
            else:
                problems.append(Problem(f"found {_describe(item)}; a text, a number, true or false", f"{at}.{index}"))
            continue
        value = _number(name, item, problems, f"{at}.{index}")
        if value is not None and value in values:
            problems.append(Problem(f"found {format_number(value)} twice; remove one", f"{at}.{index}"))
        elif value is not None:
            values[value] = None
    return Choices(tuple(values)) if len(problems) == before else None


def _range(name: str, raw: Mapping[str, Any], problems: list[Problem], at: str) -> Range | None:
    found = unknown_keys(raw, ("low", "high", "log", "step"), at)
    numbers: dict[str, float | None] = {}
    for key in ("low", "high", "step"):
        if raw.get(key) is not None:
            numbers[key] = _number(name, raw[key], found, f"{at}.{key}")
        elif key != "step":
            found.append(Problem("is missing; a range is {low, high, log, step}", f"{at}.{key}"))
    log = raw.get("log", False)
    if not isinstance(log, bool):
        found.append(Problem(f"found {_describe(log)}; true or false", f"{at}.log"))
    low, high = numbers.get("low"), numbers.get("high")
    domain = None
    if not found and low is not None and high is not None:
        domain = Range(low, high, log, numbers.get("step"))
        found += [Problem(p.message, joined(at, p.field) if p.field else at) for p in _range_problems(domain)]
    problems += found
    return None if found else domain


def _range_problems(domain: Range) -> list[Problem]:
    low, high, step = format_number(domain.low), format_number(domain.high), domain.step
    if domain.low > domain.high:
        return [Problem(f"found low {low} above high {high}; low is the smaller end")]
    if step is None:
        return []
    if domain.log:
        return [
            Problem(
                "found step together with log: true; remove one, because equal steps are not equal on a log scale",
                "step",
            )
        ]
    steps = (domain.high - domain.low) / step
    if not steps < MAX_STEPS:
        return [Problem(f"found {format_number(step)}, which makes more than {MAX_STEPS} values; use a larger step")]
    if abs(steps - round(steps)) > 1e-6:
        nearest = domain.low + step * math.floor(steps + 1e-6)
        nearest = nearest if isinstance(nearest, int) else float(f"{nearest:.10g}")
        message = (
            f"found {high}, which steps of {format_number(step)} from {low} do not reach; use {format_number(nearest)}"
        )
        return [Problem(message, "high")]
    return []


def _number(name: str, raw: object, problems: list[Problem], at: str, forms: str = "") -> float | None:
    """Return a value of the parameter: a whole number from 1 if its field is whole, else a number above 0."""
    is_whole, high = field_type(name) is int, BOUNDS.get(name, (0, MAX_LEARNING_RATE))[1]
    wanted = f"a whole number from 1 to {high}" if is_whole else f"a number above 0, at most {high}"
    if isinstance(raw, str) and _is_number(raw):
        problems.append(Problem(f"found the text {raw!r}; {wanted}: leave out the quotes", at))
    elif isinstance(raw, bool) or not isinstance(raw, int | float):
        problems.append(Problem(f"found {_describe(raw)}; {wanted}{forms}", at))
    elif not 0 < raw <= high or (is_whole and not float(raw).is_integer()):
        problems.append(Problem(f"found {format_number(raw)}; {wanted}", at))
    else:
        return int(raw) if is_whole else float(raw)
    return None


def _describe(raw: object) -> str:
    if raw is None or isinstance(raw, bool):
        return json.dumps(raw)
    return ("the text " if isinstance(raw, str) else "") + repr(raw)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def format_number(number: float) -> str:
    """Return a number as people write it.

    >>> format_number(4), format_number(1e-4), format_number(0.5)
    ('4', '0.0001', '0.5')
    """
    return f"{number:.10g}"
