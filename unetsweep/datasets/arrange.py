"""Writes a dataset in our layout from files that lie elsewhere: copies, or symbolic links.

Rule 1: nothing that exists is replaced. A file that is there already must be the same, and there may be no other image
        in the parts, under any of their names, or nothing is written.
Rule 2: each file appears complete, under its name. So an interrupted call is simply repeated.
Rule 3: sources are looked at before anything is written: no link is made to nothing, and no pipe is waited for.
Rule 4: two calls at once write one set, or the later one of two that differ fails.
"""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unetsweep.atomic import SHARED, link_first, temporary_path
from unetsweep.datasets.part_folders import part_named
from unetsweep.datasets.splits import some_of
from unetsweep.datasets.unread_files import is_no_image
from unetsweep.errors import DataError, Problem
from unetsweep.texts import counted

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
    _check_sources(transfers)
    _check(transfers, to, texts, link=link)
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
    wanted = {transfer.target for transfer in transfers}
    if mixed := [*(name for name in _found(to) if name not in wanted), *_other_texts(to, texts)]:
        text = f"another import wrote here at the same time ({some_of(sorted(mixed))}); remove this folder and repeat"
        raise DataError(str(to), [Problem(text)])
    return new


def _check_sources(transfers: Sequence[Transfer]) -> None:
    """Raise DataError if a source is no file that can be read."""
    reasons = {transfer.source: _unreadable(transfer.source) for transfer in transfers}
    if bad := [(source, reason) for source, reason in reasons.items() if reason]:
        source, reason = bad[0]
        more = f" (and {counted(len(bad) - 1, 'more such file')})" if len(bad) > 1 else ""
        raise DataError(str(source), [f"cannot be read ({reason}){more}; restore it, or unpack the set again"])


def _unreadable(source: Path) -> str | None:
    try:
        regular = source.is_file()
    except OSError as error:
        return error.strerror
    if not regular:
        broken = source.is_symlink() and not source.exists()
        return "a broken link" if broken else "no regular file" if source.exists() else "it is not there"
    return None if os.access(source, os.R_OK) else "permission denied"


def _check(transfers: Sequence[Transfer], to: Path, texts: Mapping[str, str], *, link: bool) -> None:
    """Raise DataError if `to` holds anything else than what is to be written there."""
    if os.path.lexists(to) and not to.is_dir():
        raise DataError(str(to), [f"is {'a file' if to.exists() else 'a broken link'}; name a folder"])
    wanted = {transfer.target: transfer for transfer in transfers}
    found = _found(to)
    others = [name for name in found if name not in wanted]
    others += [name for name in found if name in wanted and not _is_same(to / name, _content(wanted[name].source))]
    others += [name for name in wanted if (to / name).is_dir()]
    others += _other_texts(to, texts)
    if others:
        text = f"holds other files ({some_of(sorted(others))}), which are not replaced"
        raise DataError(str(to), [Problem(f"{text}; move them away, or name a new folder")])
    if not link and (links := sorted(name for name in found if (to / name).is_symlink())):
        text = f"holds links to files elsewhere ({some_of(links)}), and copies are wanted"
        raise DataError(str(to), [Problem(f"{text}; name a new folder, or use --link to keep links")])


def _found(to: Path) -> list[str]:
    """Return the paths of the files in the folders of parts, under any name, without `Thumbs.db` and the like."""
    if not to.is_dir():
        return []
    parts = [entry for entry in to.iterdir() if part_named(entry.name) is not None]
    files = [file for entry in parts for file in (_files(entry) if entry.is_dir() else [entry])]
    return [file.relative_to(to).as_posix() for file in files]


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names if not name.startswith(".") and not is_no_image(name))


def _other_texts(to: Path, texts: Mapping[str, str]) -> list[str]:
    there = (name for name in texts if os.path.lexists(to / name))
    return [name for name in there if not _is_same(to / name, texts[name].encode())]


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
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error  # a full disk names no file
    finally:
        temporary.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> bool:
    try:
        target.symlink_to(source.absolute())
    except FileExistsError:
        return False
    return True
