"""Decode parsed JSON or YAML into frozen dataclasses: strictly, and with every problem at once.

Rule 1: nothing is converted, except a whole number where a number is expected, and ISO 8601 text where a time is.
Rule 2: an unknown key is reported with the nearest known one, a wrong value with what is allowed.
"""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from unetsweep.errors import Problem
from unetsweep.limits import MAX_PROBLEMS

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Option:
    """One of the types that a value may have, taken apart once: a report reads thousands of files."""

    type: Any
    section: type[Any] | None
    """The dataclass; None: it is none."""
    origin: Any
    args: tuple[Any, ...]
    inner: "tuple[_Option, ...]"
    """The types of the items of a list, or of the values of a mapping."""
    plain: Any
    """The type of its values as they are parsed; None if a value of that type may be wrong."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a dataclass."""

    options: Mapping[str, tuple[_Option, ...]]
    plain: Mapping[str, tuple[Any, ...]]
    """Types of each field; a value of exactly such a type needs no further check."""
    value_types: Mapping[str, frozenset[Any]]
    """Of each field with a mapping, the types of its values; a dict with only these needs no further check."""
    required: frozenset[str]


@functools.cache
def _fields(cls: type) -> _Fields:
    hints, none = typing.get_type_hints(cls), dataclasses.MISSING
    fields = dataclasses.fields(cls)
    options = {f.name: _options(hints[f.name]) for f in fields}
    plain = {name: tuple(option.plain for option in each) for name, each in options.items()}
    required = frozenset(f.name for f in fields if f.default is none and f.default_factory is none)
    mappings = {name: option for name, each in options.items() for option in each if option.origin is Mapping}
    value_types = {name: frozenset(inner.type for inner in option.inner) for name, option in mappings.items()}
    return _Fields(options, plain, value_types, required)


@functools.cache
def _options(hint: Any) -> tuple[_Option, ...]:
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union  # Literal[...] | None
    return tuple(map(_option, typing.get_args(hint) if is_union else (hint,)))


def _option(hint: Any) -> _Option:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    section = hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None
    inner = {tuple: args[:1], Mapping: args[1:]}.get(origin, ())
    plain = hint
    if origin is Mapping:
        plain = dict if inner[0] is Any else None
    return _Option(hint, section, origin, args, _options(inner[0]) if inner else (), plain)


def decode(cls: type[_T], raw: object, problems: list[Problem], at: str = "") -> _T | None:
    """Return `raw` (parsed JSON or YAML) as a dataclass, or None after adding what does not fit to `problems`."""
    if not isinstance(raw, Mapping):
        problems.append(Problem(f"found {_describe(raw)}; a mapping with keys {_keys(cls)} is expected", at))
        return None
    fields = _fields(cls)  # type: ignore[arg-type] # every class is hashable
    plain, before = fields.plain, len(problems)
    values: dict[str, Any] = {}
    unknown: list[Problem] = []
    for key, value in raw.items():
        if type(value) in plain.get(key, ()) or _has_values_of(fields.value_types.get(key), value):
            values[key] = value  # most are, and a report reads thousands
        elif key in plain:
            values[key] = _value(fields.options[key], value, problems, joined(at, key))
        elif not unknown:
            problems += (unknown := unknown_keys(raw, plain, at))
    if not fields.required <= values.keys():
        missing = (name for name in plain if name in fields.required and name not in values)
        problems += [Problem("is missing", joined(at, name)) for name in missing]
    return cls(**values) if len(problems) == before else None


def _has_values_of(wanted: frozenset[Any] | None, raw: object) -> bool:
    return wanted is not None and type(raw) is dict and {*map(type, raw.values())} <= wanted


def decode_with_defaults(
    cls: type[_T], raw: object, problems: list[Problem], at: str, required: Mapping[str, Any] | None = None
) -> _T:
    """Return `raw` as a `cls`, with the default of each field that has a problem, so that others are checked as well.

    `required` gives the fields without a default. A section without content (`model:`) is all defaults.
    """
    found: list[Problem] = []
    section = decode(cls, {} if raw is None else raw, found, at)
    if section is not None:
        return section
    problems += found
    wrong = {p.field for p in found}
    rest = _without(raw, wrong, at) if isinstance(raw, Mapping) else {}
    section = decode(cls, {**(required or {}), **rest}, [], at)
    if section is None:
        raise AssertionError(f"{cls.__name__} has fields without a default that `required` does not give")
    return section


