"""The kinds of damage: each changes one file of a sweep."""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]
"""Damages the file at this path."""

WRONG: Mapping[str, Any] = {
    "null": None,
    "a text": "x",
    "no text": "",
    "control characters": "a\0\n\x1b[2J",
    "a path": "../../../etc/passwd",
    "an option": "--me",
    "5000 digits as text": "9" * 5000,
    "a list": [[1]],
    "an object": {"a": {"b": 1}},
    "true": True,
    "below zero": -1,
    "18 digits": 10**18,
    "40 digits": 10**40,
    "1e308": 1e308,
    "infinite": float("inf"),
    "a time without a zone": "2026-01-01T00:00:00",
    "the year 1": "0001-01-01T00:00:00+14:00",
    "the year 9999": "9999-12-31T23:59:59-14:00",
}
"""What is put into each field of a JSON file."""


VALID = (
    *("null", "a text", "no text", "control characters", "a path", "an option", "5000 digits as text"),
    *("below zero", "18 digits", "a time without a zone"),
)
"""Those that some fields may have."""
IMPOSSIBLE_TIMES = ("the year 1", "the year 9999")
"""Those that a field with a text may have, but not one with a time."""
TIMES = ("at", "created")
"""The fields with a time."""


def _replace(make: Callable[[Path], object]) -> Damage:
    """A damage that puts something else in the place of the file."""

    def damage(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        make(path)

    return damage


def _rewrite(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path: path.write_bytes(change(path.read_bytes())) and None


def _flip(raw: bytes) -> bytes:
    at = len(raw) // 2
    return raw[:at] + bytes(each ^ 4 for each in raw[at : at + 1]) + raw[at + 1 :]


def _content(text: str) -> Damage:
    return _rewrite(lambda before: text.encode())


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def _folder_is_file(path: Path) -> None:
    """A path that cannot be reached, for root too: the folder that it was in is a file now."""
    shutil.rmtree(path.parent)
    path.parent.write_text("")


def _neighbour(path: Path) -> None:
    """The file of another trial, run or submission in the place of this one; of the same one if there is no other."""
    for depth in range(1, 4):
        folder = path.parents[depth]
        below = path.relative_to(folder).parts
        for other in sorted(folder.iterdir()):
            found = other.joinpath(*below[1:])
            if other.name != below[0] and found.is_file() and path.name == found.name:
                path.write_bytes(found.read_bytes())
                return


FILES: Mapping[str, Damage] = {
    "truncated": _rewrite(lambda raw: raw[: len(raw) // 2]),
    "empty": _content(""),
    "zeros": _rewrite(lambda raw: bytes(len(raw))),
    "random bytes": _rewrite(lambda raw: bytes(range(128, 256)) * 3),
    "one bit": _rewrite(_flip),
    "half of a character": _rewrite(lambda raw: raw + b"\xc3"),
    "a JSON list": _content("[]\n"),
    "a JSON number": _content("7\n"),
    "JSON without fields": _content('{"schema": 1}\n'),
    "of another schema": _content('{"schema": 9}\n'),
    "3000 levels": _content('{"schema": 1, "at": ' + "[" * 3000 + "]" * 3000 + "}\n"),
    "a number of 5000 digits": _content('{"schema": 1, "at": 1' + "0" * 5000 + "}\n"),
    "removed": _replace(lambda path: None),
    "a folder": _replace(lambda path: path.mkdir()),
    "a folder with files": _replace(lambda path: (path / "inner").mkdir(parents=True)),
    "a link to itself": _replace(lambda path: path.symlink_to(path.name)),
    "a link to nothing": _replace(lambda path: path.symlink_to("nothing-is-here")),
    "a link to a folder": _replace(lambda path: path.symlink_to("/usr")),
    "a link to a device": _replace(lambda path: path.symlink_to("/dev/zero")),
    "a pipe": _replace(os.mkfifo),
    "a socket": _replace(_socket),
    "the file of a neighbour": _neighbour,
    "in a folder that is a file": _folder_is_file,
}
"""Damages of a file."""
FOLDERS = ("removed", "a link to itself", "a link to nothing", "a link to a device", "a pipe", "a socket")
"""Damages that fit a folder as well."""


def damages_of(path: Path, root: Path) -> Iterator[tuple[str, Damage]]:
    """Every kind of damage that fits this path, by name."""
    if path.is_dir():
        yield from ((name, FILES[name]) for name in FOLDERS)
        yield "a file", _replace(lambda path: path.touch())
        return
    for name, damage in FILES.items():
        if name != "in a folder that is a file" or path.parent != root:
            yield name, damage
    for field in _fields(path):
        for name, value in WRONG.items():
            yield f"{'.'.join(map(str, field))} = {name}", _with(field, value)
        yield f"{'.'.join(map(str, field))} is missing", _with(field, _MISSING)


_MISSING = object()


def _document(path: Path) -> Any:
    """The first line of a log, or the whole file, as JSON; None: it is none."""
    try:
        text = path.read_text()
        return json.loads(text.partition("\n")[0] if path.suffix == ".jsonl" else text)
    except ValueError:
        return None


def _fields(path: Path) -> list[tuple[str | int, ...]]:
    """The fields of a JSON file; of a list in it only the first item, of a mapping in it only one key."""
    found: list[tuple[str | int, ...]] = []

    def visit(value: Any, at: tuple[str | int, ...]) -> None:
        inner = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
        for key in inner if not at else inner[:1]:
            found.append((*at, key))
            visit(value[key], (*at, key))

    if path.suffix not in (".yaml", ".journal"):
        visit(_document(path), ())
    return found


def _with(field: tuple[str | int, ...], value: Any) -> Damage:
    """A damage that replaces the value of one field, or removes it."""

    def damage(path: Path) -> None:
        document = _document(path)
        holder = document
        for key in field[:-1]:
            holder = holder[key]
        if value is _MISSING:
            del holder[field[-1]]
        else:
            holder[field[-1]] = value
        rest = path.read_text().partition("\n")[2] if path.suffix == ".jsonl" else ""
        path.write_text(f"{json.dumps(document)}\n{rest}")

    return damage
