"""The folder and the cluster that a sweep belongs to, as its `sweep.json` records them.

Rule 1: jobs know the folder by its path. A folder at another path is a copy, or was moved, and the jobs in its files
        are not its own. Commands refuse to submit, to cancel or to show its state.
Rule 2: adopting records the new folder last. If it is killed, the folder can be adopted again.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import StateError, UsageError
from unetsweep.record_files import read_record, write_record
from unetsweep.records import Adoption, SweepFile

Relocation = Literal["copied", "moved"]


def read_sweep_file(root: Path) -> SweepFile:
    """Read `sweep.json`; StateError if it is missing or unreadable."""
    try:
        return read_record(SweepFile, root / paths.SWEEP)
    except FileNotFoundError:
        raise StateError(f"{root / paths.SWEEP}: is missing") from None


def detect_relocation(root: Path) -> Relocation | None:
    """Return whether this folder is a copy of a sweep in another folder, or was moved; None: neither."""
    return _relocation(root, read_sweep_file(root))


def _relocation(root: Path, mine: SweepFile) -> Relocation | None:
    home = Path(mine.folder)
    if home == root.absolute():
        return None
    try:
        if _is_same(home, root):
            return None  # another path of the same folder
        os.lstat(home / paths.SWEEP)
        created = read_sweep_file(home).created
    except FileNotFoundError:
        return "moved"
    except (OSError, StateError):
        return "copied"  # the old folder still exists
    return "copied" if created == mine.created else "moved"


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder, even by two mounts of its file system, which have other device numbers.

    A folder cannot be a hard link of another one, and a copy of a file has another change time.
    """
    first, second = one.stat(), other.stat()
    if first.st_ino != second.st_ino:
        return False
    changed = [(folder / paths.SWEEP).stat().st_ctime_ns for folder in (one, other)]
    return first.st_dev == second.st_dev or changed[0] == changed[1]


def check_home(root: Path) -> SweepFile:
    """Return `sweep.json`; UsageError if the folder was copied or moved, since its jobs belong to another path."""
    mine = read_sweep_file(root)
    relocation, home = _relocation(root, mine), mine.folder
    if relocation is None:
        return mine
    if relocation == "copied":
        raise UsageError(
            f"{root} is a copy of the sweep in {home}. The jobs in its files belong to the original, so this command "
            f"does nothing. To continue the copy as a sweep of its own: `unetsweep adopt {root}`. To only read it: "
            "`unetsweep report` or `logs`"
        )
    raise UsageError(
        f"{root} was moved from {home}, and its jobs still use the old path. `unetsweep adopt {root}` cancels them; "
        f"`unetsweep submit {root / paths.SPEC}` then continues from the last checkpoints. If the old folder is only "
        "not mounted here, do not adopt. To only read it: `unetsweep report` or `logs`"
    )


def is_sweep(folder: Path) -> bool:
    """Return whether this is the folder of a sweep, even if its sweep.yaml is damaged or missing: readers say that."""
    return os.path.lexists(folder / paths.SPEC) or (
        (folder / paths.SWEEP).is_file() and (folder / paths.TRIALS).is_dir()
    )


def relocation_warning(root: Path) -> str | None:
    """Return what commands that only read should say about a folder that was copied or moved; None: it was not."""
    try:
        mine = read_sweep_file(root)
        relocation, home = _relocation(root, mine), mine.folder
    except (StateError, OSError):  # these commands read the sweep in spite of that
        return None
    if relocation is None:
        return None
    return f"{root} was {relocation} from {home}; unfinished trials are shown as they were at that time"


def record_adoption(root: Path, cluster: str | None) -> None:
    """Record that the sweep belongs to this folder and this cluster now.

    The folder in which its trainer command starts stays the same, if it exists.
    """
    known = read_sweep_file(root)
    working = known.working_directory if os.path.isdir(known.working_directory) else os.getcwd()
    adopted = Adoption(known.folder, known.cluster, utc_now())
    here = replace(known, folder=str(root.absolute()), cluster=cluster, working_directory=working, adopted=adopted)
    write_record(root / paths.SWEEP, here)


def record_overrides(root: Path, overrides: tuple[str, ...]) -> None:
    """Record which keys of the user's file have another value in this sweep."""
    known = read_sweep_file(root)
    if known.overrides != overrides:
        write_record(root / paths.SWEEP, replace(known, overrides=overrides))


def record_cluster(root: Path, cluster: str | None) -> None:
    """Record the cluster of a sweep, unless one is recorded."""
    known = read_sweep_file(root)
    if known.cluster is None and cluster is not None:
        write_record(root / paths.SWEEP, replace(known, cluster=cluster))
