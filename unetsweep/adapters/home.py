"""Where a sweep lives: its folder and its cluster, written down when it is made.

Rule 1: jobs know the folder by its path. So a folder at another path is a copy, or was moved, and the jobs that its
        files tell of are not its own: nothing is submitted, cancelled or believed in its name.
Rule 2: adopting writes the new place down last, so that a kill leaves a stray, which may be adopted again.
"""

import os
from pathlib import Path
from typing import Any, Literal

from unetsweep.adapters.files import read_json, utc_now, write_json
from unetsweep.core import layout
from unetsweep.errors import StateError, UsageError

Stray = Literal["copied", "moved"]


def about(root: Path) -> dict[str, Any]:
    """What sweep.json says; StateError where it does not say where the sweep lives."""
    path = root / layout.SWEEP
    raw = read_json(path)
    try:
        check_about(raw)
    except (KeyError, TypeError) as error:
        raise StateError(f"{path}: it does not say where the sweep lives") from error
    return raw


def check_about(raw: dict[str, Any]) -> None:
    """KeyError or TypeError where it is not what sweep.json says."""
    texts = [raw[name] for name in ("executor", "created", "working_directory", "folder")]
    if not all(isinstance(text, str) for text in texts) or not isinstance(raw["cluster"], str | None):
        raise TypeError("not a text")


def stray(root: Path) -> Stray | None:
    """Whether this folder is a copy of a sweep that lives elsewhere, or was moved away from there; None: neither."""
    mine = about(root)
    home = Path(mine["folder"])
    if home == root.absolute():
        return None
    try:
        if _is_same(home / layout.SWEEP, root / layout.SWEEP):
            return None  # by another path
        there = read_json(home / layout.SWEEP).get("created")
    except (FileNotFoundError, NotADirectoryError):
        return "moved"
    except (PermissionError, StateError):
        return "copied"  # somebody's
    return "copied" if there == mine["created"] else "moved"


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, be it by two mounts of its file system. No copy has its time of change."""
    first, second = one.stat(), other.stat()
    return (first.st_ino, first.st_ctime_ns) == (second.st_ino, second.st_ctime_ns)


def check_home(root: Path) -> None:
    """UsageError where the folder is a stray."""
    match stray(root):
        case "copied":
            raise UsageError(
                f"{root} is a copy of the sweep in {about(root)['folder']}, and the jobs that it tells of are that "
                f"one's: nothing is sent, cancelled or said in its name. `unetsweep adopt {root}` makes it a sweep of "
                "its own; `unetsweep report` and `logs` read it as it is"
            )
        case "moved":
            raise UsageError(
                f"{root} was moved here from {about(root)['folder']}, where its jobs look for it. `unetsweep adopt "
                f"{root}` ends them, and the sweep goes on from here; `unetsweep report` and `logs` read it as it is"
            )


def warning(root: Path) -> str | None:
    """For who only reads: what an unfinished trial of a stray means."""
    try:
        why = stray(root)
    except (StateError, OSError):  # it is read all the same
        return None
    if why is None:
        return None
    return f"{root} was {why} from {about(root)['folder']}; trials that have not ended are shown as they were then"


def settle(root: Path, cluster: str | None) -> None:
    """Write down that the sweep lives here now. Where its trainer command started is kept while that is there."""
    raw = about(root)
    working = raw["working_directory"] if os.path.isdir(raw["working_directory"]) else os.getcwd()
    adopted = {"from": raw["folder"], "cluster": raw["cluster"], "at": utc_now().isoformat()}
    place = {"folder": str(root.absolute()), "cluster": cluster, "working_directory": working}
    write_json(root / layout.SWEEP, {**raw, **place, "adopted": adopted})
