"""Read and write the small files of a sweep directory, each as its type in `records`."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from unetsweep.atomic import link_all, write_json
from unetsweep.bounded_json import read_json
from unetsweep.contract import encode
from unetsweep.decode import decode
from unetsweep.errors import Problem, StateError
from unetsweep.record_checks import problems_of

_T = TypeVar("_T")


def read_record(kind: type[_T], path: Path | str, *, quick: bool = False) -> _T:
    """Return the file as a `kind`. StateError names the file and each field that is wrong; FileNotFoundError: no file.

    `quick`: only a reconciliation writes this file, so its numbers are not checked a second time.
    """
    raw = read_json(path, quick=quick)
    return record_from(kind, raw, path)


def record_from(kind: type[_T], raw: Mapping[str, Any], path: Path | str) -> _T:
    """Return the parsed content of a file as a `kind`; StateError as `read_record`.

    Unknown keys are ignored: a job that was submitted earlier runs older code, and reads what newer code wrote.
    """
    known, problems = _names(kind), list[Problem]()  # type: ignore[arg-type] # every class is hashable
    record = decode(kind, {name: value for name, value in raw.items() if name in known}, problems)
    if record is not None:
        problems += problems_of(record)
    if record is None or problems:
        raise StateError("; ".join(problem.text(str(path)) for problem in problems))
    return record


@functools.cache
def _names(kind: type) -> frozenset[str]:
    """The fields of a type; cached because a report reads thousands of records."""
    return frozenset(field.name for field in dataclasses.fields(kind))


def write_record(path: Path, record: object, *, is_allowed: Callable[[], bool] = lambda: True) -> None:
    """Replace the file by this record, whole, if `is_allowed()` is true when its content is on the disk."""
    write_json(path, encode(record), is_allowed=is_allowed)


def link_record(path: Path, record: object) -> bool:
    """Create the file, whole, unless it exists; return whether this call created it."""
    return bool(link_records([(path, record)]))


def link_records(files: Sequence[tuple[Path, object]]) -> list[Path]:
    """Create many files, flushed together; return those that did not exist before."""
    return link_all([(path, encode(record)) for path, record in files])
