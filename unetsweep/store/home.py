"""Where a sweep lives: its folder and its cluster, written down when it is made.

Rule 1: jobs know the folder by its path. A folder at another path is a copy, or was moved, and the jobs in its files
        are not its own. Commands do not submit, cancel or believe anything for it.
Rule 2: adopting writes the new place down last. If it is killed, the folder can be adopted again.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import StateError, UsageError
from unetsweep.records import Adoption, SweepFile, read_record, write_record

Stray = Literal["copied", "moved"]


def about(root: Path) -> SweepFile:
    """What sweep.json says; StateError where it does not say where the sweep lives."""
    return read_record(SweepFile, root / paths.SWEEP)


def stray(root: Path) -> Stray | None:
    """Whether this folder is a copy of a sweep that lives elsewhere, or was moved away from there; None: neither."""
    mine = about(root)
    home = Path(mine.folder)
    if home == root.absolute():
        return None
    try:
        if _is_same(home, root):
            return None  # by another path
        there = about(home).created
    except FileNotFoundError:
        return "moved"
    except (OSError, StateError):
        return "copied"  # something is there
    return "copied" if there == mine.created else "moved"


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
                f"{root} is a copy of the sweep in {about(root).folder}. The jobs in its files belong to the "
                f"original, so this command does nothing. To continue the copy as a sweep of its own: "
                f"`unetsweep adopt {root}`. To look only: `unetsweep report` or `logs`"
            )
        case "moved":
            raise UsageError(
                f"{root} was moved from {about(root).folder}, and its jobs still use the old path. `unetsweep adopt "
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
    return f"{root} was {why} from {about(root).folder}; unfinished trials are shown as they were at that time"


def settle(root: Path, cluster: str | None) -> None:
    """Write down that the sweep lives here now. Keep where its trainer command starts, if that folder exists."""
    known = about(root)
    working = known.working_directory if os.path.isdir(known.working_directory) else os.getcwd()
    adopted = Adoption(known.folder, known.cluster, utc_now())
    here = replace(known, folder=str(root.absolute()), cluster=cluster, working_directory=working, adopted=adopted)
    write_record(root / paths.SWEEP, here)


def note_cluster(root: Path, cluster: str | None) -> None:
    """Write down the cluster of a sweep that did not know it."""
    known = about(root)
    if known.cluster is None and cluster is not None:
        write_record(root / paths.SWEEP, replace(known, cluster=cluster))
