"""A sweep's directory is its user's alone: jobs run what lies there (pickles, scripts, the pinned package).

Rule 1: the folder and those in it that hold code or orders belong to the user, and nobody else may write there.
Rule 2: a link counts as what it leads to, and must be the user's own too.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unetsweep.core import paths
from unetsweep.errors import ExposedError

FOLDERS = (paths.SUBMISSIONS, paths.CODE, paths.RUNS, paths.TRIALS, paths.RECONCILERS, paths.PACKED)
"""Those of them that are looked at; nobody else gets further down than the first that is private."""
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def check_private(root: Path) -> None:
    """ExposedError where another user than ours owns the sweep's directory or may write into it."""
    _check(root)
    for name in FOLDERS:
        try:
            _check(root / name)
        except FileNotFoundError:  # not made yet: only the user may make it
            if (root / name).is_symlink():
                raise ExposedError(f"{root / name}: a link that leads nowhere; move it away") from None


def _check(folder: Path) -> None:
    link, found = folder.lstat(), folder.stat()
    for each in (link, found):
        if each.st_uid != os.getuid():
            raise ExposedError(
                f"{folder}: belongs to user {each.st_uid}, not to you; jobs run what lies there, so only its owner "
                "may work on this sweep (unetsweep report shows it)"
            )
    if found.st_mode & _OTHERS:
        raise ExposedError(
            f"{folder}: others may write here (mode {stat.filemode(found.st_mode)}), and jobs run what lies there; "
            f"see that nobody did, then make it yours alone: chmod go-w {shlex.quote(str(folder))}"
        )


_outside = -1
"""The user's own umask while ours is in force; -1: it is not."""


@contextmanager
def owner_only_writes() -> Iterator[None]:
    """What is written in here (code, pickles, scripts: jobs run them) is writable by its owner alone, whatever the
    user's umask."""
    global _outside  # as the umask itself: one a process
    before = os.umask(0o077)
    os.umask(before | _OTHERS)
    outer, _outside = _outside, before if _outside < 0 else _outside
    try:
        yield
    finally:
        os.umask(before)
        _outside = outer


def original_umask() -> int:
    """For `umask=` of a process that is started in there and is the user's own; -1: as it is."""
    return _outside


def permission_check_lines(root: Path) -> list[str]:
    """The same in a job's shell, before it runs anything that lies there."""
    folders = shlex.join([str(root), *(str(root / name) for name in FOLDERS)])
    return [
        "# nothing is run from a folder into which others may write",
        f'US_WRITABLE=$(find -L {folders} -maxdepth 0 \\( ! -uid "$(id -u)" -o -perm /022 \\) -print 2>/dev/null)',
        '[ -z "$US_WRITABLE" ] || { echo "not run: others may write into $US_WRITABLE; '
        'make it yours alone: chmod go-w"; exit 77; }',
    ]
