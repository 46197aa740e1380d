"""Why trials fail, and why published results do not count: the metric is missing, or its value is impossible."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class ResultProblem:
    """Why a complete result does not count for a sweep."""

    kind: str
    """Equal for two results with the same problem."""
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial that failed."""

    trial: int
    run: int
    signature: str
    """Equal for two failures with the same cause."""
    message: str


@dataclass(frozen=True, slots=True)
class FailedTrials:
    """The trials that failed for the same reason."""

    reason: str
    """That of the first of them. The others' may have other numbers in it."""
    trials: tuple[int, ...]


def by_reason(failed: Iterable[tuple[int, str]]) -> tuple[FailedTrials, ...]:
    """Group failed trials, given as (number, reason), in the order of their first trials.

    Reasons that differ only in numbers, such as those of paths, are the same.

    >>> by_reason([(2, "boom (see runs/0002/error-0.json)"), (5, "boom (see runs/0005/error-0.json)")])
    (FailedTrials(reason='boom (see runs/0002/error-0.json)', trials=(2, 5)),)
    """
    reason_of: dict[str, str] = {}
    trials: dict[str, list[int]] = {}
    for number, reason in failed:
        kind = _NUMBER.sub("#", reason)
        reason_of.setdefault(kind, reason or "no reason is recorded")
        trials.setdefault(kind, []).append(number)
    return tuple(FailedTrials(reason_of[kind], tuple(numbers)) for kind, numbers in trials.items())
