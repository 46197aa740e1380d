"""Parsed JSON or YAML as frozen dataclasses: strict, with every problem at once.

Rule 1: nothing is converted but whole numbers where a number is wanted, and ISO 8601 texts where a time is.
Rule 2: an unknown key is refused with the nearest known one, a wrong value with what is allowed.
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
    """Kept, as looking them up takes most of the time of reading a result, and a report reads thousands."""
    return typing.get_type_hints(cls)


@functools.cache
def _fields(cls: type) -> dict[str, bool]:
    """By name, whether it must be there. Kept for the same reason."""
    none = dataclasses.MISSING
    return {f.name: f.default is none and f.default_factory is none for f in dataclasses.fields(cls)}


@functools.cache
def _taken(cls: type) -> dict[str, tuple[Any, ...]]:
    """By name, the types of the values that are taken as they are."""
    return {name: _options(hint) for name, hint in _hints(cls).items()}


def decode(cls: type[_T], raw: object, problems: list[Problem], at: str = "") -> _T | None:
    """`raw` (parsed JSON or YAML) as a dataclass; what does not fit is added to `problems`."""
    if not isinstance(raw, Mapping):
        problems.append(Problem(f"found {_shown(raw)}; a mapping with keys {_keys(cls)} is expected", at))
        return None
    fields = _fields(cls)  # type: ignore[arg-type] # every class is hashable
    hints = _hints(cls)  # type: ignore[arg-type] # every class is hashable
    taken = _taken(cls)  # type: ignore[arg-type] # every class is hashable
    before = len(problems)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if type(value) in taken.get(key, ()):  # most are, and a report reads thousands
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
    return cls(**values) if len(problems) == before else None


@functools.cache
def _options(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


@functools.cache
def _origin(option: Any) -> Any:
    return typing.get_origin(option)


def _value(hint: Any, raw: Any, problems: list[Problem], at: str) -> Any:
    """One field's value; ints are taken where floats are wanted, nothing else is converted."""
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
        if option is datetime and isinstance(raw, str) and (time := _time(raw)) is not None:
            return time
        if origin is Mapping and isinstance(raw, Mapping):
            return dict(raw)
    problems.append(Problem(f"found {_shown(raw)}; {_wanted(options)}", at))
    return None


def _items(option: Any, raw: Sequence[Any], problems: list[Problem], at: str) -> tuple[Any, ...]:
    """The items of a list. Numbers, texts and the rows of a table are taken as they are; there may be thousands."""
    wanted = typing.get_args(option)
    if wanted[-1] is not ... and len(wanted) != len(raw):
        problems.append(Problem(f"found {len(raw)} items; {len(wanted)} are expected", at))
        return ()
    item = wanted[0]
    if not (dataclasses.is_dataclass(item) or _origin(item) is tuple or item is int):
        return tuple(raw)
    return tuple(_value(item, each, problems, f"{at}.{index}") for index, each in enumerate(raw))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


_WORDS: dict[object, str] = {
    datetime: "a time (ISO 8601)",
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    types.NoneType: "null",
}


def _wanted(options: tuple[Any, ...]) -> str:
    words: list[str] = []
    for option in options:
        if typing.get_origin(option) is Literal:
            words += [str(word) for word in typing.get_args(option)]
        else:
            words.append(_WORDS.get(option, "a list" if typing.get_origin(option) is tuple else "a mapping"))
    return "allowed: " + ", ".join(words)


def _shown(raw: object) -> str:
    kind = {str: "the text ", bool: "", type(None): ""}.get(type(raw), "")
    return f"{kind}{raw!r}"[:80]


def _keys(cls: type[Any]) -> str:
    return ", ".join(f.name for f in dataclasses.fields(cls))
