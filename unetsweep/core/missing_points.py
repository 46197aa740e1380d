"""Which trainings of a sweep are still missing: those of its listed points, those of a grid, and repeats of points.

Rule 1: a training is a point and a seed. All points of a sampler are trained with the seed of the study, so a listed
        point with another seed is another training.
Rule 2: a point that is listed n times is n trainings, with the seeds from that of the study on.
Rule 3: a partial point, which names some parameters only, asks for one point of its own, whose other values the sampler
        chooses. Of a grid, in which all points are trained anyway, it says which ones come first.
Rule 4: of all this, only which trials were made for a listed point is stored (`LISTED`). What is missing follows from
        the trials that exist. So a kill between two trainings of a point loses none and doubles none, and a sweep whose
        `study.repeats` is raised later gets the trainings that are missing.
Rule 5: with `study.repeats` every point, listed or not, is trained with the same seeds, and listed once without a seed.
        The missing repeats of points that exist come first, so that their means are known early.
Rule 6: all trainings of a point that was made for a listed one have the mark. So a partial point is met by a point of
        which any training has it, and its repeats are the other seeds of that point.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from unetsweep.core.space import Point, remaining_grid_points
from unetsweep.core.space_size import size
from unetsweep.core.spec import NO_SAMPLER, StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.limits import SEEDS
from unetsweep.texts import counted

LISTED = "points"
"""What a trial has in place of its sampler if it was made for a listed point."""
SEED = "seed"

Training = tuple[tuple[object, ...], object]
"""The values of a point (`Space.key`) and the seed."""


def trials_wanted(spec: SweepSpec) -> int:
    """Return how many trials the sweep has when it is complete."""
    return points_wanted(spec) * spec.study.repeats


def points_wanted(spec: SweepSpec) -> int:
    """Return how many points the sweep has when it is complete. Without repeats one with another seed is another point.

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


def describe_wanted(spec: SweepSpec) -> str:
    """Return how much the sweep asks for: `12 trials`, or `12 points, 2 trainings of each: 24 trials`."""
    trials = counted(trials_wanted(spec), "trial")
    if spec.study.repeats == 1:
        return trials
    return f"{counted(points_wanted(spec), 'point')}, {spec.study.repeats} trainings of each: {trials}"


def seeds_of(study: StudySpec) -> tuple[int, ...]:
    """Return the seeds of the trainings of a point, the same ones for all points."""
    return tuple((study.seed + step) % SEEDS for step in range(study.repeats))


def full_points(spec: SweepSpec, points: Sequence[Point]) -> tuple[Point, ...]:
    """Return those of the listed points that name every parameter, in order, each with the seed of its training; with
    repeats, of its first one."""
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
    """Return the training of a full point, with the seed of the study if it names none. With repeats the first training
    of a point stands for all of them."""
    seed = point.get(SEED, spec.study.seed) if spec.study.repeats == 1 else spec.study.seed
    return spec.space.key(point), seed


