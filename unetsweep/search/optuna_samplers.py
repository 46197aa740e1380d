"""Optuna's samplers: propose points that no trial has yet.

A trial of Optuna is a point with all its trainings. The n-th point's draw depends on the study's seed, n and the
results so far, and on nothing else. Each draw asks a study in memory that knows all trials, so a killed reconciliation
leaves nothing behind.
"""

import contextlib
import copy
import random
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from unetsweep.core.missing_points import SEED, missing_listed, points_of_sampler
from unetsweep.core.space import Choices, Domain, Point, Range, Space, walk
from unetsweep.core.space_size import size
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import UsageError
from unetsweep.search.distributions import distributions, drawn_values, is_in
from unetsweep.search.optuna_trials import Curves, EpochsOf, StudyTrial, direction, no_epochs, study_trials
from unetsweep.trial_config import ParameterValue

optuna.logging.set_verbosity(optuna.logging.ERROR)

MAX_ASKS = 100
"""After so many asks without a new point, a finite space is nearly used up: the rest of it is listed and drawn from."""
MAX_RANDOM_ASKS = 1000
"""After `MAX_ASKS` so many points of an infinite space are drawn at random: all that the sampler proposes may be
excluded."""
MAX_LISTED = 100_000
"""Points of a finite space that may be listed; listing more would take longer than a reconciliation may."""

EARLIER_TRIALS = 64
"""More trials than Optuna's samplers draw at random before they use their results, unless an argument asks for more."""

WITHOUT_RESULTS = ("random", "RandomSampler", "BruteForceSampler", "QMCSampler")
"""Samplers that learn from no result."""


def check_sampler(spec: SweepSpec) -> None:
    """UsageError if the sampler cannot draw from the space with its arguments, at first or after some results."""
    space, kinds = spec.space, distributions(spec.space)
    earlier = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with warnings.catch_warnings(), _failures(spec.study.sampler):
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=_sampler(spec.study, 0), direction=direction(spec))
        _ask(study, space, kinds, spec.study.sampler)
        if spec.study.sampler in WITHOUT_RESULTS:
            return
        for number in range(EARLIER_TRIALS):
            point = _ask(earlier, space, kinds, spec.study.sampler)[1]
            study.add_trial(_trial(kinds, point, state=TrialState.COMPLETE, value=number / EARLIER_TRIALS))
        _ask(study, space, kinds, spec.study.sampler)


def propose(spec: SweepSpec, trials: Sequence[StoredTrial], count: int, epochs_of: EpochsOf = no_epochs) -> list[Point]:
    """Return at most `count` points that no trial has yet; fewer only when the space has no more.

    The points that the sweep lists come first. What a partial one leaves out is drawn; if every point that contains it
    is taken, it is left out. `trials`: those whose point is known. `epochs_of` gives the curves that some samplers
    learn from.
    """
    known, curves, kinds = study_trials(spec, trials), Curves(spec, trials, epochs_of), distributions(spec.space)
    earlier: list[FrozenTrial] = []
    if spec.study.sampler != "random":  # `random` ignores earlier trials
        earlier = [frozen for each in known if (frozen := _freeze(spec, each, curves, kinds)) is not None]
    taken = {spec.space.key(point) for point in points_of_sampler(spec, trials)}
    points: list[Point] = []

    def add(point: Point | None) -> bool:
        if point is not None:
            points.append(point)
            taken.add(spec.space.key(point))
        return point is not None

    def draw(fixed: Point) -> Point | None:
        return _draw(spec, earlier, len(known) + len(points), points, taken, fixed)

    for listed in missing_listed(spec, trials)[:count]:
        add(listed if spec.space.is_full(listed) else draw(listed))
    while len(points) < count and add(draw({})):
        pass
    return points


def _draw(
    spec: SweepSpec,
    earlier: Sequence[FrozenTrial],
    number: int,
    chosen: Sequence[Point],
    taken: set[tuple[object, ...]],
    fixed: Point,
) -> Point | None:
    """Return the new point `number` with the values of `fixed`; None: there is none."""
    space, kinds = spec.space.with_values(fixed), distributions(spec.space)
    seed = random.Random(f"{spec.study.seed}/{number}").randrange(2**31)  # noqa: S311
    study = optuna.create_study(sampler=_partial_sampler(spec.study, seed, fixed), direction=direction(spec))
    if spec.study.sampler != "random":
        study.add_trials(earlier)
        study.add_trials(
            [_trial(kinds, each, state=TrialState.RUNNING) for each in chosen if _holds(spec.space, kinds, each)]
        )
    for _ in range(MAX_ASKS):
        asked, point = _ask(study, space, kinds, spec.study.sampler, fixed)
        if space.key(point) not in taken and not space.is_excluded(point):
            return _with_seed(point, fixed)
        try:
            study.tell(asked, state=TrialState.FAIL)
        except RuntimeError:  # BruteForceSampler stops a study of which it has proposed every point
            break
    if size(space) > MAX_LISTED:
        drawn = _draw_at_random(space, taken, seed)
    else:
        left = _list_free_points(space, taken)
        drawn = random.Random(seed).choice(left) if left else None  # noqa: S311
    return None if drawn is None else _with_seed(drawn, fixed)


def _with_seed(point: Point, fixed: Point) -> Point:
    return {**point, SEED: fixed[SEED]} if SEED in fixed else point


