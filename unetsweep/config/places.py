"""Each problem gets the line that it is about."""

import re
from collections.abc import Iterable

from unetsweep.config.yaml12 import Places
from unetsweep.errors import Problem

_ITEMS = re.compile(r"(?:[.#]\d+)+$")


def placed(problems: Iterable[Problem], places: Places) -> tuple[Problem, ...]:
    """The problems in the order of the file; of several about one field only the first.

    A field that is not in the file has the place of what should hold it. An item of a list is named
    by its list, since its column says which it is; `field#1`, `field#2` are several about one field.
    """
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.field, problem)
    found = [
        Problem(p.message, _ITEMS.sub("", p.field), *((p.line, p.column) if p.line else _place(p.field, places)))
        for p in first.values()
    ]
    return tuple(sorted(found, key=lambda p: (p.line or 0, p.column or 0)))


def _place(path: str, places: Places) -> tuple[int, int]:
    path = path.partition("#")[0]
    while path and path not in places:
        path = path.rpartition(".")[0]
    return places.get(path, (1, 1))
