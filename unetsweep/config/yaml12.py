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

from unetsweep.decode import joined
from unetsweep.errors import Problem

_TAG = "tag:yaml.org,2002:"
_REPLACED = {_TAG + kind for kind in ("float", "int", "bool", "timestamp")}
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_BREAKS = re.compile("[\x85\u2028\u2029]")
_LARGEST = 2**63 - 1
"""The largest whole number that NumPy and Optuna accept; far above it `float()` raises."""


class _Loader(yaml.SafeLoader):
    """PyYAML with the scalars of YAML 1.2."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's interface; never changed later
        first: [(tag, pattern) for tag, pattern in pairs if tag not in _REPLACED]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag not in {_TAG + kind for kind in ("timestamp", "binary", "omap", "pairs", "set")}
    }


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # not everywhere
    """The same on libyaml, which is seven times faster."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
    yaml_constructors = _Loader.yaml_constructors


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.1 or 1.2 would not read as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's interface; never changed later
        first: list(pairs) for first, pairs in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


# PyYAML takes the first pattern that fits, so int must come before float.
for _kind, _pattern, _first in (
    ("bool", _BOOL, "tTfF"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, _pattern, list(_first))
    _Dumper.add_implicit_resolver(_TAG + _kind, _pattern, list(_first))


def _as_int(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(text) < 30 else _LARGEST + 1


def _as_float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    return _as_int(str(loader.construct_scalar(node)))


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return _as_float(str(loader.construct_scalar(node)))


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Without double quotes PyYAML writes these line breaks as they are, and reads them as a space.
    return dumper.represent_scalar(_TAG + "str", text, '"' if _BREAKS.search(text) else None)


_Dumper.add_representer(str, _represent_text)
_Loader.add_constructor(_TAG + "int", _construct_int)
_Loader.add_constructor(_TAG + "float", _construct_float)

Positions = Mapping[str, tuple[int, int]]
"""(line, column), from 1, of each field by its dotted path: that of the key in a mapping, of the item in a list."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text that is valid YAML."""

    value: Any
    positions: Positions
    problems: tuple[Problem, ...]
    """What breaks rules 1 and 2; the field of each is a path in `positions`."""


@functools.lru_cache(maxsize=8)
def read(text: str) -> Document | Problem:
    """Return the only document in `text`, or why there is none. Cached, so callers must not change the value."""
    document = _read(text, _FastLoader)
    # The messages of the pure Python loader are the same with every version of libyaml.
    return _read(text, _Loader) if isinstance(document, Problem) else document


def _read(text: str, kind: type[yaml.SafeLoader]) -> Document | Problem:
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
    except yaml.YAMLError as error:
        return _syntax(error)
    except (ValueError, RecursionError) as error:
        return Problem(f"cannot be read as YAML ({type(error).__name__}: {error})")
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
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True
    )
    return text


_ITEMS = re.compile(r"(?:[.#]\d+)+$")


def located(problems: Iterable[Problem], positions: Positions) -> tuple[Problem, ...]:
    """Return the problems with their lines and columns, in the order of the file; of each field only the first.

    A field that is not in the file gets the position of the section that should have it. An item of a list is named by
    its list, since its column says which item it is; `field#1` and `field#2` are two problems of one field.
    """
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.field, problem)
    found = [
        Problem(p.message, _ITEMS.sub("", p.field), *((p.line, p.column) if p.line else _find(p.field, positions)))
        for p in first.values()
    ]
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
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                continue
            where = joined(path, str(key.value)) if isinstance(key, yaml.ScalarNode) else path
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TAG + "str":
                self._add("a key must be text; put it in quotes", where, key)
            elif key.value in seen:
                self._add(f"duplicate key {key.value!r}, first at line {seen[key.value]}; keep one", where, key)
            else:
                seen[key.value] = key.start_mark.line + 1
                self.positions[where] = _position(key)
                self.visit(value, where, above)

    def _scalar(self, node: yaml.Node, path: str) -> None:
        if node.tag == _TAG + "float" and _FLOAT.match(node.value) and not math.isfinite(_as_float(node.value)):
            self._add(f"found {node.value[:40]}; a finite number", path, node)
        elif node.tag == _TAG + "int" and _INT.match(node.value) and abs(_as_int(node.value)) > _LARGEST:
            self._add(f"found {node.value[:40]}; a whole number below 2^63", path, node)

    def _add(self, message: str, path: str, node: yaml.Node) -> None:
        self.problems.append(Problem(message, path, *_position(node)))


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax(error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        position = (mark.line + 1, mark.column + 1) if mark else (None, None)
        return Problem(f"this is not YAML: {message}", "", *position)
    return Problem(f"this is not YAML: {str(error).splitlines()[0]}")
