"""How many points a search space has."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from unetsweep.core.space import Choices, Domain, Range, Space, walk
from unetsweep.limits import MAX_TRIALS


@dataclass(frozen=True, slots=True)
class PointCounts:
    """How many points a finite space has."""

    combinations: int
    """Of the values of all parameters, as if there were no conditions and nothing excluded."""
    without_conditions: int
    """Those of them that are no points of their own, because they differ in a parameter that a point does not have."""
    excluded: int

    @property
    def points(self) -> int:
        """The points that can be proposed."""
        return self.combinations - self.without_conditions - self.excluded


def count_points(space: Space) -> PointCounts | None:
    """Return how many points a space has; None if it has too many to look at each, or is infinite."""
    counts = [_count(parameter.domain) for parameter in space.parameters]
    if math.isinf(math.prod(counts)):
        return None
    if not (space.has_conditions or space.excluded):
        return PointCounts(int(math.prod(counts)), 0, 0)
    return None if max(counts) > MAX_TRIALS else _enumerated_counts(space)


@lru_cache(maxsize=16)
def _enumerated_counts(space: Space) -> PointCounts | None:
    found = list(islice(walk(space), MAX_TRIALS + 1))
    if len(found) > MAX_TRIALS:
        return None
    combinations = int(math.prod(_count(parameter.domain) for parameter in space.parameters))
    return PointCounts(combinations, combinations - len(found), sum(map(space.is_excluded, found)))


def size(space: Space) -> float:
    """Return the number of distinct points; infinity if a range of floats has no step. If more than `MAX_TRIALS` are
    left by conditions and exclusions, it is that of all combinations."""
    counts = count_points(space)
    return math.prod(_count(parameter.domain) for parameter in space.parameters) if counts is None else counts.points


def _count(domain: Domain) -> float:
    match domain:
        case Choices(values):
            return len(values)
        case Range(low, high, step=None) if not domain.is_whole:
            return 1 if low == high else math.inf
        case Range(low, high, step=step):
            return math.floor((high - low) / (step or 1) + 1e-9) + 1


def leaves_nothing(space: Space) -> bool:
    """Return whether the exclusions leave no point. (False if there are too many to look at each.)"""
    if not space.excluded:
        return False
    counts = count_points(space)
    if counts is not None:
        return counts.points <= 0
    lists = tuple(parameter for parameter in space.parameters if isinstance(parameter.domain, Choices))
    paths = {parameter.path for parameter in lists}
    excluded = tuple(each for each in space.excluded if {path for path, _ in each} <= paths)
    counts = count_points(Space(lists, excluded))
    return counts is not None and counts.points <= 0
