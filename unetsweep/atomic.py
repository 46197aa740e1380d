"""Atomic writes: a small file is there whole or not at all.

Each is written under a temporary name in the same folder and flushed, then renamed (the last writer wins) or linked
(the first writer wins).
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unetsweep.clock import utc_now
from unetsweep.contract import SCHEMA, dumps

BATCH = 200
"""Files that are open at once; well under the usual limit of 1024."""
FLUSHES = 16
"""Flushes that wait side by side: a disk and a file server take many at once."""


def write_text(path: Path, text: str) -> None:
    """Replace the file by `text`, whole."""
    temporary = _temporary(path, text)
    try:
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file by `content` (a schema number is added), whole."""
    write_text(path, dumps({"schema": SCHEMA, **content}))


def link_json(path: Path, content: Mapping[str, Any]) -> bool:
    """Create the file, whole, unless it is there; whether it was us."""
    return bool(link_all([(path, content)]))


def link_all(files: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Path]:
    """Create many files, each whole, flushed together; return those that were not there before.

    All temporary files of a batch are written before the first is flushed: a journalling file
    system then commits them in one go, which is what makes a thousand of them cheap.
    """
    created: list[Path] = []
    for at in range(0, len(files), BATCH):
        created += _link_batch(files[at : at + BATCH])
    return created


def _link_batch(files: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Path]:
    written: list[tuple[Path, Path, int]] = []
    try:
        for path, content in files:
            temporary, descriptor = _unflushed(path, dumps({"schema": SCHEMA, **content}))
            written.append((path, temporary, descriptor))
        _flush_all([(path, descriptor) for path, _, descriptor in written])
        return [path for path, temporary, _ in written if link_first(temporary, path)]
    finally:
        for _, temporary, descriptor in written:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)


def _flush_all(opened: Sequence[tuple[Path, int]]) -> None:
    if len(opened) < FLUSHES:
        _flush_each(opened)
        return
    from concurrent.futures import ThreadPoolExecutor  # only who has many files pays for its import

    with ThreadPoolExecutor(FLUSHES) as pool:
        for done in [pool.submit(_flush_each, opened[at::FLUSHES]) for at in range(FLUSHES)]:
            done.result()


def _flush_each(opened: Sequence[tuple[Path, int]]) -> None:
    for each in opened:
        _flush(*each)


def _flush(path: Path, descriptor: int) -> None:
    with named(path):
        os.fsync(descriptor)


def rename_folder(made: Path, final: Path) -> bool:
    """Give a folder its final name unless another one with files has it (then it is removed); whether it was us."""
    try:
        os.rename(made, final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(made)
        return False
    return True


def append_line(path: Path, content: Mapping[str, Any]) -> None:
    """Add a line to a log for people; one write, so that lines of two writers do not mix."""
    line = json.dumps({"at": utc_now().isoformat(), **content}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        with named(path):
            os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """An error of the system's says which file it was about, also where only a descriptor was known."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def link_first(made: Path, path: Path) -> bool:
    """Whether we were the first to give a file this name. Over NFS a repeated request may say that the name is taken
    when it is taken by us (link(2))."""
    try:
        os.link(made, path)
    except FileExistsError:
        try:
            return path.samefile(made)
        except FileNotFoundError:  # whoever had it has just given it up
            return False
    return True


def _temporary(path: Path, text: str) -> Path:
    """`text`, flushed, under a temporary name beside `path`."""
    temporary, descriptor = _unflushed(path, text)
    try:
        _flush(path, descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return temporary


def _unflushed(path: Path, text: str) -> tuple[Path, int]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        rest = text.encode()
        with named(path):
            while rest:  # a disk that fills up takes a part, and only then says so
                rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    return temporary, descriptor
