"""The registry of faults. The functions that cause them are in `causes_*.py`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scene import Scene


@dataclass(frozen=True)
class Kind:
    """A kind of fault, and the sweep that it is caused in."""

    name: str
    act: Callable[[Scene], None]
    trials: int = 3
    epochs: int = 10
    shape: dict[str, Any] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    """`dbd`: only with accounting; `root`: only as root; `torch`: our own trainer."""
    after: str = "nothing"
    """What the user has to do afterwards: `nothing`, `submit` or `retry`."""
    seconds: int = 30
    """About how long a case takes; the longest begin first."""


KINDS: dict[str, Kind] = {}


def fault(name: str, **more: Any) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Register a function that submits a sweep and causes this fault. `more`: the fields of `Kind`."""
    needs = frozenset(more.pop("needs", ()))

    def register(act: Callable[[Scene], None]) -> Callable[[Scene], None]:
        KINDS[name] = Kind(name, act, needs=needs, **more)
        return act

    return register
