"""Writes a dataset in our layout from files that lie elsewhere: copies, or symbolic links.

Rule 1: nothing that exists is replaced. A file that is there already must be the same, and there may be no other image
        in the parts, or nothing is written.
Rule 2: each file appears complete, under its name. So an interrupted call is simply repeated.
"""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unetsweep.atomic import SHARED, link_first, temporary_path
from unetsweep.datasets.part_folders import PARTS
from unetsweep.datasets.splits import some_of
from unetsweep.errors import DataError, Problem

GZIP = ".gz"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file to write. A compressed source is decompressed."""

    source: Path
    target: str
    """Its path in the dataset, `train/image/01.png`."""


def arrange(transfers: Sequence[Transfer], to: Path, texts: Mapping[str, str], *, link: bool = False) -> int:
    """Write the files and texts (name to content) into the folder `to`; return how many were not there before.

    With `link` the images are symbolic links to their sources, except for compressed ones. Raises DataError if `to`
    holds other files, or if a source cannot be read; OSError if `to` cannot be written.
    """
    _check(transfers, to, texts)
    new = 0
    for transfer in transfers:
        target = to / transfer.target
        target.parent.mkdir(parents=True, exist_ok=True)
        if link and not _is_compressed(transfer.source):
            new += _link(transfer.source, target)
        else:
            new += _create(target, partial(_content, transfer.source))
    for name, text in texts.items():
        new += _create(to / name, text.encode)
    return new


def _check(transfers: Sequence[Transfer], to: Path, texts: Mapping[str, str]) -> None:
    """Raise DataError if `to` holds anything else than what is to be written there."""
    if to.exists() and not to.is_dir():
        raise DataError(str(to), ["is a file; name a folder"])
    wanted = {transfer.target: transfer for transfer in transfers}
    found = [file.relative_to(to).as_posix() for part in PARTS for file in _files(to / part)]
    others = [name for name in found if name not in wanted]
    others += [name for name in found if name in wanted and not _is_same(to / name, _content(wanted[name].source))]
    there = [name for name in texts if os.path.lexists(to / name)]
    others += [name for name in there if not _is_same(to / name, texts[name].encode())]
    if others:
        text = f"holds other files ({some_of(sorted(others))}), which are not replaced; name a new folder"
        raise DataError(str(to), [Problem(text)])


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names if not name.startswith("."))


def _is_same(file: Path, content: bytes) -> bool:
    try:
        return file.stat().st_size == len(content) and file.read_bytes() == content
    except OSError:  # a broken link, a folder
        return False


def _content(source: Path) -> bytes:
    """Return the bytes of a source, decompressed if it is compressed."""
    try:
        content = source.read_bytes()
        return gzip.decompress(content) if _is_compressed(source) else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(str(source), [f"cannot be decompressed ({error}); download it again"]) from error
    except OSError as error:
        raise DataError(str(source), [f"cannot be read ({error.strerror or error}); check the file"]) from error


def _is_compressed(source: Path) -> bool:
    return source.suffix.lower() == GZIP


def _create(target: Path, content: Callable[[], bytes]) -> bool:
    """Create a file unless it exists; return whether it is new."""
    if target.exists():
        return False
    temporary = temporary_path(target)
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, SHARED)) as stream:
            stream.write(content())
        return link_first(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> bool:
    try:
        target.symlink_to(source.absolute())
    except FileExistsError:
        return False
    return True
