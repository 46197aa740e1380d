"""Which trainings a sweep still asks for: the pairs of a point and a seed that no trial has.

Rule 1: nothing of this is stored. It follows from the trials that exist, so a kill between two repeats of a point loses
        none and doubles none, and a sweep whose `study.repeats` is raised later gets the trainings that are missing.
Rule 2: the missing repeats of points that exist come first, so that their means are known early.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice

from unetsweep.core.space import Point
from unetsweep.core.spec import StudySpec, SweepSpec, points_wanted, trials_wanted
from unetsweep.limits import BOUNDS
from unetsweep.texts import counted

_SEEDS = BOUNDS["study.seed"][1] + 1
"""How many seeds there are."""


def seeds_of(study: StudySpec) -> tuple[int, ...]:
    """Return the seeds of the trainings of a point, the same ones for all points."""
    return tuple((study.seed + step) % _SEEDS for step in range(study.repeats))


def missing_repeats(spec: SweepSpec, taken: Iterable[Point]) -> list[Point]:
    """Return the trainings that the points in `taken` lack, each a point with its seed, point by point.

    `taken`: the points of all trials, with the seeds of their trainings.
    """
    if spec.study.repeats == 1:
        return []
    points: dict[Hashable, Point] = {}
    there: dict[Hashable, set[object]] = {}
    for point in taken:
        key = spec.space.key(point)
        points.setdefault(key, point)
        there.setdefault(key, set()).add(point.get("seed", spec.study.seed))
    seeds = seeds_of(spec.study)
    return [{**point, "seed": seed} for key, point in points.items() for seed in seeds if seed not in there[key]]


def missing_trainings(
    spec: SweepSpec, taken: Sequence[Point], count: int, new_points: Callable[[int], Sequence[Point]]
) -> list[Point]:
    """Return at most `count` trainings that no trial is yet. With several repeats each point has its seed.

    `taken`: as above. `new_points` returns at most so many points that are not in `taken`.
    """
    if spec.study.repeats == 1:
        return list(new_points(count)[:count])
    found = missing_repeats(spec, taken)[:count]
    points = -(-(count - len(found)) // spec.study.repeats)
    if points > 0:
        new = ({**point, "seed": seed} for point in new_points(points) for seed in seeds_of(spec.study))
        found += islice(new, count - len(found))
    return found


def describe_wanted(spec: SweepSpec) -> str:
    """Return how much the sweep asks for: `12 trials`, or `12 points, 2 trainings of each: 24 trials`."""
    trials = counted(trials_wanted(spec), "trial")
    if spec.study.repeats == 1:
        return trials
    return f"{counted(points_wanted(spec), 'point')}, {spec.study.repeats} trainings of each: {trials}"
