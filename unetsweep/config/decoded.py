"""One section of a file as its dataclass, read as far as it goes.

Rule 1: a wrong field hides no other: the rules see the section with its default in place.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from unetsweep.config.yaml12 import joined
from unetsweep.decode import decode
from unetsweep.errors import Problem

_T = TypeVar("_T")


def decoded(
    cls: type[_T], raw: object, problems: list[Problem], at: str, needed: Mapping[str, Any] | None = None
) -> _T:
    """`raw` as a `cls`, with defaults where it has problems; `needed` fills required fields that miss.

    A section that is there without anything in it (`model:`) is all defaults.
    """
    found: list[Problem] = []
    section = decode(cls, {} if raw is None else raw, found, at)
    if section is not None:
        return section
    problems += found
    wrong = {p.field for p in found}
    rest = _without(raw, wrong, at) if isinstance(raw, Mapping) else {}
    section = decode(cls, {**(needed or {}), **rest}, [], at)
    if section is None:
        raise AssertionError(f"{cls.__name__} has required fields that `needed` does not give")
    return section


def unknown_keys(raw: Mapping[str, Any], known: Iterable[str], at: str) -> list[Problem]:
    """One problem for each key that is not known, in the words of `decode`."""
    names = list(known)
    found = []
    for key in raw:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed are {', '.join(names)}"
            found.append(Problem(f"unknown key {key!r}{hint}", joined(at, str(key))))
    return found


def _without(raw: Mapping[str, Any], wrong: set[str], at: str) -> dict[str, Any]:
    kept = {}
    for key, value in raw.items():
        where = joined(at, str(key))
        if where not in wrong:
            kept[key] = _without(value, wrong, where) if isinstance(value, Mapping) else value
    return kept
