"""Read the domain of one parameter: one value, a list of values, or a range of numbers.

Rule 1: a parameter never has a value twice, and a range reaches its `high`.
Rule 2: every value has the type of its setting, and numbers are within their limits. (rules.py checks the rest of what
        a training would refuse.)
"""

import difflib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from unetsweep.core.space import Choices, Domain, NamedValue, Range
from unetsweep.core.trials import field_type, is_own
from unetsweep.decode import joined, unknown_keys
from unetsweep.errors import Problem
from unetsweep.limits import (
    BOUNDS,
    MAX_KEY,
    MAX_LEARNING_RATE,
    MAX_OWN_NUMBER,
    MAX_OWN_TEXT,
    MAX_OWN_VALUE,
    MAX_OWN_WHOLE,
    MAX_STEPS,
    MAX_VALUES,
)
from unetsweep.trial_config import ParameterValue

FORMS = "a list of numbers, one number, or {low, high, log, step}"
_NAMED = "{name: NAME, value: VALUE}"
_LARGEST = 2.0**63
"""No number of a file is larger. Settings that are not in BOUNDS have their limits in `config_problems`."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """The values that a setting may have."""

    texts: tuple[str, ...]
    """The only ones that are text; empty: there are none, or any text is one."""
    is_number: bool
    is_whole: bool
    has_null: bool
    has_named: bool
    """Lists and mappings, by a name."""
    is_own: bool = False
    """Any value, because a program of the user reads it."""

    @property
    def wanted(self) -> str:
        """What is allowed, if it is not a number."""
        names = [*self.texts, *([f"or {_NAMED}"] if self.has_named else [])]
        return f"allowed: {', '.join(names)}"


@cache
def _kind(path: str) -> _Kind:
    if is_own(path):
        return _Kind((), True, False, True, True, is_own=True)
    hint = field_type(path)
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    texts = [text for option in options if typing.get_origin(option) is Literal for text in typing.get_args(option)]
    if hint is Any:
        return _Kind(("none", "default"), False, False, False, True)
    return _Kind(tuple(texts), int in options or float in options, int in options, types.NoneType in options, False)


def domain_from(path: str, raw: object, problems: list[Problem], at: str) -> Domain | None:
    """Return the domain of the setting at `path`, or None after adding what does not fit to `problems`."""
    kind = _kind(path)
    if isinstance(raw, Mapping) and not (kind.has_named and "name" in raw):
        return _range(path, raw, problems, at)
    if isinstance(raw, list):
        return _choices(path, raw, problems, at)
    return _listed(path, [raw], problems, [at], FORMS if kind.is_number else "")


def _choices(path: str, raw: Sequence[object], problems: list[Problem], at: str) -> Choices | None:
    if not raw:
        problems.append(Problem("found an empty list; at least one value", at))
        return None
    if len(raw) > MAX_VALUES:
        problems.append(Problem(f"found {len(raw)} values; at most {MAX_VALUES}", at))
        return None
    return _listed(path, raw, problems, [f"{at}.{index}" for index in range(len(raw))])


def _listed(
    path: str, raw: Sequence[object], problems: list[Problem], fields: Sequence[str], forms: str = ""
) -> Choices | None:
    values: dict[ParameterValue, None] = {}  # in their order; there may be a thousand
    named: list[NamedValue] = []
    before = len(problems)
    for item, at in zip(raw, fields, strict=True):
        count = len(problems)
        value = value_from(path, item, problems, at, forms)
        if len(problems) > count:
            continue
        if isinstance(value, NamedValue):
            named.append(value)
            value = value.name
        if value in values:
            first = next(each for each in values if each == value)
            twice = "twice; remove one" if repr(first) == repr(value) else f"and {format_value(first)}, which are equal"
            problems.append(Problem(f"found {format_value(value)} {twice}", at))
        values[value] = None
    return Choices(tuple(values), tuple(named)) if len(problems) == before else None


def value_from(path: str, raw: object, problems: list[Problem], at: str, forms: str) -> ParameterValue | NamedValue:
    """Return one value of the setting at `path`, or None after adding why there is none to `problems`."""
    kind = _kind(path)
    if kind.is_own:
        return _own_value(path, raw, problems, at)
    if raw is None and kind.has_null:
        return None
    if kind.is_number:
        return _number(path, raw, problems, at, forms=f"; {forms}" if forms else "")
    if path == "trainer.precision" and type(raw) is int:
        raw = str(raw)
    if isinstance(raw, str) and raw in kind.texts:
        return raw
    if kind.has_named and isinstance(raw, Mapping):
        return _named(raw, kind, problems, at)
    near = difflib.get_close_matches(raw, kind.texts, 1) if isinstance(raw, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    missing = " without a name" if kind.has_named and isinstance(raw, list) else ""
    problems.append(Problem(f"found {_describe(raw)}{missing}; {kind.wanted}{hint}"[:1000], at))
    return None


def _own_value(path: str, raw: object, problems: list[Problem], at: str) -> ParameterValue | NamedValue:
    """Return a value for a program of the user: a number, a text, true, false, null, or a list or mapping by a name."""
    if raw is None or isinstance(raw, bool):
        return raw
    if isinstance(raw, int | float):
        return _number(path, raw, problems, at)
    if isinstance(raw, str):
        if len(raw) <= MAX_OWN_TEXT and (raw.isprintable() or not raw):
            return raw
        wanted = f"printable text on one line, of at most {MAX_OWN_TEXT} characters"
        problems.append(Problem(f"found the text {raw[:80]!r}; {wanted}", at))
    elif isinstance(raw, Mapping):
        named = _named(raw, _kind(path), problems, at)
        if named is None:
            return None
        if not isinstance(named.value, list | Mapping):
            problems.append(Problem(f"found {_describe(named.value)}; a list or a mapping"[:200], f"{at}.value"))
        elif (size := len(json.dumps(named.value))) > MAX_OWN_VALUE:
            problems.append(Problem(f"has {size} characters as JSON; at most {MAX_OWN_VALUE}", f"{at}.value"))
        return named
    else:
        problems.append(Problem(f"found {_describe(raw)} without a name; {_NAMED}"[:1000], at))
    return None


def _named(raw: Mapping[str, Any], kind: _Kind, problems: list[Problem], at: str) -> NamedValue | None:
    found = unknown_keys(raw, ("name", "value"), at)
    name = raw.get("name")
    found += [Problem(f"is missing; {_NAMED}", joined(at, key)) for key in ("name", "value") if raw.get(key) is None]
    if name is not None and (
        not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > MAX_KEY
    ):
        found.append(Problem(f"found {name!r}; a short text"[:200], joined(at, "name")))
    elif name in kind.texts:
        found.append(Problem(f"found {name!r}, which means something else; another name", joined(at, "name")))
    problems += found
    return None if found else NamedValue(str(name), raw["value"])


def _range(path: str, raw: Mapping[str, Any], problems: list[Problem], at: str) -> Range | None:
    kind = _kind(path)
    if not kind.is_number:
        problems.append(Problem(f"found a mapping; one value or a list, {kind.wanted}", at))
        return None
    if kind.is_own and not {"low", "high"} & {*raw}:
        problems.append(Problem(f"found a mapping; a range {{low, high, log, step}}, or as a value {_NAMED}", at))
        return None
    found = unknown_keys(raw, ("low", "high", "log", "step"), at)
    numbers: dict[str, float | None] = {}
    for key in ("low", "high", "step"):
        if raw.get(key) is not None:
            numbers[key] = _number(path, raw[key], found, f"{at}.{key}", is_step=key == "step")
        elif key != "step":
            found.append(Problem("is missing; a range is {low, high, log, step}", f"{at}.{key}"))
    log = raw.get("log", False)
    if not isinstance(log, bool):
        found.append(Problem(f"found {_describe(log)}; true or false", f"{at}.log"))
    if any(isinstance(number, float) for number in numbers.values()):  # one makes the whole range one of floats
        numbers = {key: None if number is None else float(number) for key, number in numbers.items()}
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
    if domain.log and domain.low <= 0:
        return [Problem(f"found {low}; with log: true a number above 0, because a log scale has no 0", "low")]
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


def _number(
    path: str, raw: object, problems: list[Problem], at: str, forms: str = "", *, is_step: bool = False
) -> float | None:
    """Return a value of the parameter, or the step of its range. A whole number may be written as `1e2`."""
    kind = _kind(path)
    is_whole = kind.is_whole
    low, high = (0, MAX_LEARNING_RATE) if path == "learning_rate" else BOUNDS.get(path, (-_LARGEST, _LARGEST))
    if kind.is_own:
        high = MAX_OWN_WHOLE if isinstance(raw, int) else MAX_OWN_NUMBER
        low = -high
    is_above = is_step or path == "learning_rate"  # `low` itself is not allowed
    if is_step:
        low, is_above = (1, False) if is_whole else (0, True)
    wanted = f"a whole number from {low} to {high}" if is_whole else f"a number from {low} to {high}"
    if is_above:
        wanted = f"a number above 0, at most {high}"
    elif low == -_LARGEST or (kind.is_own and not isinstance(raw, int | float)):
        wanted = "a number"
    if isinstance(raw, str) and _is_number(raw):
        problems.append(Problem(f"found the text {raw!r}; {wanted}: leave out the quotes", at))
    elif isinstance(raw, bool) or not isinstance(raw, int | float):
        problems.append(Problem(f"found {_describe(raw)}; {wanted}{forms}", at))
    elif not low <= raw <= high or (is_above and raw == low) or (is_whole and not float(raw).is_integer()):
        problems.append(Problem(f"found {raw if kind.is_own else format_number(raw)}; {wanted}"[:300], at))
    else:
        return raw if kind.is_own else int(raw) if is_whole else float(raw)
    return None


def format_value(value: ParameterValue, *, quote: bool = True) -> str:
    """Return a value as a message has it. `quote`: a text is called one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, str) and not quote:
        return value
    return format_number(value) if is_number else _describe(value)  # type: ignore[arg-type] # a number


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
