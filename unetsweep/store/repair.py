"""Checks every file of a sweep against a table, and repairs the damaged ones. The table is in `repair_table`.

Rule 1: evidence is kept. A damaged file is renamed to NAME.corrupt, or copied there before it is rebuilt.
Rule 2: each recovery happens completely or not at all, so a repair that was killed can be started again.
Rule 3: a file that matches no row is not touched: it may belong to the user's own trainer.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from unetsweep.atomic import write_text
from unetsweep.bounded_json import parse_json, read_bytes, read_json
from unetsweep.config.load import load
from unetsweep.contract import SCHEMA
from unetsweep.core import paths
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SpecError, StateError
from unetsweep.record_files import link_record, read_record, write_record
from unetsweep.records import AttemptFile, LostFile, MarkFile, SubmissionFile
from unetsweep.store.attempts import read_intent
from unetsweep.store.lease import file_server_time
from unetsweep.store.observation import list_names, numbered_folders, trial_folders
from unetsweep.store.trials import read_stored_trial

LETTERS = {
    "NNNN": r"\d{4}|[1-9]\d{4,}",
    "TOKEN": "[^/]+",
    "NAME": "[^/]+",
    "HASH": "[0-9a-f]{12}",
    "PATH": ".+",
    **dict.fromkeys(("JOB", *"KREPIN"), r"\d+"),
}
"""What the capital letters of a pattern stand for, as in docs/files.md (which writes `…` for PATH)."""
_LETTER = re.compile("|".join(LETTERS))


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a damaged file is repaired."""

    description: str = ""
    """For example `quarantined as prune.json.corrupt; the pruner decides again`; empty if nothing can be done here."""
    run: Callable[[], None] | None = None
    advice: str = ""
    """What the user has to do; empty if nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One damaged file."""

    path: str
    """Relative to the sweep's directory."""
    problem: str
    recovery: Recovery


class Goal(NamedTuple):
    """The milestone that one trial asks of its run."""

    trial: int
    epochs: int
    config_id: str


