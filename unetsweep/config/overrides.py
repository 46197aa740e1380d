"""`--set KEY=VALUE`: set a key of a sweep's file to another value, for this sweep.

Rule 1: a key is a dotted path, as messages name it, and a value is YAML. Both are checked like those of the file, but
        a message about them names `--set` instead of a line.
Rule 2: a parameter of the space may be named by its path or its short name, however the file names it.
Rule 3: a sweep keeps its overrides: they hold for later submits of the file too, until one sets the key again. Setting
        the value that the file has ends the override.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unetsweep.config.parameters import resolve
from unetsweep.config.yaml12 import Document, located, read
from unetsweep.decode import joined
from unetsweep.errors import Problem
from unetsweep.limits import MAX_DEPTH

SET = "--set"
"""Names the command line in a message, where the name of a file stands otherwise."""


@dataclass(frozen=True, slots=True)
class Override:
    """A key that the command line sets."""

    field: str
    """Its path, with the keys that the file has."""
    value: Any
    in_file: Any
    """What the file has; None also if it does not have the key."""


@dataclass(frozen=True, slots=True)
class Overridden:
    """A sweep's file after its keys were overridden."""

    document: Document
    """Its problems include those of the command line."""
    overrides: tuple[Override, ...]

    def located(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Return the problems with their lines in the file, or with `--set` in place of the file."""
        return located([self._named(problem) for problem in problems], self.document.positions)

    def _named(self, problem: Problem) -> Problem:
        field = problem.field.partition("#")[0]
        is_set = problem.line is None and any(self._is_of(field, each.field) for each in self.overrides)
        return replace(problem, source=SET) if is_set else problem

    def _is_of(self, field: str, override: str) -> bool:
        """Return whether an override has set this field, or a part of it that the file does not have."""
        is_new = field not in self.document.positions
        return f"{field}.".startswith(f"{override}.") or (is_new and f"{override}.".startswith(f"{field}."))


def override(document: Document, texts: Sequence[str]) -> Overridden:
    """Return the document with the values of `texts`, each `KEY=VALUE`, in their order."""
    problems, found = list(document.problems), dict[str, Override]()
    value = document.value
    for text in texts:
        key, equals, given = text.partition("=")
        if not (key.strip() and equals):
            problems.append(Problem("has no value; write KEY=VALUE, such as slurm.time=2h", text, source=SET))
            continue
        if key.count(".") >= MAX_DEPTH:
            problems.append(Problem(f"has {key.count('.') + 1} parts; at most {MAX_DEPTH}", key, source=SET))
            continue
        new = parsed_value(key.strip(), given, problems, SET)
        if new is None or not isinstance(value, Mapping):
            continue
        try:
            value, each = _with(value, key.strip().split("."), new.value, "")
        except _NoMapping as error:
            problems.append(Problem(str(error), key.strip(), source=SET))
            continue
        if each.field in found:
            problems.append(Problem("is set twice; keep one", each.field, source=SET))
        found[each.field] = each
    return Overridden(Document(value, document.positions, tuple(problems)), tuple(found.values()))


def still_kept(document: Document, kept: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides of earlier submits that hold beside those that this one gives."""
    fields = [_one(document, text).field for text in given]
    return tuple(text for text in kept if not any(_is_part(_one(document, text).field, field) for field in fields))


def to_keep(document: Document, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that a sweep keeps: not its name, and not those that set what the file has."""
    every = {text: _one(document, text) for text in texts}

    def changes(each: Override) -> bool:
        is_within = any(_is_part(each.field, other.field) for other in every.values() if other is not each)
        return each.field != "name" and (is_within or each.value != each.in_file)

    return tuple(text for text, each in every.items() if changes(each))


def _one(document: Document, text: str) -> Override:
    """Return what `KEY=VALUE` sets; if it is wrong, which is reported elsewhere, the key as it is written."""
    found = override(replace(document, problems=()), [text]).overrides
    return found[0] if found else Override(text.partition("=")[0].strip(), text, None)


def _is_part(field: str, of: str) -> bool:
    return f"{field}.".startswith(f"{of}.")


def parsed_value(key: str, text: str, problems: list[Problem], source: str = "") -> Document | None:
    """Return the value of a key; None if it is not YAML. `source`: of the problems."""
    document = read(text)
    if isinstance(document, Problem):
        problems.append(Problem(f"found {text!r}; {document.message}", key, source=source))
        return None
    for each in document.problems:
        problems.append(Problem(each.message, joined(key, each.field) if each.field else key, source=source))
    return None if document.problems else document


class _NoMapping(Exception):
    """A part of a key's path has a value that has no keys."""


def _with(raw: Mapping[str, Any], path: Sequence[str], value: Any, at: str) -> tuple[dict[str, Any], Override]:
    """Return a copy of a mapping with one value replaced; the values of other keys are shared."""
    key, rest = _split(raw, path, at)
    field, before = joined(at, key), raw.get(key)
    if not rest:
        return {**raw, key: value}, Override(field, value, before)
    if before is not None and not isinstance(before, Mapping):
        found_there = f"{before!r}"[:60]
        raise _NoMapping(f"the file has {found_there} as {field}, which has no keys; set {field} as a whole")
    inner, found = _with(before or {}, rest, value, field)
    return {**raw, key: inner}, found


def _split(raw: Mapping[str, Any], path: Sequence[str], at: str) -> tuple[str, Sequence[str]]:
    """Return the key of a mapping with which a path begins, and the rest of the path. A key may have dots."""
    beginnings = [(".".join(path[:end]), path[end:]) for end in range(len(path), 0, -1)]
    for key, rest in beginnings:
        if key in raw:
            return key, rest
    if at != "space":
        return path[0], path[1:]
    for key, rest in beginnings:
        parameter = resolve(key, "")
        if isinstance(parameter, str):
            return next((each for each in raw if resolve(str(each), "") == parameter), key), rest
    return ".".join(path), ()
