"""The trainings of a point taken together: which trials they are, how the point ended, and its mean curve.

A point is all trials with equal parameters, which differ in their seeds. Without repeats every trial is a point.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from unetsweep.core.space import Point
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial

FAILED = ("failed", "diverged", "cancelled")
"""States of a training that has no part in the means of its point."""
T = TypeVar("T")


def grouped(spec: SweepSpec, trials: Iterable[T], params_of: Callable[[T], Point]) -> list[tuple[T, ...]]:
    """Return the trials of each point, in the order of its first trial. A trial whose parameters are not known is a
    point of its own."""
    if spec.study.repeats == 1:
        return [(trial,) for trial in trials]
    groups: dict[Hashable, list[T]] = {}
    for trial in trials:
        params = params_of(trial)
        groups.setdefault(spec.space.key(params) if params else object(), []).append(trial)
    return [tuple(group) for group in groups.values()]


def stored_points(spec: SweepSpec, trials: Iterable[StoredTrial]) -> list[tuple[StoredTrial, ...]]:
    """Return the trials of each point, without those whose point is not known."""
    known = (trial for trial in trials if spec.study.repeats == 1 or trial.params is not None)
    return grouped(spec, known, lambda trial: trial.params or {})


def state_of_point(states: Sequence[str | None], repeats: int) -> str | None:
    """Return how a point ended, from the states of its trials (None: open); None: a training is open or missing.

    It is pruned if any training was: then all were that had not reached their end. Else one complete training is
    enough, because its mean leaves out those that failed.
    """
    if len(states) < repeats or None in states:
        return None
    return next((state for state in ("pruned", "complete") if state in states), states[0])


def mean_curve(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the mean at each epoch that all curves have."""
    if not curves:
        return {}
    common = set[int].intersection(*(set(curve) for curve in curves))
    return {epoch: fmean(curve[epoch] for curve in curves) for epoch in sorted(common)}