T = TypeVar("T")
READ_ERRORS = (StateError, FileNotFoundError, KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What reading a damaged file raises; all but the first two for valid JSON with the wrong content."""


def readable(read: Callable[[], T]) -> T | None:
    """What `read` returns; None if its file is missing or damaged."""
    try:
        return read()
    except READ_ERRORS:
        return None


class Sources:
    """What the readable files of a sweep say. Damaged files are rebuilt from it."""

    def __init__(self, root: Path, find_executor: Callable[[], str]) -> None:
        """`find_executor` says which executor this machine has; it is asked only if no file knows the sweep's."""
        self.root, self.find_executor = root, find_executor

    @cached_property
    def spec(self) -> SweepSpec | None:
        """The sweep's specification; None if sweep.yaml cannot be read."""
        try:
            return load(self.root / paths.SPEC)
        except SpecError:
            return None

    @cached_property
    def now(self) -> float:
        """The time by the file server's clock, in seconds since 1970."""
        return file_server_time(self.root / paths.LEASE)

    @cached_property
    def goals(self) -> dict[int, list[Goal]]:
        """The milestones that the trials of each run ask of it."""
        found: dict[int, list[Goal]] = {}
        for number, folder in numbered_folders(self.root / paths.TRIALS):
            if folder.is_dir() and list_names(folder):
                trial = read_stored_trial(number, folder)
                found.setdefault(trial.run, []).append(Goal(number, trial.epochs, trial.config_id))
        return found

    def read(self, path: Path) -> dict[str, Any]:
        """The content of a JSON file; empty if it cannot be read."""
        return readable(lambda: read_json(path)) or {}

    def attempts(self) -> Iterator[AttemptFile]:
        """All attempts that can be read."""
        for run, folder in numbered_folders(self.root / paths.RUNS):
            for path in sorted((folder / "attempts").glob("*.json")):
                if path.stem.isdecimal() and (attempt := readable(partial(read_intent, path, run, int(path.stem)))):
                    yield attempt

    def submissions(self) -> Iterator[tuple[str, SubmissionFile]]:
        """Token and intent of each readable submission."""
        for path in sorted((self.root / paths.SUBMISSIONS).glob("*/intent.json")):
            if intent := readable(partial(read_record, SubmissionFile, path)):
                yield path.parent.name, intent


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A path that matches a row of the table."""

    path: Path
    letters: Mapping[str, str]
    """What the capital letters of the row's pattern stand for in this path."""
    sources: Sources

    def number(self, letter: str) -> int:
        return int(self.letters[letter])


@dataclass(frozen=True, slots=True)
class FileRule:
    """One kind of file: where it is, how it is checked, and how a damaged one is recovered."""

    pattern: str
    """Its path in the sweep's directory, in the notation of docs/files.md."""
    check: Callable[[CheckedFile], object]
    """Raises if the file is damaged. What it returns is ignored."""
    recover: Callable[[CheckedFile], Recovery]
    required: bool = False
    """Whether it is damage if the file is missing: in the sweep, or (NNNN) for any of its trials."""

    @property
    def regex(self) -> re.Pattern[str]:
        return re.compile(_translate(self.pattern, lambda letter: f"(?P<{letter}>{LETTERS[letter]})"))

    @property
    def folders(self) -> list[str]:
        """Regular expressions of the folders that it is in."""
        return [_translate(str(folder), LETTERS.__getitem__) for folder in Path(self.pattern).parents]


def _translate(pattern: str, letter: Callable[[str], str]) -> str:
    parts = re.split(f"({_LETTER.pattern})", pattern)
    return "".join(f"(?:{letter(part)})" if part in LETTERS else re.escape(part) for part in parts)


def find_damage(sources: Sources, rows: Sequence[FileRule]) -> Iterator[Damage]:
    """Yield what is damaged, row by row. The caller repairs each one before it asks for the next, which may be
    rebuilt from the repaired file."""
    regexes, folders = [row.regex for row in rows], "|".join(folder for row in rows for folder in row.folders)
    found: list[dict[str, Mapping[str, str]]] = [{} for _ in rows]
    for name in _names(sources.root, re.compile(folders)):
        at, match = next(((at, match) for at, each in enumerate(regexes) if (match := each.fullmatch(name))), (0, None))
        if match is not None:
            found[at][name] = match.groupdict()
    for row, files in zip(rows, found, strict=True):
        required = _required(row, sources.root) if row.required else {}
        for name, letters in sorted({**files, **required}.items()):
            file = CheckedFile(sources.root / name, letters, sources)
            if problem := _problem(row, file):
                yield Damage(name, problem, row.recover(file))


def _names(root: Path, known_folders: re.Pattern[str]) -> list[str]:
    """Paths of all files and folders, relative to `root`. Links are followed only in the place of known folders: a
    user may keep `runs` on another disk, and a user's own trainer may link to anything."""
    found: list[str] = []
    starts = ["."]
    while starts:
        for folder, folders, files in os.walk(root / starts.pop()):
            below = os.path.relpath(folder, root)
            names = [os.path.normpath(f"{below}/{name}") for name in (*folders, *files)]
            starts += [name for name in names if known_folders.fullmatch(name) and os.path.islink(root / name)]
            found += names
    return sorted(found)


def _required(row: FileRule, root: Path) -> dict[str, Mapping[str, str]]:
    if "NNNN" not in row.pattern:
        return {row.pattern: {}}
    numbers = [f"{number:04d}" for number, _ in trial_folders(root)]
    return {row.pattern.replace("NNNN", number): {"NNNN": number} for number in numbers}


def _problem(row: FileRule, file: CheckedFile) -> str | None:
    """What is wrong with a file; None if nothing is."""
    try:
        row.check(file)
    except FileNotFoundError:
        if os.path.lexists(file.path):
            return "a link to a file that is missing"
        return "is missing" if row.required else None  # deleted since we listed it
    except StateError as error:
        return str(error).removeprefix(f"{file.path}: ")
    except READ_ERRORS as error:
        return f"field {error} is missing" if isinstance(error, KeyError) else f"unexpected content ({error})"
    return None


# ---- checks that several rows share


def is_record(kind: type) -> Callable[[CheckedFile], object]:
    """A check that a file can be read as its type."""
    return lambda file: read_record(kind, file.path)


def is_folder(file: CheckedFile) -> None:
    if not file.path.is_dir():
        raise StateError("found a file, not a folder")


def is_old(file: CheckedFile) -> bool:
    """Whether no process is still writing it: that takes seconds, and clocks differ by less than an hour."""
    return file.sources.now - file.path.lstat().st_mtime > 3600.0


def check_lines(file: CheckedFile) -> None:
    """StateError if the file has lines that are not JSON objects of our schema."""
    lines = read_bytes(file.path).splitlines()
    if bad := len(lines) - sum(map(is_intact, lines)):
        raise StateError(f"{bad} corrupt line{'s' if bad > 1 else ''}")


def is_intact(line: bytes) -> bool:
    """Whether a line is a JSON object, of our schema if it names one."""
    try:
        raw = parse_json(line.decode().encode(), lenient=True)
    except ValueError:  # also of bytes that are not UTF-8
        return False
    return isinstance(raw, dict) and raw.get("schema", SCHEMA) == SCHEMA


# ---- recoveries


def quarantine(consequence: str = "", advice: str = "") -> Callable[[CheckedFile], Recovery]:
    """A recovery that renames the file to NAME.corrupt. `consequence` says what happens without the file."""

    def recover(file: CheckedFile) -> Recovery:
        to = _free_name(file.path)
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
    """Write again the intent of a job that no other file knows, and mark the job as lost."""

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

    return Recovery(f"removed; the original is kept as {_free_name(file.path).name}", run)


def modified_at(file: CheckedFile) -> datetime:
    """When the file was written."""
    return datetime.fromtimestamp(file.path.lstat().st_mtime, UTC)


def _rewrite(path: Path, record: object) -> None:
    _keep_copy(path)
    write_record(path, record)


def _keep_copy(path: Path) -> None:
    """Keep what stands at this path as NAME.corrupt: a copy of a file, anything else itself."""
    if path.is_file():
        shutil.copy2(path, _free_name(path))
    elif os.path.lexists(path):
        os.rename(path, _free_name(path))


def _free_name(path: Path) -> Path:
    """NAME.corrupt, or NAME-2.corrupt and so on if that exists."""
    name, n = path.with_name(f"{path.name}.corrupt"), 1
    while os.path.lexists(name):
        n += 1
        name = path.with_name(f"{path.name}-{n}.corrupt")
    return name
