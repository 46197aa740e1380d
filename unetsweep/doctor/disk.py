"""Doctor's questions to a file system: each is asked by doing it, in a folder of its own."""

import errno
import getpass
import os
import shutil
import subprocess
import time
from pathlib import Path

_CANNOT = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What a file system without hard links says."""


def kind(folder: Path) -> str:
    """Type of the file system that the folder lies on: `nfs4`, `lustre`, `ext4`."""
    found, best = "unknown", -1
    for line in Path("/proc/mounts").read_text().splitlines():
        where, name = line.split()[1:3]
        mount = Path(where.encode().decode("unicode_escape"))
        if folder.resolve().is_relative_to(mount) and len(mount.parts) >= best:
            found, best = name, len(mount.parts)
    return found


def hard_link(folder: Path) -> bool:
    """Whether link() works, and a second one of that name is refused."""
    (folder / "one").write_text("1")
    try:
        os.link(folder / "one", folder / "linked")
        os.link(folder / "one", folder / "linked")
    except FileExistsError:
        return (folder / "linked").stat().st_nlink == 2
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    return False


def rename_over(folder: Path) -> bool:
    """Whether a file replaces another one by its name."""
    (folder / "old").write_text("old")
    (folder / "new").write_text("new")
    os.replace(folder / "new", folder / "old")
    return (folder / "old").read_text() == "new"


def exclusive(folder: Path) -> bool:
    """Whether O_EXCL refuses a name that is there."""
    for _ in range(2):
        try:
            os.close(os.open(folder / "once", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return True
    return False


def full_folder_refuses(folder: Path) -> bool:
    """Whether a folder with files in it keeps its name against another one that is renamed to it."""
    for name in ("made", "taken"):
        (folder / name).mkdir()
        (folder / name / "file").write_text(name)
    try:
        os.rename(folder / "made", folder / "taken")
    except OSError as error:
        return error.errno in (errno.ENOTEMPTY, errno.EEXIST)
    return False


def fsync_s(folder: Path) -> float:
    """Seconds of one fsync of a small file and its folder."""
    began = time.monotonic()
    for path in (folder / "flushed", folder):
        if path != folder:
            path.write_text("x")
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return time.monotonic() - began


def clock_offset(folder: Path) -> float:
    """This machine's clock minus the file server's, in seconds."""
    path = folder / "clock"
    before = time.time()
    path.write_text("x")
    return (before + time.time()) / 2 - path.stat().st_mtime


def mtime_step_s(folder: Path) -> float:
    """How fine times of change are, in seconds: 1 where three files, a moment apart, have whole seconds."""
    steps = []
    for number in range(3):
        path = folder / f"stamp-{number}"
        path.write_text("x")
        steps.append(path.stat().st_mtime_ns % 1_000_000_000)
        time.sleep(0.003)
    return 1.0 if not any(steps) else 0.0


def quota(folder: Path) -> str | None:
    """What the file system's own command says of this user's quota; None where there is no such command."""
    if kind(folder) == "lustre" and shutil.which("lfs"):
        command = ["lfs", "quota", "-q", "-h", "-u", getpass.getuser(), str(folder)]
    elif shutil.which("quota"):
        command = ["quota", "-w"]
    else:
        return None
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15, check=False)
    return " ".join((done.stdout.strip() or done.stderr.strip()).split())[:300]


def space(folder: Path) -> dict[str, int | None]:
    """Free bytes for this user, and free inodes (None where they are not counted)."""
    found = os.statvfs(folder)
    return {"bytes": found.f_bavail * found.f_frsize, "inodes": found.f_favail if found.f_files else None}


def private(folder: Path) -> bool:
    """Whether a folder can be closed to others."""
    path = folder / "closed"
    path.mkdir(mode=0o700)
    path.chmod(0o700)
    return path.stat().st_mode & 0o077 == 0
