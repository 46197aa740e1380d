"""Finds the damaged files of a sweep: each path is compared with the rows of a table.

Rule 1: a file that matches no row is not touched: it may belong to the user's own trainer.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.errors import StateError
from unetsweep.store.observation import trial_folders
from unetsweep.store.repair.sources import READ_ERRORS, Sources

LETTERS = {
    "NNNN": r"[0-9]{4}|[1-9][0-9]{4,}",
    "TOKEN": "[^/]+",
    "NAME": "[^/]+",
    "HASH": "[0-9a-f]{12}",
    "PATH": ".+",
    **dict.fromkeys(("JOB", *"KREPIN"), r"[0-9]+"),
}
"""What the capital letters of a pattern stand for, as in docs/files.md (which writes `…` for PATH)."""
_LETTER = re.compile("|".join(LETTERS))


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a damaged file is repaired."""

    description: str = ""
    """For example `quarantined as prune.json.corrupt; the pruner decides again`; empty if `repair` can do nothing."""
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
    expected: Callable[[Sources], Iterable[str]] = lambda sources: ()
    """The files that other files say must be there."""

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
        for name in row.expected(sources):
            if (match := row.regex.fullmatch(name)) is not None:
                required[name] = match.groupdict()
        for name, letters in sorted({**files, **required}.items()):
            file = CheckedFile(sources.root / name, letters, sources)
            if problem := _problem(row, file, is_required=name in required):
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


def _problem(row: FileRule, file: CheckedFile, *, is_required: bool) -> str | None:
    """What is wrong with a file; None if nothing is."""
    try:
        row.check(file)
    except FileNotFoundError:
        if os.path.lexists(file.path):
            return "a link to a file that is missing"
        return "is missing" if is_required else None  # deleted since we listed it
    except StateError as error:
        return str(error).removeprefix(f"{file.path}: ")
    except READ_ERRORS as error:
        return f"field {error} is missing" if isinstance(error, KeyError) else f"unexpected content ({error})"
    return None