def missing_trainings(
    spec: SweepSpec, trials: Sequence[StoredTrial], count: int, new_points: Callable[[int], Sequence[Point]]
) -> list[Point]:
    """Return at most `count` trainings that no trial is yet. With several repeats each point has its seed.

    `new_points` returns at most so many points that no trial has, the listed ones first.
    """
    if spec.study.repeats == 1:
        return list(new_points(count)[:count])
    found = missing_repeats(spec, trials)[:count]
    points = -(-(count - len(found)) // spec.study.repeats)
    if points > 0:
        new = ({**point, SEED: seed} for point in new_points(points) for seed in seeds_of(spec.study))
        found += islice(new, count - len(found))
    return found


def missing_repeats(spec: SweepSpec, trials: Iterable[StoredTrial]) -> list[Point]:
    """Return the trainings that points which exist lack, each a point with its seed, point by point; none of points
    that the sweep does not ask for."""
    if spec.study.repeats == 1:
        return []
    points: dict[tuple[object, ...], Point] = {}
    there: dict[tuple[object, ...], set[object]] = {}
    for point in _points(trials):
        key = spec.space.key(point)
        points.setdefault(key, point)
        there.setdefault(key, set()).add(point.get(SEED))
    seeds, wants = seeds_of(spec.study), _wants(spec)
    lacking = ((points[key], [seed for seed in seeds if seed not in known]) for key, known in there.items())
    return [{**point, SEED: seed} for point, missing in lacking if missing and wants(point) for seed in missing]


def missing_listed(spec: SweepSpec, trials: Iterable[StoredTrial]) -> tuple[Point, ...]:
    """Return the listed points that no trial has, those of the file first; full ones with their seeds.

    Of a grid, all partial points are among them.
    """
    known = [(trial, point) for trial in trials if (point := trial.point) is not None]
    taken = {training_of(spec, point) for _, point in known}
    listed = listed_points(spec)
    full = _trainings(spec, (point for point in listed if spec.space.is_full(point)))
    made_for_listed = _trainings(spec, (point for trial, point in known if trial.is_listed))
    free = [point for training, point in made_for_listed.items() if training not in full]
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
    return [point for point in _points(trials) if training_of(spec, point) not in others]


def are_listed(spec: SweepSpec, trials: Sequence[StoredTrial], new: Sequence[Point]) -> list[bool]:
    """Return of each new training whether it is made for a listed point. A repeat is as its point is (rule 6)."""
    left, found = list(missing_listed(spec, trials)), list[bool]()
    marks: dict[Training, bool] = {}
    for trial in trials:
        if (known := trial.point) is not None:
            training = training_of(spec, known)
            marks[training] = marks.get(training, False) or trial.is_listed
    for point in new:
        training = training_of(spec, point)
        if training not in marks:
            at = next((index for index, each in enumerate(left) if meets(spec, point, each)), None)
            marks[training] = at is not None
            if at is not None:
                del left[at]
        found.append(marks[training])
    return found


def meets(spec: SweepSpec, point: Point, listed: Point) -> bool:
    """Return whether a training of this point, with its seed, is one that a listed point asks for."""
    seed = spec.study.seed
    if spec.study.repeats == 1 and point.get(SEED, seed) != listed.get(SEED, seed):
        return False
    return _contains(point, listed)


def listed_points(spec: SweepSpec) -> list[Point]:
    """Return all listed points in their order, full ones with their seeds."""
    found: list[Point] = []
    for points in (spec.points, spec.added):
        full = iter(full_points(spec, points))
        found += [next(full) if spec.space.is_full(point) else point for point in points]
    return found


def _points(trials: Iterable[StoredTrial]) -> list[Point]:
    """The points of trials, with the seeds of their trainings."""
    return [point for trial in trials if (point := trial.point) is not None]


def _trainings(spec: SweepSpec, points: Iterable[Point]) -> dict[Training, Point]:
    return {training_of(spec, point): point for point in points}


def _wants(spec: SweepSpec) -> Callable[[Point], bool]:
    """Whether the sweep asks for a point, given with all values: its sampler may propose it, or it is listed."""
    listed = listed_points(spec)
    full = {spec.space.key(point) for point in listed if spec.space.is_full(point)}
    partial = [point for point in listed if not spec.space.is_full(point)]
    has_sampler = spec.study.sampler != NO_SAMPLER
    return lambda point: (
        (has_sampler and spec.space.contains(point))
        or spec.space.key(point) in full
        or any(_contains(point, each) for each in partial)
    )


def _outside_sampler(spec: SweepSpec, points: Iterable[Point]) -> int:
    """How many of these trainings no sampler proposes."""
    return sum(not _is_of_sampler(spec, point) for point in points)


def _is_of_sampler(spec: SweepSpec, point: Point) -> bool:
    """Whether the sampler may propose a full point, with this seed."""
    has_its_seed = SEED in spec.space.paths or point[SEED] == spec.study.seed
    return has_its_seed and spec.space.contains(point)


def _met(spec: SweepSpec, partial: Sequence[int], listed: Sequence[Point], free: list[Point]) -> set[int]:
    """The partial points for which a point was made. One that names more chooses first."""
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
