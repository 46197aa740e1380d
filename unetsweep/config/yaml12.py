"""Read and write YAML 1.2 (core schema), with the position of every value: `1e-4` is a number, `off` is text.

Rule 1: what JSON cannot express is refused (dates, sets, infinities, keys that are not text), so everything that is
        read can be written into `config.json`.
Rule 2: a key occurs once.
"""

import functools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from unetsweep.config.yaml_loader import (
    LARGEST,
    PATTERNS,
    TAG,
    Dumper,
    FastLoader,
    Loader,
    TooLarge,
    as_float,
    as_int,
)
from unetsweep.decode import joined
from unetsweep.errors import Problem
from unetsweep.limits import MAX_CHARACTERS, MAX_KEY

Positions = Mapping[str, tuple[int, int]]
"""(line, column), from 1, of each field by its dotted path: that of the key in a mapping, of the item in a list."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text that is valid YAML."""

    value: Any
    positions: Positions
    problems: tuple[Problem, ...]
    """What breaks rules 1 and 2; the field of each is a path in `positions`."""


_QUICKLY_READ = 100_000
"""Characters that the pure Python loader reads within half a second."""


@functools.lru_cache(maxsize=8)
def read(text: str) -> Document | Problem:
    """Return the only document in `text`, or why there is none. Cached, so callers must not change the value."""
    if len(text) > MAX_CHARACTERS:
        return Problem(f"found {len(text)} characters; at most {MAX_CHARACTERS}", "", 1, 1)
    try:
        document = _read(text, FastLoader)
        # The messages of the pure Python loader are the same with every version of libyaml.
        is_quick = len(text) <= _QUICKLY_READ
        return _read(text, Loader) if isinstance(document, Problem) and is_quick else document
    except TooLarge as error:
        return _syntax(error, text)


def _read(text: str, kind: type[Loader] | type[FastLoader]) -> Document | Problem:
    loader = None
    try:
        loader = kind(text)
        node = loader.get_single_node()
        if node is None:
            return Document(None, {}, ())
        walk = _Walk({}, [])
        walk.visit(node, "", ())
        # After the walk, since merge keys (<<) rewrite the nodes; a loop would never end.
        value = None if walk.loops else loader.construct_document(node)
        return Document(value, walk.positions, tuple(walk.problems))
    except TooLarge:
        raise
    except yaml.YAMLError as error:
        return _syntax(error, text)
    except ValueError as error:
        return Problem(f"cannot be read as YAML: {error}", "", 1, 1)
    finally:
        if loader is not None:
            loader.dispose()


def positions(text: str) -> Positions:
    """Return where each field of `text` is; nothing if the text is not YAML.

    >>> positions("space:\\n  epochs: [4, 8]")["space.epochs.1"]
    (2, 15)
    """
    document = read(text)
    return {} if isinstance(document, Problem) else document.positions


def dump(value: Any) -> str:
    """Return `value` as YAML that `read` reads back equal: keys in their order, short collections on one line."""
    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    return text


_ITEMS = re.compile(r"(?:[.#]\d+)+$")


def located(problems: Iterable[Problem], positions: Positions) -> tuple[Problem, ...]:
    """Return the problems with their lines and columns, in the order of the file; of each field only the first.

    A field that is not in the file gets the position of the section that should have it. An item of a list is named by
    its list, since its column says which item it is; `field#1` and `field#2` are two problems of one field. A problem
    with a source of its own has no line.
    """
    first: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.source, problem.field), problem)
    found = []
    for p in first.values():
        line, column = (p.line, p.column) if p.line or p.source else _find(p.field, positions)
        found.append(Problem(p.message, _ITEMS.sub("", p.field), line, column, p.source))
    return tuple(sorted(found, key=lambda p: (p.line or 0, p.column or 0)))


def _find(path: str, positions: Positions) -> tuple[int, int]:
    path = path.partition("#")[0]
    while path and path not in positions:
        path = path.rpartition(".")[0]
    return positions.get(path, (1, 1))


@dataclass(slots=True)
class _Walk:
    """Collects positions and problems on the way through a document."""

    positions: dict[str, tuple[int, int]]
    problems: list[Problem]
    loops: bool = False

    def visit(self, node: yaml.Node, path: str, above: tuple[int, ...]) -> None:
        if id(node) in above:
            self.loops = True
            self._add("refers to itself", path, node)
        elif isinstance(node, yaml.MappingNode):
            self._mapping(node, path, (*above, id(node)))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                where = joined(path, str(index))
                self.positions.setdefault(where, _position(item))
                self.visit(item, where, (*above, id(node)))
        else:
            self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: str, above: tuple[int, ...]) -> None:
        seen: dict[str, int] = {}
        kept = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._add("a key must be text; put it in quotes", path, key)
                continue
            is_merge = key.tag == TAG + "merge"
            where = path if is_merge else joined(path, str(key.value))
            if len(key.value) > MAX_KEY:
                self._add(f"found a key of {len(key.value)} characters; at most {MAX_KEY}", path, key)
            elif key.value in seen:
                self._add(f"duplicate key {key.value!r}, first at line {seen[key.value]}; keep one", where, key)
            else:
                seen[key.value] = key.start_mark.line + 1
                self._key(key, where, is_merge=is_merge)
                self.visit(value, where, above)
                kept.append((key, value))
        node.value = kept  # the rest of the file is checked without what has just been refused

    def _key(self, key: yaml.ScalarNode, where: str, *, is_merge: bool) -> None:
        if is_merge:
            return
        if key.tag != TAG + "str":
            self._add(f"found the key {key.value}; a key must be text: put it in quotes", where, key)
            key.tag = TAG + "str"  # so that the rest of the file can be checked
        self.positions[where] = _position(key)

    def _scalar(self, node: yaml.Node, path: str) -> None:
        kind, found = node.tag.removeprefix(TAG), node.value[:40]
        if kind in PATTERNS and not PATTERNS[kind].match(node.value):  # an explicit tag
            self._add(f"found {found!r}, which is not of the type !!{kind}", path, node)
            node.tag = TAG + "str"
        elif kind == "float" and not math.isfinite(as_float(node.value)):
            self._add(f"found {found}; a finite number", path, node)
        elif kind == "int" and abs(as_int(node.value)) > LARGEST:
            self._add(f"found {found}; a whole number below 2^63", path, node)

    def _add(self, message: str, path: str, node: yaml.Node) -> None:
        self.problems.append(Problem(message, path, *_position(node)))


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    """Return a problem with the position of an error of PyYAML."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Problem(message if isinstance(error, TooLarge) else f"this is not YAML: {message}", "", *position)
    before = text[: getattr(error, "position", 0)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return Problem(f"this is not YAML: {str(error).splitlines()[0]}", "", line, column)
