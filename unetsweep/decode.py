"""Decodes parsed JSON or YAML into frozen dataclasses, strictly, and reports every problem at once.

Rule 1: nothing is converted except a whole number where a number is expected, and an ISO 8601 text where a time is.
Rule 2: the message for an unknown key suggests the nearest known one; that for a wrong value lists the allowed ones.
"""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from unetsweep.errors import Problem

_T = TypeVar("_T")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Type hints by field. Cached, since they take most of the time of decoding, and a report decodes thousands."""
    return typing.get_type_hints(cls)


@functools.cache
def _fields(cls: type) -> dict[str, bool]:
    """Whether each field is required. Cached for the same reason."""
    missing = dataclasses.MISSING
    return {f.name: f.default is missing and f.default_factory is missing for f in dataclasses.fields(cls)}


@functools.cache
def _plain_types(cls: type) -> dict[str, tuple[Any, ...]]:
    """By field, the types of values that need no further check."""
    return {name: _options(hint) for name, hint in _hints(cls).items()}


def decode(cls: type[_T], raw: object, problems: list[Problem], at: str = "") -> _T | None:
    """Decode `raw` (parsed JSON or YAML) into a dataclass. Where that fails, add to `problems` and return None."""
    if not isinstance(raw, Mapping):
        problems.append(Problem(f"found {_format(raw)}; a mapping with keys {_keys(cls)} is expected", at))
        return None
    fields = _fields(cls)  # type: ignore[arg-type] # every class is hashable
    hints = _hints(cls)  # type: ignore[arg-type] # every class is hashable
    plain = _plain_types(cls)  # type: ignore[arg-type] # every class is hashable
    problems_before = len(problems)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if type(value) in plain.get(key, ()):  # the fast path for most values, since a report decodes thousands
            values[key] = value
            continue
        where = f"{at}.{key}" if at else str(key)
        if key not in fields:
            near = difflib.get_close_matches(str(key), list(fields), 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed are {_keys(cls)}"
            problems.append(Problem(f"unknown key {key!r}{hint}", where))
        else:
            values[key] = _value(hints[key], value, problems, where)
    for name, required in fields.items():
        if required and name not in values:
            problems.append(Problem("is missing", f"{at}.{name}" if at else name))
    return cls(**values) if len(problems) == problems_before else None


@functools.cache
def _options(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


@functools.cache
def _origin(option: Any) -> Any:
    return typing.get_origin(option)


def _value(hint: Any, raw: Any, problems: list[Problem], at: str) -> Any:
    """Decode the value of one field; an int becomes a float and an ISO 8601 text a time where those are expected."""
    options = _options(hint)
    if hint is Any or type(raw) in options:
        return raw
    for option in options:
        if dataclasses.is_dataclass(option) and isinstance(option, type):
            return decode(option, raw, problems, at)
        origin = _origin(option)
        if origin is Literal and type(raw) in (str, int) and raw in typing.get_args(option):
            return raw
        if option is float and type(raw) is int and abs(raw) < 2**1000:
            return float(raw)
        if origin is tuple and isinstance(raw, list | tuple):
            return _items(option, raw, problems, at)
        if option is datetime and isinstance(raw, str) and (time := _parse_time(raw)) is not None:
            return time
        if origin is Mapping and isinstance(raw, Mapping):
            return dict(raw)
    problems.append(Problem(f"found {_format(raw)}; {_describe_allowed(options)}", at))
    return None


def _items(option: Any, raw: Sequence[Any], problems: list[Problem], at: str) -> tuple[Any, ...]:
    """Decode the items of a list. Floats, strings and table rows are not checked, since there may be thousands."""
    types_of_items = typing.get_args(option)
    if types_of_items[-1] is not ... and len(types_of_items) != len(raw):
        problems.append(Problem(f"found {len(raw)} items; {len(types_of_items)} are expected", at))
        return ()
    item = types_of_items[0]
    if not (dataclasses.is_dataclass(item) or _origin(item) is tuple or item is int):
        return tuple(raw)
    return tuple(_value(item, each, problems, f"{at}.{index}") for index, each in enumerate(raw))


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


_TYPE_NAMES: dict[object, str] = {
    datetime: "a time (ISO 8601)",
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    types.NoneType: "null",
}


def _describe_allowed(options: tuple[Any, ...]) -> str:
    names: list[str] = []
    for option in options:
        if typing.get_origin(option) is Literal:
            names += [str(value) for value in typing.get_args(option)]
        else:
            names.append(_TYPE_NAMES.get(option, "a list" if typing.get_origin(option) is tuple else "a mapping"))
    return "allowed: " + ", ".join(names)


def _format(raw: object) -> str:
    kind = {str: "the text ", bool: "", type(None): ""}.get(type(raw), "")
    return f"{kind}{raw!r}"[:80]


def _keys(cls: type[Any]) -> str:
    return ", ".join(f.name for f in dataclasses.fields(cls))
