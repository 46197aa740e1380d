"""Forecast, for a dry run: the plan as it will be once the trials that a sweep would propose exist."""

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
    observation: Observation,
    capacity: Capacity,
    now: datetime,
    new_trials: Callable[[int, int], Iterable[tuple[int, int]]] | None = None,
) -> tuple[Plan, int]:
    """Return the plan as it will be when the proposed trials exist, and how many those are.

    `new_trials`: called with the count of the new trials and the number of the first; returns the run and epochs of
    each. By default each trial has its own run.
    """
    first_plan = plan(spec, observation, capacity, now)
    count = sum(action.count for action in first_plan.actions if isinstance(action, Propose))
    first = observation.ended + len(observation.trials)
    if new_trials is None:
        runs_and_epochs: Iterable[tuple[int, int]] = ((number, 0) for number in range(first, first + count))
    else:
        runs_and_epochs = new_trials(count, first)
    proposed = tuple(Trial(number, run, epochs) for number, (run, epochs) in enumerate(runs_and_epochs, first))
    return plan(spec, replace(observation, trials=observation.trials + proposed), capacity, now), count
