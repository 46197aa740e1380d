"""What is wrong in a sweep's directory, and the action that repairs it, one small file at a time.

Rule 1: evidence is kept: what cannot be read is moved aside as NAME.corrupt, or copied there before it is written anew.
Rule 2: each action is whole or not done at all, so a repair that was killed is simply made again.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unetsweep.atomic import write_json
from unetsweep.bounded_json import parse_json, read_bytes, read_json
from unetsweep.errors import StateError

NOBODY = "0" * 12
"""Token of what no submission tells of."""
LEFT_S = 3600.0
"""What is in the making for longer than this was left by a kill."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    path: Path
    trouble: str
    action: str
    """What mends it; or what the user must do, where `repair` is None."""
    repair: Callable[[], None] | None = None


def trouble(path: Path, check: Callable[[dict[str, Any]], object] = lambda raw: raw) -> str | None:
    """What is wrong with a JSON file that is there; `check` fails where it lacks something."""
    try:
        check(read_json(path))
    except StateError as error:
        return str(error).removeprefix(f"{path}: ")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return f"not what it should be ({error!r})"
    return None


def quarantined(path: Path, why: str, then: str) -> Finding:
    """Move it away; `then` says what comes of that."""
    return Finding(path, why, f"moved aside; {then}", lambda: _quarantined(path))


def written(path: Path, why: str, content: Mapping[str, Any], source: str) -> Finding:
    """Write it anew; `source` says from what."""

    def repair() -> None:
        if path.exists():
            shutil.copy2(path, _free(path))
        content_ = {key: value for key, value in content.items() if key != "schema"}
        write_json(path, content_)

    return Finding(path, why, f"written anew from {source}", repair)


def for_user(path: Path, why: str, advice: str) -> Finding:
    return Finding(path, why, advice)


def without_lines(path: Path, bad: Callable[[bytes], bool]) -> Finding | None:
    """Leave the torn lines of a log out; None where there are none. StateError: it cannot be read at all."""
    lines = read_bytes(path).splitlines(keepends=True)
    good = [line for line in lines if not bad(line)]
    if len(good) == len(lines):
        return None

    def repair() -> None:
        shutil.copy2(path, _free(path))
        made = path.with_name(f".{path.name}.repair.tmp")
        with made.open("wb") as stream:
            stream.writelines(good)
            stream.flush()
            os.fsync(stream.fileno())
        shutil.copymode(path, made)
        os.replace(made, path)

    return Finding(path, f"{len(lines) - len(good)} torn lines", "left out; the file as it was is kept", repair)


def is_corrupt(line: bytes) -> bool:
    """Whether a line of a log is no JSON object."""
    try:
        return not isinstance(parse_json(line), dict)
    except ValueError:
        return True


def written_at(path: Path) -> str:
    """When it was written, as our files say times."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()


def is_old(path: Path, now: float | None = None) -> bool:
    """Whether nobody can be writing it any more."""
    try:
        return (time.time() if now is None else now) - path.lstat().st_mtime > LEFT_S
    except FileNotFoundError:
        return False


def removed(path: Path) -> Finding:
    """Take away what was never finished."""

    def repair() -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    return Finding(path, "left half-made by a kill", "taken away", repair)


def _quarantined(path: Path) -> None:
    os.rename(path, _free(path))


def _free(path: Path) -> Path:
    """NAME.corrupt, or NAME-2.corrupt … where that is taken."""
    name, n = path.with_name(f"{path.name}.corrupt"), 1
    while name.exists():
        n += 1
        name = path.with_name(f"{path.name}-{n}.corrupt")
    return name
