"""Where a sweep lives: its folder and its cluster, written down when it is made.

Rule 1: jobs know the folder by its path. A folder at another path is a copy, or was moved, and the jobs in its files
        are not its own. Commands do not submit, cancel or believe anything for it.
Rule 2: adopting writes the new place down last. If it is killed, the folder can be adopted again.
"""

import os
from pathlib import Path
from typing import Any, Literal

from unetsweep.atomic import write_json
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import StateError, UsageError

TEXTS = ("executor", "created", "working_directory", "folder")
Stray = Literal["copied", "moved"]


def about(root: Path) -> dict[str, Any]:
    """What sweep.json says; StateError where it does not say where the sweep lives."""
    path = root / paths.SWEEP
    raw = read_json(path)
    try:
        check_about(raw)
    except (KeyError, TypeError) as error:
        raise StateError(f"{path}: executor, cluster, folder, created or working_directory is missing") from error
    return raw


def check_about(raw: dict[str, Any]) -> None:
    """KeyError or TypeError where a field of sweep.json is missing or has another type."""
    for name in TEXTS:
        if not isinstance(raw[name], str):
            raise TypeError(name)
    if not isinstance(raw["cluster"], str | None):
        raise TypeError("cluster")


def stray(root: Path) -> Stray | None:
    """Whether this folder is a copy of a sweep that lives elsewhere, or was moved away from there; None: neither."""
    mine = about(root)
    home = Path(mine["folder"])
    if home == root.absolute():
        return None
    try:
        if _is_same(home, root):
            return None  # by another path
        there = read_json(home / paths.SWEEP).get("created")
    except FileNotFoundError:
        return "moved"
    except (OSError, StateError):
        return "copied"  # something is there
    return "copied" if there == mine["created"] else "moved"


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder, be it by two mounts of its file system, whose device numbers differ.

    No folder can be a hard link of another, and no copy of a file has its time of change.
    """
    first, second = one.stat(), other.stat()
    if first.st_ino != second.st_ino:
        return False
    changed = [(folder / paths.SWEEP).stat().st_ctime_ns for folder in (one, other)]
    return first.st_dev == second.st_dev or changed[0] == changed[1]


def check_home(root: Path) -> None:
    """UsageError where the folder is a stray."""
    match stray(root):
        case "copied":
            raise UsageError(
                f"{root} is a copy of the sweep in {about(root)['folder']}. The jobs in its files belong to the "
                f"original, so this command does nothing. To continue the copy as a sweep of its own: "
                f"`unetsweep adopt {root}`. To look only: `unetsweep report` or `logs`"
            )
        case "moved":
            raise UsageError(
                f"{root} was moved from {about(root)['folder']}, and its jobs still use the old path. `unetsweep adopt "
                f"{root}` cancels them; `unetsweep submit {root / paths.SPEC}` then continues from the last "
                "checkpoints. "
                "If the old folder is only not mounted here, do not adopt. To look only: `unetsweep report` or `logs`"
            )


def warning(root: Path) -> str | None:
    """For commands that only read: what unfinished trials of a stray mean."""
    try:
        why = stray(root)
    except (StateError, OSError):  # it is read all the same
        return None
    if why is None:
        return None
    return f"{root} was {why} from {about(root)['folder']}; unfinished trials are shown as they were at that time"


def settle(root: Path, cluster: str | None) -> None:
    """Write down that the sweep lives here now. Keep where its trainer command starts, if that folder exists."""
    raw = about(root)
    working = raw["working_directory"] if os.path.isdir(raw["working_directory"]) else os.getcwd()
    adopted = {"from": raw["folder"], "cluster": raw["cluster"], "at": utc_now().isoformat()}
    place = {"folder": str(root.absolute()), "cluster": cluster, "working_directory": working}
    write_json(root / paths.SWEEP, {**raw, **place, "adopted": adopted})


def note_cluster(root: Path, cluster: str | None) -> None:
    """Write down the cluster of a sweep that did not know it."""
    raw = about(root)
    if raw["cluster"] is None and cluster is not None:
        write_json(root / paths.SWEEP, {**raw, "cluster": cluster})
