"""Small files that are there whole or not at all.

Rule 1: a temporary name in the same folder, fsync, then rename (the last wins) or link (the first wins).
Rule 2: what is unreadable is an error with its path, never an empty answer.
Rule 3: a trainer of the user's own writes some of them: size, depth and numbers are bounded where they are read.
"""

import contextlib
import errno
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unetsweep.contract import SCHEMA, dumps
from unetsweep.errors import StateError

BATCH = 200
"""Files that are open at once; well under the usual limit of 1024."""
FLUSHES = 16
"""Flushes that wait side by side: a disk and a file server take many at once."""


LARGEST = 64 * 2**20
"""Bytes of a file of ours; the largest, the split of some 100,000 images, has a tenth of it."""
DEEPEST = 50
"""Levels of lists and mappings in one; ours have at most five."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DAMAGE = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENXIO, errno.ENAMETOOLONG}
"""What stands in a file's place, and not a trouble of the disk or of this process, which may pass."""


def read_json(path: Path | str, *, quick: bool = False) -> dict[str, Any]:
    """A file of ours; StateError when it is torn, of another schema or not an object. `quick`: only a reconciliation
    wrote it, which has looked at every number, and a report reads thousands."""
    try:
        raw = parse_json(read_bytes(path), quick=quick)
    except ValueError as error:
        raise StateError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        found = raw.get("schema") if isinstance(raw, dict) else raw
        raise StateError(f"{path}: found schema {found!r}; this version reads {SCHEMA}")
    return raw


def parse_json(content: bytes, *, lenient: bool = False, quick: bool = False) -> Any:
    """Parsed JSON whose whole numbers have 64 bits, whose other numbers are finite, and which is nested at most
    `DEEPEST` deep; ValueError says what is wrong. `lenient`: None stands for a number that is not finite. `quick`: its
    numbers are not looked at, which takes as long as reading them."""
    try:
        number = _finite if lenient else _float
        hooks: dict[str, Any] = {"parse_int": _int, "parse_float": number} if not quick else {}
        raw = json.loads(content, parse_constant=number, **hooks)
        if not _is_shallow(content):
            _check_depth(raw)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    return raw


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"found a whole number of {len(text)} digits; 64 bits are the most")
    return int(text)


def _float(text: str) -> float:
    if not math.isfinite(found := float(text)):
        raise ValueError(f"found {text[:20]}, which is no finite number")
    return found


def _finite(text: str) -> float | None:
    return found if math.isfinite(found := float(text)) else None


def _is_shallow(content: bytes) -> bool:
    """Whether it is surely not too deep: each round takes away one or two levels, the innermost. Brackets in its texts
    may make it look deeper."""
    left = content.translate(None, _NO_BRACKETS)
    for _ in range(DEEPEST // 2):
        if not left:
            return True
        left = left.replace(b"{}", b"").replace(b"[]", b"")
    return False


def _check_depth(raw: Any) -> None:
    level = [raw]
    for _ in range(DEEPEST):
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [item for each in inner for item in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def read_bytes(path: Path | str) -> bytes:
    """The content of a regular file; StateError where something else is in its place, or it is larger than
    `LARGEST`. OSError: it is not there, or the disk has trouble."""
    with damage_named(path):
        try:
            return _content(path)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        return _content(path)  # on NFS: it was replaced, or removed, between our opening and our reading


@contextlib.contextmanager
def damage_named(path: Path | str) -> Iterator[None]:
    """StateError where the system says that what stands at `path` is damage; its other errors stay what they are."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DAMAGE:
            raise
        raise StateError(f"{path}: cannot be read: {error.strerror}") from error


def _content(path: Path | str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StateError(f"{path}: found {_kind(found.st_mode)}, not a file")
        if found.st_size > LARGEST:
            raise StateError(f"{path}: found {found.st_size} bytes; {LARGEST} are the most")
        with open(descriptor, "rb", buffering=0, closefd=False) as stream:
            return stream.read()
    finally:
        os.close(descriptor)


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for is_one, name in kinds if is_one(mode)), "a device")


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


def utc_now() -> datetime:
    return datetime.now(UTC)


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
