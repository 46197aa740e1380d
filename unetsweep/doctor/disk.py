"""Probes of the results folder: each does what a sweep does there, with the same functions, in a folder of its own."""

import contextlib
import errno
import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from unetsweep import atomic
from unetsweep.doctor.facts import FreeSpace
from unetsweep.doctor.rules import Check, Fact, run_probe
from unetsweep.errors import UnetsweepError

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What a file system without hard links answers."""
ANSWER_S = 15.0  # `df` and `quota` ask file servers, which may be slow


@contextlib.contextmanager
def workspace(results: Path, token: str) -> Iterator[Path]:
    """Make a private folder in the results folder, and remove at the end what was made here."""
    made = [folder for folder in (results, *results.parents) if not folder.exists()]
    results.mkdir(parents=True, exist_ok=True)
    folder = results / f".doctor-{token}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        for _ in range(2):  # a node may still write into it during the first
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            for each in made:
                each.rmdir()


def disk_facts(results: Path, folder: Path) -> Iterator[Fact]:
    """Yield the facts of the results folder, found out in a workspace in it."""
    yield Fact(Check.FOLDER, str(results.absolute()))
    for check, probe in PROBES.items():
        yield run_probe(check, partial(probe, folder))


def file_system(folder: Path) -> str:
    """Return the type of the file system that the folder is on: `nfs4`, `lustre`, `ext4`."""
    command = ["df", "--output=fstype", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True).stdout.split()[-1]


def has_hard_links(folder: Path) -> bool:
    """Return whether link() works, and is refused if the name is taken."""
    try:
        return atomic.link_json(folder / "linked", {}) and not atomic.link_json(folder / "linked", {})
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise


def can_replace(folder: Path) -> bool:
    """Return whether rename() puts a new file in place of an old one."""
    for text in ("old", "new"):
        atomic.write_text(folder / "replaced", text)
    return (folder / "replaced").read_text() == "new"


def creates_once(folder: Path) -> bool:
    """Return whether O_EXCL refuses a name that is taken."""
    with contextlib.suppress(FileExistsError):
        for _ in range(2):
            (folder / "once").touch(exist_ok=False)
        return False
    return True


def keeps_full_folder(folder: Path) -> bool:
    """Return whether rename() refuses to put a folder in place of one that has files."""
    for name in ("made", "taken"):
        (folder / name).mkdir()
        (folder / name / "file").write_text(name)
    return not atomic.rename_folder(folder / "made", folder / "taken")


def fsync_s(folder: Path) -> float:
    """Return how many seconds a small file takes to be written, flushed and renamed."""
    began = time.monotonic()
    atomic.write_text(folder / "flushed", "x")
    return time.monotonic() - began


def clock_offset(folder: Path) -> float:
    """Return how many seconds this machine's clock is ahead of the file server's."""
    path = folder / "clock"
    before = time.time()
    path.write_text("x")
    return (before + time.time()) / 2 - path.stat().st_mtime


def quota(folder: Path) -> str:
    """Return what the file system's own command reports about this user's quota."""
    command = ["quota", "-w"]
    if file_system(folder) == "lustre" and shutil.which("lfs"):
        command = ["lfs", "quota", "-q", "-h", "-u", getpass.getuser(), str(folder)]
    if shutil.which(command[0]) is None:
        raise UnetsweepError("no command reports it; a full quota stops a sweep as a full disk does")
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_S, check=False
    )
    return " ".join((done.stdout.strip() or done.stderr.strip()).split())[:300]


def space(folder: Path) -> FreeSpace:
    """Return what is free for this user."""
    found = os.statvfs(folder)
    return FreeSpace(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


def can_be_private(folder: Path) -> bool:
    """Return whether a folder can be closed to other users."""
    path = folder / "closed"
    path.mkdir(mode=0o700)
    path.chmod(0o700)
    return path.stat().st_mode & 0o077 == 0


PROBES: Mapping[Check, Callable[[Path], object]] = {
    Check.FILE_SYSTEM: file_system,
    Check.HARD_LINK: has_hard_links,
    Check.RENAME: can_replace,
    Check.EXCLUSIVE: creates_once,
    Check.RENAME_FOLDER: keeps_full_folder,
    Check.FSYNC: fsync_s,
    Check.SPACE: space,
    Check.QUOTA: quota,
    Check.PRIVATE: can_be_private,
    Check.CLOCK: clock_offset,
}
