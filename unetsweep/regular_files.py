"""Opens the files of a sweep. What is in the place of a file may be anything: a pipe, a device, a link loop.

Rule 1: only regular files are read, never more than a limit, and no call waits for a pipe. What cannot be read is a
        StateError that names the path, also a link to nothing. A missing file, and an error of the disk or of this
        process, stays an OSError.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from unetsweep.errors import StateError

CHUNK = 2**16
"""Bytes that are read at once from the end of a file that grows."""
MAX_BYTES = 64 * 2**20
"""Maximal size of a file in bytes. The largest file that is needed, the split of 100,000 images, is a tenth of that."""
_DAMAGE = {
    *(errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENXIO, errno.ENAMETOOLONG),
    *(errno.ENODEV, errno.EEXIST, errno.ENOTEMPTY),
}
"""Errors that mean that the path itself is damaged. Others, of the disk or of this process, may be temporary."""


def read_bytes(path: Path | str, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file; StateError if it is something else, or larger than `max_bytes`.

    Raises OSError if the file does not exist or the disk fails.
    """
    try:
        return _content(path, max_bytes)
    except OSError as error:
        if error.errno != errno.ESTALE and error.errno not in _DAMAGE:
            raise
    with damage_named(path):  # the error again, or on NFS: the file was replaced or removed after it was opened
        return _content(path, max_bytes)


def read_from(path: Path | str, position: int) -> bytes:
    """Return the content of a regular file from a position, at most `MAX_BYTES`. Errors as `read_bytes`."""
    with damage_named(path), opened(path) as descriptor, open(descriptor, "rb", closefd=False) as stream:
        stream.seek(position)
        return stream.read(MAX_BYTES)


def read_end(path: Path | str, size: int, *, start: int = 0) -> bytes:
    """Return the last `size` bytes of a regular file, from byte `start` at the earliest. Errors as `read_bytes`."""
    with damage_named(path), opened(path) as descriptor, open(descriptor, "rb", closefd=False) as stream:
        stream.seek(max(start, os.fstat(descriptor).st_size - size))
        return stream.read(size)


def touch(path: Path) -> None:
    """Create the file or renew its time. What is in its place and is no file is renamed to NAME.corrupt."""
    try:
        path.touch()
    except OSError as error:
        if not is_damage(error):
            raise
        quarantine_file(path)
        path.touch()


def is_damage(error: OSError) -> bool:
    """Whether the error means that something else is in the place of a file or folder, or that it is unreachable."""
    return error.errno in _DAMAGE


def quarantine_file(path: Path) -> Path:
    """Rename what is at this path to NAME.corrupt, which no command reads, and return that path."""
    to = corrupt_name(path)
    os.rename(path, to)
    return to


def corrupt_name(path: Path) -> Path:
    """Return NAME.corrupt, or NAME-2.corrupt and so on if that exists."""
    name, n = path.with_name(f"{path.name}.corrupt"), 1
    while os.path.lexists(name):
        n += 1
        name = path.with_name(f"{path.name}-{n}.corrupt")
    return name


@contextlib.contextmanager
def opened(path: Path | str) -> Iterator[int]:
    """Open a regular file for reading; StateError if it is something else."""
    descriptor = _open(path)
    try:
        _check_regular(path, os.fstat(descriptor).st_mode)
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: Path | str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer would block
    except FileNotFoundError:
        if os.path.islink(path):
            raise StateError(f"{path}: cannot be read: it is a link to something that does not exist") from None
        raise


def _check_regular(path: Path | str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise StateError(f"{path}: found {kind_of(mode)}, not a file")


@contextlib.contextmanager
def damage_named(path: Path | str) -> Iterator[None]:
    """Turn an OSError that means that `path` is damaged into a StateError. Other errors stay as they are."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DAMAGE:
            raise
        raise StateError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a path with a zero byte in it
        if "null byte" not in str(error):
            raise
        raise StateError(f"{str(path)!r}: not a path") from error


def _content(path: Path | str, max_bytes: int) -> bytes:
    descriptor = _open(path)  # without `opened` and a stream, which take longer: a report reads thousands of files
    try:
        found = os.fstat(descriptor)
        _check_regular(path, found.st_mode)
        if found.st_size > max_bytes:
            raise StateError(f"{path}: found {found.st_size} bytes; at most {max_bytes} are allowed")
        content = os.read(descriptor, found.st_size + 1)
        if len(content) != found.st_size:  # it has changed, or the file system gives it in pieces
            while len(content) <= max_bytes and (more := os.read(descriptor, CHUNK)):
                content += more
        return content
    finally:
        os.close(descriptor)


def kind_of(mode: int) -> str:
    """Say what a path leads to, by its mode."""
    kinds = (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for is_one, name in kinds if is_one(mode)), "a device")
