"""Atomic writes: a file is complete or absent, even if a writer is killed or several write at once.

Each file is written under a temporary name in the same folder and flushed, then renamed (the last writer wins) or
linked (the first writer wins). A temporary file is always a new one: others may write into a shared folder too, and a
link that they leave there must not lead to a file of the user. Every package writes its files through this module;
`doctor/payload.py` cannot, since it runs without the package.
"""

import contextlib
import errno
import json
import os
import resource
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from unetsweep.clock import utc_now
from unetsweep.contract import SCHEMA, dumps
from unetsweep.regular_files import quarantine_file

PRIVATE = 0o600
"""Permissions of the files in a sweep, which only the user may read."""
SHARED = 0o666
"""Permissions of files that a user asked for, such as reports and weights. The umask is subtracted."""
BATCH = 200
"""Files that are open at once, at most; well under the usual limit of 1024."""
FLUSH_THREADS = 16
"""Threads that flush files, because disks and file servers handle many flushes at once."""


def write_bytes(
    path: Path,
    content: bytes,
    *,
    mode: int = PRIVATE,
    durable: bool = True,
    is_allowed: Callable[[], bool] = lambda: True,
) -> None:
    """Replace the file by `content`. With `durable` it also survives a crash of the machine, which costs a flush.

    Nothing is replaced if `is_allowed()`, called immediately before the file gets its name, returns False.
    """
    temporary, descriptor = _create_temporary(path, content, mode)
    try:
        try:
            if durable:
                _flush(path, descriptor)
        finally:
            os.close(descriptor)
        if is_allowed():
            _replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path) -> None:
    """Give the file its name. A folder in its place, which no file replaces, is renamed to NAME.corrupt."""
    try:
        os.replace(temporary, path)
    except IsADirectoryError:
        quarantine_file(path)
        os.replace(temporary, path)


def write_text(path: Path, text: str, *, mode: int = PRIVATE) -> None:
    """Replace the file by `text`, in UTF-8."""
    write_bytes(path, text.encode(), mode=mode)


def write_json(
    path: Path, content: Mapping[str, Any], *, mode: int = PRIVATE, is_allowed: Callable[[], bool] = lambda: True
) -> None:
    """Replace the file by `content`, with the schema number added, if `is_allowed()` is then true."""
    write_bytes(path, dumps({"schema": SCHEMA, **content}).encode(), mode=mode, is_allowed=is_allowed)


def write_stream(
    path: Path,
    write: Callable[[IO[bytes]], object],
    *,
    mode: int = PRIVATE,
    temporary: Path | None = None,
    is_allowed: Callable[[], bool] = lambda: True,
) -> bool:
    """Replace the file by what `write` writes into a stream; return whether it was replaced.

    It is not if `is_allowed()` is False, which is called immediately before the file gets its name. `temporary` is the
    file's name until then (default: a new one).
    """
    temporary = temporary or temporary_path(path)
    temporary.unlink(missing_ok=True)  # a killed writer may have left one of this name
    try:
        with named(path), open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        if not is_allowed():
            return False
        _replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def replace_by_link(source: Path, path: Path, *, temporary: Path | None = None) -> None:
    """Make `path` a hard link to `source`, or a copy if the file system has no hard links.

    Raises FileNotFoundError if `source` is missing. `temporary` is the name until then (default: a new one).
    """
    temporary = temporary or temporary_path(path)
    temporary.unlink(missing_ok=True)  # a killed writer may have left one of this name
    try:
        try:
            os.link(source, temporary)
        except FileNotFoundError:
            raise
        except OSError:
            with source.open("rb") as old, temporary.open("xb") as new:
                shutil.copyfileobj(old, new)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # rename keeps it if both names are the same file already


