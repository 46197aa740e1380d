"""Checks that only the user can write into a sweep's directory, since jobs run files in it.

These files are pickles, scripts and the pinned package.

Rule 1: the folder, and the folders in it that contain code or instructions, belong to the user, and nobody else may
        write into them.
Rule 2: a link counts as its target, and must belong to the user as well.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unetsweep.core import paths
from unetsweep.errors import ExposedError, StateError
from unetsweep.regular_files import damage_named, kind_of

FOLDERS = (paths.SUBMISSIONS, paths.CODE, paths.RUNS, paths.TRIALS, paths.RECONCILERS, paths.PACKED)
"""The folders that are checked. Others cannot reach files below a private folder."""
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def check_private(root: Path, *, only_folders: bool = False) -> None:
    """ExposedError if another user owns the sweep's directory or may write into it.

    StateError if something else is in the place of a folder, unless `only_folders`: `repair` moves it away.
    """
    _check(root)
    for name in FOLDERS:
        is_code_file = name == paths.CODE and (root / name).is_file()  # then jobs run the installed package
        if is_code_file or (only_folders and not (root / name).is_dir()):
            continue
        try:
            _check(root / name)
        except FileNotFoundError:  # it does not exist yet, and only the user can create it
            if (root / name).is_symlink():
                raise ExposedError(f"{root / name}: a link that leads nowhere; move it away") from None


def _check(folder: Path) -> None:
    with damage_named(folder):
        link, found = folder.lstat(), folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{folder}: found {kind_of(found.st_mode)}, not a folder")
    for each in (link, found):
        if each.st_uid != os.getuid():
            raise ExposedError(
                f"{folder}: belongs to user {each.st_uid}, not to you; jobs run files in it, so only its owner may "
                "work on this sweep (you can read it with unetsweep report)"
            )
    if found.st_mode & _OTHERS:
        raise ExposedError(
            f"{folder}: others may write here (mode {stat.filemode(found.st_mode)}), and jobs run files in it; check "
            f"that nobody changed them, then remove the permission: chmod go-w {shlex.quote(str(folder))}"
        )


_original_umask = -1
"""The user's umask while `owner_only_writes` is active; -1: it is not."""


@contextmanager
def owner_only_writes() -> Iterator[None]:
    """Make files that are written inside the `with` block writable by their owner only, whatever the user's umask is.

    Among them are code, pickles and scripts that jobs run.
    """
    global _original_umask  # there is one umask per process
    before = os.umask(0o077)
    os.umask(before | _OTHERS)
    outer, _original_umask = _original_umask, before if _original_umask < 0 else _original_umask
    try:
        yield
    finally:
        os.umask(before)
        _original_umask = outer


def original_umask() -> int:
    """Return the user's umask, as `umask=` for a process that runs the user's code; -1: the current one."""
    return _original_umask


def permission_check_lines(root: Path) -> list[str]:
    """Return lines of a batch script that check the same before the job runs anything from the folder."""
    folders = shlex.join([str(root), *(str(root / name) for name in FOLDERS)])
    return [
        "# refuse to run anything from a folder into which others may write",
        f'US_WRITABLE=$(find -L {folders} -maxdepth 0 \\( ! -uid "$(id -u)" -o -perm /022 \\) -print 2>/dev/null)',
        '[ -z "$US_WRITABLE" ] || { echo "not run: others may write into $US_WRITABLE; '
        'remove the permission: chmod go-w"; exit 77; }',
    ]
