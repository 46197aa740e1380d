"""The plan of a sweep whose next trials are not there yet: for a dry run."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from unetsweep.core.actions import Propose
from unetsweep.core.capacity import Capacity
from unetsweep.core.observation import Observation, Trial
from unetsweep.core.plan import Plan, plan
from unetsweep.core.spec import SweepSpec


def forecast(
    spec: SweepSpec,
    observed: Observation,
    capacity: Capacity,
    now: datetime,
    parts: Callable[[int, int], Iterable[tuple[int, int]]] | None = None,
) -> tuple[Plan, int]:
    """The plan as it will be when its proposals are trials, and how many of those there are: for a dry run.

    `parts`: run and epochs of so many new trials, numbered on from a number; by default each has its own run.
    """
    first = plan(spec, observed, capacity, now)
    count = sum(action.count for action in first.actions if isinstance(action, Propose))
    start = observed.ended + len(observed.trials)
    new = parts(count, start) if parts is not None else ((number, 0) for number in range(start, start + count))
    hoped = tuple(Trial(number, run, epochs) for number, (run, epochs) in enumerate(new, start))
    return plan(spec, replace(observed, trials=observed.trials + hoped), capacity, now), count
