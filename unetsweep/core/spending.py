"""Spending: what a sweep has used of `study.limits`, and how many more trainings the rest allows.

Rule 1: the limit only stops proposals. Open trials go on to their ends, and are retried as usual.
Rule 2: what the open trainings are expected to use counts as used. So a sweep exceeds its limit by less than one
        training, as far as the finished ones tell what a training uses.
Rule 3: before a training has finished, nothing is known of the open ones. Then no more trials are proposed than can run
        at once, also by a sampler that does not learn from results.
"""

import math
from dataclasses import dataclass
from typing import Literal

from unetsweep.texts import counted


@dataclass(frozen=True, slots=True)
class Limits:
    """When a sweep stops proposing trials."""

    gpu_hours: float | None = None
    """When its trainings have used this much; None: no limit. Only one of the two is set."""
    cpu_hours: float | None = None
    """The same without GPUs."""

    @property
    def hours(self) -> float | None:
        """The limit; None: there is none."""
        return self.cpu_hours if self.gpu_hours is None else self.gpu_hours

    @property
    def unit(self) -> Literal["GPU", "CPU"]:
        """What it counts the hours of."""
        return "CPU" if self.gpu_hours is None else "GPU"


@dataclass(frozen=True, slots=True)
class Spending:
    """What a sweep uses, in hours of what its limit counts."""

    used: float
    """By all attempts so far, also those that were lost."""
    expected: float | None
    """More, by the open trainings; None: not known before a training has finished."""
    per_training: float | None
    """By a training that is not proposed yet, about; None: as for `expected`."""
    unread_runs: int = 0
    """Runs that are not included, because a file of theirs cannot be read."""

    @property
    def committed(self) -> float:
        """What is used, and what the open trainings are expected to use."""
        return self.used + (self.expected or 0.0)


def is_reached(limits: Limits, spending: Spending) -> bool:
    """Return whether no more trials are proposed."""
    return limits.hours is not None and spending.committed >= limits.hours


def affordable_trainings(limits: Limits, spending: Spending) -> int | None:
    """Return how many more trainings may be proposed; None: not known yet, or there is no limit.

    >>> affordable_trainings(Limits(gpu_hours=200), Spending(150.0, 30.0, 8.0))
    3
    >>> affordable_trainings(Limits(gpu_hours=200), Spending(150.0, 50.0, 8.0))
    0
    """
    if limits.hours is None:
        return None
    if is_reached(limits, spending):
        return 0
    return math.ceil((limits.hours - spending.committed) / spending.per_training) if spending.per_training else None


def describe_spending(limits: Limits, spending: Spending) -> str:
    """Return how much of the limit is used, as one line.

    >>> describe_spending(Limits(gpu_hours=200), Spending(150.0, 30.25, 8.0))
    'limit: 150 of 200 GPU-hours used, about 30.2 more expected by open trainings'
    >>> describe_spending(Limits(cpu_hours=0.5), Spending(0.0123, None, None, unread_runs=1))
    'limit: 0.0123 of 0.5 CPU-hours used; not counting 1 run with unreadable files: run `unetsweep repair`'
    """
    return f"limit: {_amounts(limits, spending)}"


def describe_reached(limits: Limits, spending: Spending) -> str:
    """Return that no more trials are proposed, and what to do, as one line.

    >>> describe_reached(Limits(gpu_hours=9), Spending(9.5, 0.0, 8.0))
    'limit reached: 9.5 of 9 GPU-hours used; no more trials are proposed. Raise study.limits.gpu_hours and submit again'
    """
    return (
        f"limit reached: {_amounts(limits, spending)}; no more trials are proposed. "
        f"Raise study.limits.{limits.unit.lower()}_hours and submit again"
    )


def _amounts(limits: Limits, spending: Spending) -> str:
    text = f"{_hours(spending.used)} of {_hours(limits.hours or 0.0)} {limits.unit}-hours used"
    if spending.expected:
        text += f", about {_hours(spending.expected)} more expected by open trainings"
    if spending.unread_runs:
        text += f"; not counting {counted(spending.unread_runs, 'run')} with unreadable files: run `unetsweep repair`"
    return text


def _hours(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 1000 else f"{hours:.3g}"