def _without(raw: Mapping[str, Any], wrong: set[str], at: str) -> dict[str, Any]:
    kept = {}
    for key, value in raw.items():
        path = joined(at, str(key))
        if path not in wrong:
            kept[key] = _without(value, wrong, path) if isinstance(value, Mapping) else value
    return kept


def unknown_keys(keys: Iterable[object], known: Iterable[str], at: str) -> list[Problem]:
    """Return one problem for each key that is not known."""
    names = list(known)
    found: list[Problem] = []
    for key in keys:
        if key not in names:
            # only for those that are shown: it is slow
            near = difflib.get_close_matches(str(key), names, 1) if len(found) < MAX_PROBLEMS else []
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed are {', '.join(names)}"
            found.append(Problem(f"unknown key {key!r}{hint}", joined(at, str(key))))
    return found


def joined(path: str, name: str) -> str:
    """Return the dotted path of a field in the section `path`."""
    return f"{path}.{name}" if path else name


def decode_value(hint: Any, raw: Any, problems: list[Problem], at: str) -> Any:
    """Return the value of one field; a whole number is converted where a number is expected, nothing else is."""
    return _value(_options(hint), raw, problems, at)


def _value(options: tuple[_Option, ...], raw: Any, problems: list[Problem], at: str) -> Any:
    kind = type(raw)
    for option in options:
        if option.type is kind or option.type is Any:
            return raw
    for option in options:
        if option.section is not None:
            return decode(option.section, raw, problems, at)
        if option.origin is Literal and kind in (str, int) and raw in option.args:
            return raw
        if option.type is float and kind is int and abs(raw) < 2**1000:
            return float(raw)
        if option.origin is tuple and isinstance(raw, list | tuple):
            return _items(option, raw, problems, at)
        if option.type is datetime and isinstance(raw, str) and (time := _parse_time(raw)) is not None:
            return time
        if option.origin is Mapping and isinstance(raw, Mapping):
            return {key: _value(option.inner, value, problems, joined(at, str(key))) for key, value in raw.items()}
    problems.append(Problem(f"found {_describe(raw)}; {_describe_options(options)}", at))
    return None


def _items(option: _Option, raw: Sequence[Any], problems: list[Problem], at: str) -> tuple[Any, ...]:
    """Return the items of a list. Text and numbers are not checked, and of the rows of a table only that they are
    mappings; there may be thousands."""
    if option.args[-1] is not ... and len(option.args) != len(raw):
        problems.append(Problem(f"found {len(raw)} items; {len(option.args)} are expected", at))
        return ()
    item = option.inner[0] if len(option.inner) == 1 else None
    if item is not None and (item.type in (str, float) or (item.plain is dict and {*map(type, raw)} <= {dict})):
        return tuple(raw)
    return tuple(_value(option.inner, each, problems, f"{at}.{index}") for index, each in enumerate(raw))


def _parse_time(text: str) -> datetime | None:
    """Return a time; without a zone it is UTC. None: it is none, or in a year that no clock shows."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not 1970 <= time.year < 2200:  # further away the sum with a waiting time may overflow
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


_TYPES: dict[object, str] = {
    datetime: "a time (ISO 8601, from 1970 to 2199)",
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    types.NoneType: "null",
}


def _describe_options(options: tuple[_Option, ...]) -> str:
    names: list[str] = []
    for option in options:
        if option.origin is Literal:
            names += [str(value) for value in option.args]
        else:
            names.append(_TYPES.get(option.type, "a list" if option.origin is tuple else "a mapping"))
    return "allowed: " + ", ".join(names)


def _describe(raw: object) -> str:
    kind = {str: "the text ", bool: "", type(None): ""}.get(type(raw), "")
    return f"{kind}{raw!r}"[:80]


def _keys(cls: type[Any]) -> str:
    return ", ".join(f.name for f in dataclasses.fields(cls))
