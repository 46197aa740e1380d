"""Checks and recoveries that several kinds of files share.

Rule 1: evidence is kept. A damaged file is renamed to NAME.corrupt, or copied there before it is rebuilt.
Rule 2: each recovery happens completely or not at all, so a repair that was killed can be started again.
"""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.atomic import write_text
from unetsweep.bounded_json import parse_json
from unetsweep.contract import SCHEMA
from unetsweep.errors import StateError
from unetsweep.record_files import link_record, read_record, write_record
from unetsweep.records import LostFile, MarkFile
from unetsweep.regular_files import corrupt_name, damage_named, kind_of, quarantine_file, read_bytes
from unetsweep.store.repair.find_damage import CheckedFile, Recovery
from unetsweep.texts import counted

NO_TOKEN = "0" * 12
"""Stands for the token of a submission that no file knows."""


def is_record(kind: type) -> Callable[[CheckedFile], object]:
    """A check that a file can be read as its type."""
    return lambda file: read_record(kind, file.path)


def is_folder(file: CheckedFile) -> None:
    if not file.path.is_dir():
        with damage_named(file.path):
            raise StateError(f"found {kind_of(file.path.stat().st_mode)}, not a folder")


def is_old(file: CheckedFile) -> bool:
    """Whether no process is still writing it: that takes seconds, and clocks differ by less than an hour."""
    return file.sources.now - file.path.lstat().st_mtime > 3600.0


def check_lines(file: CheckedFile) -> None:
    """StateError if the file has lines that are not JSON objects of our schema."""
    lines = read_bytes(file.path).splitlines()
    if bad := len(lines) - sum(map(is_intact, lines)):
        raise StateError(counted(bad, "corrupt line"))


def is_intact(line: bytes) -> bool:
    """Whether a line is a JSON object, of our schema if it names one."""
    try:
        raw = parse_json(line.decode().encode(), lenient=True)
    except ValueError:  # also of bytes that are not UTF-8
        return False
    return isinstance(raw, dict) and raw.get("schema", SCHEMA) == SCHEMA


def remake_folder(file: CheckedFile) -> Recovery:
    """Make the folder again, empty. What is in its place is kept as NAME.corrupt."""

    def run() -> None:
        if os.path.lexists(file.path):
            quarantine_file(file.path)
        file.path.mkdir(mode=0o700)

    return Recovery("made again, empty", run)


def quarantine(consequence: str = "", advice: str = "") -> Callable[[CheckedFile], Recovery]:
    """A recovery that renames the file to NAME.corrupt. `consequence` says what happens without the file."""

    def recover(file: CheckedFile) -> Recovery:
        to = corrupt_name(file.path)
        description = f"quarantined as {to.name}" + (f"; {consequence}" if consequence else "")
        return Recovery(description, lambda: os.rename(file.path, to), advice)

    return recover


def rebuild(file: CheckedFile, record: object, source: str) -> Recovery:
    """Write the file again, from `source`. The damaged one is kept as NAME.corrupt."""
    return Recovery(f"rebuilt from {source}", lambda: _rewrite(file.path, record))


def rebuild_marker(file: CheckedFile) -> Recovery:
    """Write a marker file again: only its presence and its time matter."""
    return rebuild(file, MarkFile(modified_at(file)), "its name")


def give_up(file: CheckedFile, intent: object, lost: Path, consequence: str) -> Recovery:
    """Mark a job that no other file knows as lost, and write its intent again."""

    def run() -> None:
        # first: a job that finds its intent must find the mark too
        link_record(lost, LostFile("its intent file was corrupt", modified_at(file), "VANISHED"))
        _rewrite(file.path, intent)

    return Recovery(f"given up; {consequence}", run)


def delete(file: CheckedFile) -> Recovery:
    """Delete what a killed process left unfinished."""
    if file.path.is_dir() and not file.path.is_symlink():
        return Recovery("deleted", lambda: shutil.rmtree(file.path))
    return Recovery("deleted", lambda: file.path.unlink(missing_ok=True))


def drop_corrupt_lines(file: CheckedFile) -> Recovery:
    """Write a log again without its corrupt lines; quarantine what cannot be read as lines at all."""
    try:
        lines = read_bytes(file.path).splitlines(keepends=True)
    except (StateError, FileNotFoundError):
        return quarantine("its lines are lost")(file)

    def run() -> None:
        _keep_copy(file.path)
        write_text(file.path, b"".join(line for line in lines if is_intact(line)).decode())

    return Recovery(f"removed; the original is kept as {corrupt_name(file.path).name}", run)


def modified_at(file: CheckedFile) -> datetime:
    """When the file was written; now, if it is missing."""
    seconds = file.path.lstat().st_mtime if os.path.lexists(file.path) else file.sources.now
    return datetime.fromtimestamp(seconds, UTC)


def _rewrite(path: Path, record: object) -> None:
    _keep_copy(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_record(path, record)


def _keep_copy(path: Path) -> None:
    """Keep a file as a copy named NAME.corrupt; rename anything else to that."""
    if path.is_file():
        shutil.copy2(path, corrupt_name(path))
    elif os.path.lexists(path):
        quarantine_file(path)
