"""The faults by name: a function each, in `causes_*.py`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scene import Scene


@dataclass(frozen=True)
class Kind:
    """A fault, and the sweep that it meets."""

    name: str
    act: Callable[[Scene], None]
    trials: int = 3
    epochs: int = 10
    shape: dict[str, Any] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    """`dbd`: only with accounting; `root`: only as root; `torch`: our own trainer."""
    after: str = "nothing"
    """What a user does then: `nothing`, `submit`, `retry`."""
    seconds: int = 30
    """About how long it takes: the longest are begun first."""


KINDS: dict[str, Kind] = {}


def fault(name: str, **more: Any) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Register a function as the cause of a fault: it submits, and breaks something."""
    needs = frozenset(more.pop("needs", ()))

    def register(act: Callable[[Scene], None]) -> Callable[[Scene], None]:
        KINDS[name] = Kind(name, act, needs=needs, **more)
        return act

    return register
