"""Which values the fields of a sweep's small files may have. A field means the same in every file that has it.

Rule 1: ids and tokens become parts of paths and arguments of commands, so nothing else is accepted in their place.
Rule 2: numbers and lengths have bounds far above what a sweep needs, so that no sum overflows and no line is endless.
"""

import dataclasses
import functools
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from unetsweep.decode import joined
from unetsweep.errors import Problem

LARGEST = 10**9
"""No sweep has that many trials, epochs, elements or images."""
MAX_TEXT = 100_000
"""Characters of a message or a traceback."""
MAX_PATH = 4096
"""Characters of a path (PATH_MAX of Linux)."""


class _Check(NamedTuple):
    """What a value must be."""

    is_fine: Callable[[Any], bool]
    wanted: str


def _matches(pattern: str, wanted: str) -> _Check:
    regex = re.compile(pattern, re.ASCII)
    return _Check(lambda value: regex.fullmatch(value) is not None, wanted)


_COUNT = _Check(lambda value: 0 <= value <= LARGEST, f"0 to {LARGEST}")
_LARGE = _Check(lambda value: 0 <= value < 2**63, "0 or more")
_FROM_ONE = _Check(lambda value: 1 <= value <= LARGEST, f"1 to {LARGEST}")
_TEXT = _Check(lambda value: len(value) <= MAX_TEXT, f"at most {MAX_TEXT} characters")
_PATH = _Check(lambda value: len(value) <= MAX_PATH and "\0" not in value, "a path")
_ABSOLUTE = _Check(lambda value: _PATH.is_fine(value) and value.startswith("/"), "an absolute path")
_NAME = _Check(lambda value: 0 < len(value) <= 255 and value.isprintable(), "a name of 1 to 255 characters")
_SIDE = _Check(lambda value: 1 <= value <= 8192, "1 to 8192 pixels")
_NODE = _matches(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", "the name of a node")

_CHECKS: Mapping[str, _Check] = {
    "token": _matches(r"[0-9a-f]{12}", "twelve hexadecimal digits"),
    "job_id": _matches(r"[A-Za-z0-9](?:[A-Za-z0-9._-]|\[[0-9]*\]){0,99}", "the id of a job"),
    **dict.fromkeys(("config_id", "run_key", "weights_sha256"), _matches(r"[0-9a-f]{64}", "64 hexadecimal digits")),
    "hash": _matches(r"[A-Za-z0-9]{1,64}", "letters and digits"),
    "code": _matches(r"[A-Za-z0-9]{1,64}", "letters and digits"),
    "mem": _matches(r"[0-9]{1,12}[A-Za-z]{0,2}", "an amount of memory"),
    **dict.fromkeys(("trial", "run", "index", "restart", "task", "count", "rank", "pid"), _COUNT),
    **dict.fromkeys(("epoch", "epochs", "epochs_done"), _COUNT),
    **dict.fromkeys(("attempt", "batch_size", "throttle", "micro_batch", "pack"), _FROM_ONE),
    **dict.fromkeys(("start_ticks", "training_seed", "study_seed"), _LARGE),
    "port": _Check(lambda value: 0 <= value < 65536, "a port"),
    "status": _Check(lambda value: -128 <= value < 256, "an exit status"),
    "milestones": _Check(lambda value: all(0 <= each <= LARGEST for each in value), "numbers of epochs"),
    "elements": _Check(lambda value: all(0 <= each <= LARGEST for some in value for each in some), "runs and attempts"),
    **dict.fromkeys(("node", "host"), _NODE),
    **dict.fromkeys(("boot", "executor", "name", "kind", "sampler"), _NAME),
    "image": _Check(lambda value: 0 < len(value) <= 255, "the name of an image"),
    **dict.fromkeys(("width", "height"), _SIDE),
    "png": _Check(lambda value: len(value) <= 2**22, "at most 4 MiB of base64"),
    **dict.fromkeys(("reason", "message", "traceback", "last_line", "version"), _TEXT),
    **dict.fromkeys(("folder", "working_directory"), _ABSOLUTE),
    "log": _PATH,
}
"""What a value that is not null must be, by the name of its field."""


def problems_of(record: object, at: str = "") -> Iterator[Problem]:
    """Yield a problem for each field of a record, and of the records in it, that has an impossible value."""
    checked, outer = _fields_of(type(record))  # type: ignore[arg-type] # every class is hashable
    for name in checked:
        value, check = getattr(record, name), _CHECKS[name]
        if value is not None and not check.is_fine(value):
            yield Problem(f"found {value!r}"[:80] + f"; {check.wanted} expected", joined(at, name))
    for name in outer:
        value = getattr(record, name)
        for inner in value if type(value) is tuple else (value,):
            if dataclasses.is_dataclass(inner):
                yield from problems_of(inner, joined(at, name))


@functools.cache
def _fields_of(kind: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of a type that have a check, and those with records in them; a report reads thousands of records."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return tuple(name for name in names if name in _CHECKS), tuple(name for name in names if _has_records(hints[name]))


def _has_records(hint: Any) -> bool:
    """Whether a value of this type may be a record, or have some in it."""
    return dataclasses.is_dataclass(hint) or any(map(_has_records, typing.get_args(hint)))