def _draw_at_random(space: Space, taken: set[tuple[object, ...]], seed: int) -> Point | None:
    """Return a point that is not taken nor excluded; None after `MAX_RANDOM_ASKS` without one."""
    study, kinds = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)), distributions(space)
    for _ in range(MAX_RANDOM_ASKS):
        point = _ask(study, space, kinds, "random")[1]
        if space.key(point) not in taken and not space.is_excluded(point):
            return point
    return None


def _ask(
    study: optuna.Study, space: Space, kinds: dict[str, BaseDistribution], sampler: str, fixed: Point | None = None
) -> tuple[optuna.Trial, Point]:
    """Ask the sampler for a point with the values of `fixed`. Parameters with conditions are drawn one after the other,
    as they are needed."""
    known = fixed or {}
    with _failures(sampler):
        if not space.has_conditions:
            asked = study.ask({path: kind for path, kind in kinds.items() if path not in known})
            return asked, {path: known[path] if path in known else asked.params[path] for path in space.paths}
        asked, point = study.ask(), dict[str, ParameterValue]()
        for parameter in space.by_dependence():
            if parameter.path in known:
                point[parameter.path] = known[parameter.path]
            elif parameter.is_part_of(point):
                point[parameter.path] = _suggest(asked, parameter.path, parameter.domain)
        return asked, {path: point[path] for path in space.paths if path in point}


def _suggest(trial: optuna.Trial, path: str, domain: Domain) -> ParameterValue:
    found: ParameterValue
    match domain:
        case Choices(values):
            found = trial.suggest_categorical(path, values)
        case Range(low, high, log, step) if domain.is_whole:
            found = trial.suggest_int(path, int(low), int(high), log=log, step=int(step or 1))
        case Range(low, high, log, step):
            found = trial.suggest_float(path, low, high, log=log, step=step)
    return found


class _Earlier(FrozenTrial):
    """A trial that a sampler learns from. A study copies every trial that it is given; this one shares its parameters
    and distributions with the copy, because to copy those takes longer than to draw a point."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Earlier":
        return copy.copy(self)


def _trial(
    kinds: dict[str, BaseDistribution],
    point: Point,
    state: TrialState,
    value: float | None = None,
    intermediate_values: dict[int, float] | None = None,
) -> FrozenTrial:
    """Return a trial of Optuna with the parameters that the point has."""
    now = datetime.now()  # noqa: DTZ005 - as Optuna's own
    return _Earlier(
        number=-1,
        state=state,
        value=value,
        datetime_start=now,
        datetime_complete=now if state.is_finished() else None,
        params={path: point[path] for path in kinds if path in point},
        distributions={path: kind for path, kind in kinds.items() if path in point},
        user_attrs={},
        system_attrs={},
        intermediate_values=intermediate_values or {},
        trial_id=-1,
    )


def _holds(space: Space, kinds: dict[str, BaseDistribution], point: Point) -> bool:
    """Return whether Optuna can hold the point: its values are in their domains, and their conditions hold."""
    for parameter in space.parameters:
        if parameter.is_part_of(point) != (parameter.path in point):
            return False
        if parameter.path in point and not is_in(kinds[parameter.path], point[parameter.path]):
            return False
    return True


@contextlib.contextmanager
def _failures(sampler: str) -> Iterator[None]:
    """Turn any error of a sampler into a UsageError."""
    try:
        yield
    except UsageError:
        raise
    except ImportError as error:  # some samplers import what they need only when they draw
        raise UsageError(f"study.sampler: {sampler} needs a package that is not installed: {error}") from error
    except Exception as error:  # Optuna checks few arguments before it uses them
        reason = f"{error}" or type(error).__name__
        raise UsageError(f"study.sampler: {sampler} cannot draw from this space: {reason}") from error


def _list_free_points(space: Space, taken: set[tuple[object, ...]]) -> list[Point]:
    """Return the points of a finite space that are not taken nor excluded."""
    points = walk(space, lambda domain: list(drawn_values(domain)))
    return [point for point in points if space.key(point) not in taken and not space.is_excluded(point)]


def _freeze(
    spec: SweepSpec, trial: StudyTrial, curves: Curves, kinds: dict[str, BaseDistribution]
) -> FrozenTrial | None:
    """Return a trial as the sampler sees it; None if its point is no longer in the space."""
    known = trial.params
    params = {path: known[path] for path in kinds if path in known}
    if not _holds(spec.space, kinds, params):
        return None
    return _trial(
        kinds,
        params,
        state=trial.state,
        value=trial.value if trial.state is TrialState.COMPLETE else None,
        intermediate_values=curves.of(trial) if trial.state in (TrialState.PRUNED, TrialState.RUNNING) else {},
    )


def _partial_sampler(study: StudySpec, seed: int, fixed: Point) -> BaseSampler:
    """Return the sampler of the values that `fixed` does not have. One that learns from nothing draws them at random,
    because its sequence is one of whole points."""
    if not fixed:
        return _sampler(study, seed)
    if study.sampler in WITHOUT_RESULTS:
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(dict(fixed), _sampler(study, seed))


def _sampler(study: StudySpec, seed: int) -> BaseSampler:
    names = {"random": "RandomSampler", "tpe": "TPESampler"}
    name = names.get(study.sampler, study.sampler)
    cls = getattr(optuna.samplers, name)
    try:
        try:
            return cls(**{"seed": seed, **study.sampler_args})  # type: ignore[no-any-return]
        except TypeError:  # a sampler without a seed
            return cls(**study.sampler_args)  # type: ignore[no-any-return]
    except (TypeError, ValueError, ImportError) as error:
        raise UsageError(f"study.sampler: Optuna's {name} cannot be made with {study.sampler_args}: {error}") from error
