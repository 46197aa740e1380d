"""Reads small JSON files. An unreadable file is an error that names its path, never an empty answer.

Trainer commands write some of them, so size, depth and numbers are limited.
"""

import functools
import json
import math
from pathlib import Path
from typing import Any

from unetsweep.contract import SCHEMA
from unetsweep.errors import Problem, StateError
from unetsweep.regular_files import read_bytes

MAX_DEPTH = 50
"""Maximal nesting of lists and mappings. Our files have at most five levels."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(path: Path | str, *, quick: bool = False) -> dict[str, Any]:
    """Return the object in one of our files; StateError if it is corrupt, of another schema or not an object.

    `quick` skips the check of numbers and levels: for files that a reconciliation wrote after this check, and of which
    a report reads thousands.
    """
    try:
        raw = parse_json(read_bytes(path), quick=quick)
    except ValueError as error:
        raise StateError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        found = raw.get("schema") if isinstance(raw, dict) else raw
        raise StateError(f"{path}: found schema {found!r}; this version reads {SCHEMA}")
    return raw


def parse_json(content: bytes, *, lenient: bool = False, quick: bool = False, unique: bool = False) -> Any:
    """Parse JSON with integers of 64 bits, finite other numbers, and at most `MAX_DEPTH` levels; else ValueError.

    `lenient`: a number that is not finite becomes None. `quick`: neither numbers nor levels are checked, which saves
    half of the time. `unique`: a key may occur only once in an object.
    """
    try:
        raw = _decoder(lenient, quick, unique).decode(content.decode(json.detect_encoding(content), "surrogatepass"))
        if not quick and not _is_shallow(content):
            _check_depth(raw)
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    return raw


@functools.cache
def _decoder(lenient: bool, quick: bool, unique: bool) -> json.JSONDecoder:
    """Return a decoder. `json.loads` would make one for each file, and a report reads thousands."""
    number = _finite if lenient else _float
    hooks: dict[str, Any] = {"parse_int": _int, "parse_float": number} if not quick else {}
    pairs = _unique if unique else None
    return json.JSONDecoder(parse_constant=number, object_pairs_hook=pairs, **hooks)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} occurs twice; keep one")
    return found


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"found a whole number of {len(text)} digits; at most 64 bits are allowed")
    return int(text)


def _float(text: str) -> float:
    if not math.isfinite(found := float(text)):
        raise ValueError(f"found {text[:20]}, which is not a finite number")
    return found


def _finite(text: str) -> float | None:
    return found if math.isfinite(found := float(text)) else None


def _is_shallow(content: bytes) -> bool:
    """Whether the content is certainly not too deep; brackets in its strings may make it seem deeper.

    Each round removes the one or two innermost levels.
    """
    left = content.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH // 2):
        if not left:
            return True
        left = left.replace(b"{}", b"").replace(b"[]", b"")
    return False


def _check_depth(raw: Any) -> None:
    level = [raw]
    for _ in range(MAX_DEPTH):
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [item for each in inner for item in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")


def read_user_text(path: Path) -> str | Problem:
    """Return the text of a file that a user wrote, in UTF-8 with or without a byte order mark, or why it is unreadable.

    FileNotFoundError if it does not exist.
    """
    try:
        content = read_bytes(path)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Problem(f"cannot be read: it is not UTF-8 text: {error.reason}", "", line)
    except StateError as error:
        return Problem(f"cannot be read: {str(error).removeprefix(f'{path}: ').removeprefix('cannot be read: ')}")
    except FileNotFoundError:
        raise
    except OSError as error:
        return Problem(f"cannot be read: {error.strerror}")
