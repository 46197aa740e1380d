"""PyYAML's loaders and dumper, made to follow YAML 1.2 (core schema), and bounded.

Rule 1: size, depth and the number of values are limited (unetsweep/limits.py) while a text is read, so no text can use
        up the memory or the stack, and aliases that multiply are refused before they are expanded.
"""

import re
from typing import Any

import yaml

from unetsweep.limits import MAX_DEPTH, MAX_NODES, TEXT_OF_ONE_NODE

TAG = "tag:yaml.org,2002:"
_REPLACED = {TAG + kind for kind in ("float", "int", "bool", "timestamp")}
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
PATTERNS = {"bool": _BOOL, "int": _INT, "float": _FLOAT}
"""What a value of each of these types looks like."""
_BREAKS = re.compile("[\x85\u2028\u2029]")
LARGEST = 2**63 - 1
"""The largest whole number that NumPy and Optuna accept; far above it `float()` raises."""


class TooLarge(yaml.MarkedYAMLError):
    """A text exceeds a limit."""


class _BoundedComposer(yaml.composer.Composer):
    """Makes nodes of the parser's events within the limits. libyaml's own composer crashes on deep nesting."""

    _parser: Any
    """The loader that it completes."""
    _nodes = 0
    """Nodes so far, with aliases expanded."""
    _level = 0
    """Level of the node that is being made."""
    _deepest = 0
    """The deepest level in it, with aliases expanded."""

    def __init__(self, text: str) -> None:
        self._parser.__init__(self, text)
        self.anchors: dict[str, yaml.Node] = {}  # of PyYAML's composer
        self._sizes: dict[str, tuple[int, int]] = {}
        """Nodes and levels of each node with an anchor that is complete."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node; TooLarge if a limit is exceeded."""
        event: Any = self.peek_event()  # type: ignore[attr-defined]  # a method of the parser
        outer, self._deepest, before = self._deepest, self._level, self._nodes
        is_alias = isinstance(event, yaml.AliasEvent)
        nodes, levels = self._sizes.get(event.anchor, (1, 0)) if is_alias else (1, 0)
        self._nodes += nodes + len(getattr(event, "value", "")) // TEXT_OF_ONE_NODE
        self._deepest += levels
        self._check(event.start_mark)
        self._level += 1
        node = super().compose_node(parent, index)
        self._level -= 1
        if event.anchor is not None and not is_alias:
            self._sizes[event.anchor] = (self._nodes - before, self._deepest - self._level)
        self._deepest = max(outer, self._deepest)
        return node

    def _check(self, mark: Any) -> None:
        if self._nodes > MAX_NODES:
            raise TooLarge(
                problem=f"found more than {MAX_NODES} values, aliases expanded; make it smaller", problem_mark=mark
            )
        if self._deepest > MAX_DEPTH:
            raise TooLarge(
                problem=f"found more than {MAX_DEPTH} levels of lists and mappings; use fewer", problem_mark=mark
            )


class Loader(_BoundedComposer, yaml.SafeLoader):
    """PyYAML with the scalars of YAML 1.2."""

    _parser = yaml.SafeLoader

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's interface; never changed later
        first: [(tag, pattern) for tag, pattern in pairs if tag not in _REPLACED]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag not in {TAG + kind for kind in ("timestamp", "binary", "omap", "pairs", "set")}
    }


_FastParser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # not everywhere


class FastLoader(_BoundedComposer, _FastParser):  # type: ignore[misc]
    """The same on libyaml, which is three times faster."""

    _parser = _FastParser

    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers
    yaml_constructors = Loader.yaml_constructors


class Dumper(yaml.SafeDumper):
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
    Loader.add_implicit_resolver(TAG + _kind, _pattern, list(_first))
    Dumper.add_implicit_resolver(TAG + _kind, _pattern, list(_first))


def as_int(text: str) -> int:
    """Return the whole number; one above `LARGEST` if it is too large."""
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(text) < 30 else LARGEST + 1


def as_float(text: str) -> float:
    """Return the number, which may be infinite."""
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _construct_int(loader: Loader, node: yaml.ScalarNode) -> int:
    return as_int(str(loader.construct_scalar(node)))


def _construct_float(loader: Loader, node: yaml.ScalarNode) -> float:
    return as_float(str(loader.construct_scalar(node)))


def _represent_text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    # Without double quotes PyYAML writes these line breaks as they are, and reads them as a space.
    return dumper.represent_scalar(TAG + "str", text, '"' if _BREAKS.search(text) else None)


Dumper.add_representer(str, _represent_text)
Loader.add_constructor(TAG + "int", _construct_int)
Loader.add_constructor(TAG + "float", _construct_float)
