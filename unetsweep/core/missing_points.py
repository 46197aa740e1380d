"""Which trainings of a sweep are still missing: those of its listed points, and those of a grid.

Rule 1: a training is a point and a seed. All points of a sampler are trained with the seed of the study, so a listed
        point with another seed is another training.
Rule 2: a point that is listed n times is n trainings, with the seeds from that of the study on.
Rule 3: a partial point, which names some parameters only, asks for one trial of its own, whose other values the sampler
        chooses. Of a grid, in which all points are trained anyway, it says which ones come first.
Rule 4: of all this, only which trials were made for a listed point is stored (`LISTED`). What is missing follows from
        the trials that exist.
"""

from collections.abc import Iterable, Mapping, Sequence

from unetsweep.core.space import Point, remaining_grid_points, size
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.limits import SEEDS

LISTED = "points"
"""What a trial has in place of its sampler if it was made for a listed point."""
SEED = "seed"

Training = tuple[tuple[object, ...], object]
"""The values of a point (`Space.key`) and the seed."""


def trials_wanted(spec: SweepSpec) -> int:
    """Return how many trials the sweep has when it is complete.

    `study.trials` counts the points of the file, but not those that were added later.
    """
    listed = _trainings(spec, full_points(spec, spec.points))
    added = {key: point for key, point in _trainings(spec, full_points(spec, spec.added)).items() if key not in listed}
    if spec.study.sampler == NO_SAMPLER:
        return len(listed) + len(added)
    points, more = size(spec.space), _outside_sampler(spec, listed.values())
    asked = points + more if spec.study.trials is None else spec.study.trials
    asked += len(added) + sum(not spec.space.is_full(point) for point in spec.added)
    return int(min(asked, points + more + _outside_sampler(spec, added.values())))


def full_points(spec: SweepSpec, points: Sequence[Point]) -> tuple[Point, ...]:
    """Return those of the listed points that name every parameter, in order, each with the seed of its training."""
    full = [point for point in points if spec.space.is_full(point)]
    taken = {training_of(spec, point) for point in full if SEED in point}
    following: dict[tuple[object, ...], int] = {}
    found: list[Point] = []
    for point in full:
        if SEED in point:
            found.append(point)
            continue
        key = spec.space.key(point)
        seed = following.get(key, spec.study.seed)
        while (key, seed) in taken:
            seed = (seed + 1) % SEEDS
        following[key] = (seed + 1) % SEEDS
        found.append({**point, SEED: seed})
    return tuple(found)


def training_of(spec: SweepSpec, point: Point) -> Training:
    """Return the training of a full point, with the seed of the study if it names none."""
    return spec.space.key(point), point.get(SEED, spec.study.seed)


def missing_listed(spec: SweepSpec, trials: Iterable[StoredTrial]) -> tuple[Point, ...]:
    """Return the listed points that no trial has, those of the file first; full ones with their seeds.

    Of a grid, all partial points are among them.
    """
    known = [(trial, point) for trial in trials if (point := trial.point) is not None]
    taken = {training_of(spec, point) for _, point in known}
    listed = listed_points(spec)
    full = _trainings(spec, (point for point in listed if spec.space.is_full(point)))
    free: list[Point] = [point for trial, point in known if trial.is_listed and training_of(spec, point) not in full]
    met = _met(spec, [index for index, point in enumerate(listed) if not spec.space.is_full(point)], listed, free)
    found = dict[object, Point]()
    for index, each in enumerate(listed):
        if not spec.space.is_full(each):
            if index not in met:
                found[index] = each
        elif (key := training_of(spec, each)) not in taken:
            found.setdefault(key, each)
    return tuple(found.values())


def missing_points(spec: SweepSpec, trials: Sequence[StoredTrial]) -> tuple[Point, ...]:
    """Return every point that a grid, or a sweep without a sampler, still has to train: first the listed ones."""
    listed = missing_listed(spec, trials)
    if spec.study.sampler == NO_SAMPLER:
        return listed
    remaining = remaining_grid_points(spec.space, points_of_sampler(spec, trials))
    left = {spec.space.key(point): point for point in remaining}
    found: list[Point] = []
    for each in listed:
        if not spec.space.is_full(each):
            found += [left.pop(key) for key, point in list(left.items()) if _contains(point, each)]
            continue
        found.append(each)
        if each[SEED] == spec.study.seed or SEED in spec.space.paths:
            left.pop(spec.space.key(each), None)
    return (*found, *left.values())


def points_of_sampler(spec: SweepSpec, trials: Iterable[StoredTrial]) -> list[Point]:
    """Return the points that a sampler must not propose again: those of all trials, except of those that a listed point
    with another seed asked for (rule 1)."""
    listed = full_points(spec, spec.points) + full_points(spec, spec.added)
    others = {training_of(spec, point) for point in listed if not _is_of_sampler(spec, point)}
    points = (trial.point for trial in trials if trial.point is not None)
    return [point for point in points if training_of(spec, point) not in others]


def are_listed(spec: SweepSpec, trials: Sequence[StoredTrial], new: Sequence[Point]) -> list[bool]:
    """Return of each new point whether its trial is made for a listed point."""
    left, found = list(missing_listed(spec, trials)), list[bool]()
    for point in new:
        at = next((index for index, each in enumerate(left) if meets(spec, point, each)), None)
        found.append(at is not None)
        if at is not None:
            del left[at]
    return found


def meets(spec: SweepSpec, point: Point, listed: Point) -> bool:
    """Return whether a training of this point, with its seed, is one that a listed point asks for."""
    if point.get(SEED, spec.study.seed) != listed.get(SEED, spec.study.seed):
        return False
    return _contains(point, listed)


def listed_points(spec: SweepSpec) -> list[Point]:
    """Return all listed points in their order, full ones with their seeds."""
    found: list[Point] = []
    for points in (spec.points, spec.added):
        full = iter(full_points(spec, points))
        found += [next(full) if spec.space.is_full(point) else point for point in points]
    return found


def _trainings(spec: SweepSpec, points: Iterable[Point]) -> dict[Training, Point]:
    return {training_of(spec, point): point for point in points}


def _outside_sampler(spec: SweepSpec, points: Iterable[Point]) -> int:
    """How many of these trainings no sampler proposes."""
    return sum(not _is_of_sampler(spec, point) for point in points)


def _is_of_sampler(spec: SweepSpec, point: Point) -> bool:
    """Whether the sampler may propose a full point, with this seed."""
    has_its_seed = SEED in spec.space.paths or point[SEED] == spec.study.seed
    return has_its_seed and spec.space.contains(point)


def _met(spec: SweepSpec, partial: Sequence[int], listed: Sequence[Point], free: list[Point]) -> set[int]:
    """The partial points for which a trial was made. One that names more chooses first."""
    found = set()
    for index in sorted(partial, key=lambda index: -len(listed[index])):
        at = next((at for at, point in enumerate(free) if meets(spec, point, listed[index])), None)
        if at is not None:
            del free[at]
            found.add(index)
    return found


def _contains(point: Mapping[str, object], partial: Point) -> bool:
    """Whether a point has all values of a partial one, whatever the seeds are."""
    missing = object()
    return all(point.get(path, missing) == value for path, value in partial.items() if path != SEED)