def create_text(path: Path, text: str, *, mode: int = PRIVATE) -> bool:
    """Create the file with `text` unless it exists; return whether this call created it."""
    temporary, descriptor = _create_temporary(path, text.encode(), mode)
    try:
        try:
            _flush(path, descriptor)
        finally:
            os.close(descriptor)
        return link_first(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def link_json(path: Path, content: Mapping[str, Any]) -> bool:
    """Create the file unless it exists; return whether this call created it."""
    return bool(link_all([(path, content)]))


def link_all(files: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Path]:
    """Create many files, each complete, and return those that did not exist before.

    All temporary files of a batch are written before the first is flushed: a journalling file system then commits them
    together, which is what makes a thousand of them cheap.
    """
    created: list[Path] = []
    batch = _batch()
    for at in range(0, len(files), batch):
        created += _link_batch(files[at : at + batch])
    return created


def _batch() -> int:
    """How many files may be open at once: BATCH, or a quarter of this process's limit if that is less."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return BATCH if limit == resource.RLIM_INFINITY else max(1, min(BATCH, limit // 4))


def _link_batch(files: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Path]:
    written: list[tuple[Path, Path, int]] = []
    try:
        for path, content in files:
            text = dumps({"schema": SCHEMA, **content})
            temporary, descriptor = _create_temporary(path, text.encode(), PRIVATE)
            written.append((path, temporary, descriptor))
        _flush_all([(path, descriptor) for path, _, descriptor in written])
        return [path for path, temporary, _ in written if link_first(temporary, path)]
    finally:
        for _, temporary, descriptor in written:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)


def _flush_all(opened: Sequence[tuple[Path, int]]) -> None:
    if len(opened) < FLUSH_THREADS:
        _flush_each(opened)
        return
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and few commands write many files

    try:
        with ThreadPoolExecutor(FLUSH_THREADS) as pool:
            for done in [pool.submit(_flush_each, opened[at::FLUSH_THREADS]) for at in range(FLUSH_THREADS)]:
                done.result()
    except RuntimeError:  # no thread can be started: too many processes of this user run here
        _flush_each(opened)


def _flush_each(opened: Sequence[tuple[Path, int]]) -> None:
    for each in opened:
        _flush(*each)


def _flush(path: Path, descriptor: int) -> None:
    with named(path):
        os.fsync(descriptor)


def flush(path: Path) -> None:
    """Flush a file or folder that was written by other means to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _flush(path, descriptor)
    finally:
        os.close(descriptor)


def rename_folder(made: Path, final: Path) -> bool:
    """Give the folder `made` its final name and return True; if another folder with files has that name, delete `made`
    and return False."""
    try:
        os.rename(made, final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(made)
        return False
    return True


def append_line(path: Path, content: Mapping[str, Any]) -> None:
    """Append a line to a log for people, with one write, so that the lines of two writers do not mix."""
    line = json.dumps({"at": utc_now().isoformat(), **content}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, PRIVATE)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENXIO, "found something else in the place of a file", str(path))
        with named(path):
            os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def open_to_append(path: Path) -> IO[str]:
    """Open a file to append to it, and create it if it does not exist. OSError if it is a link: others may leave one in
    a shared folder."""
    return open(path, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, SHARED))


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Add the path to an OSError that names no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:  # else a file name would hide its text
            error.filename = str(path)
        raise


def link_first(made: Path, path: Path) -> bool:
    """Link `made` to `path` unless that exists; return whether this call linked it.

    Over NFS a repeated request may report that the name exists when this call has created it (link(2)), so the files
    are compared.
    """
    try:
        os.link(made, path)
    except FileExistsError:
        try:
            return os.path.samestat(os.lstat(path), os.lstat(made))  # what is there may be a link that loops
        except FileNotFoundError:  # the other file has just been removed
            return False
    return True


def temporary_path(path: Path) -> Path:
    """Return a new temporary name in the folder of `path`, as `unetsweep repair` recognises it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _create_temporary(path: Path, content: bytes, mode: int) -> tuple[Path, int]:
    """Write `content` under a temporary name, not flushed; return its path and its open descriptor."""
    temporary = temporary_path(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        rest = content
        with named(path):
            while rest:  # a disk that fills up accepts a part first, and reports the error at the next write
                rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    return temporary, descriptor
