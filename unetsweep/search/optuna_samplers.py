"""Optuna's samplers: propose points that no trial has yet.

A trial of Optuna is a point with all its trainings. The n-th point's draw depends on the study's seed, n and the
results so far, and on nothing else. Each draw asks a study in memory that knows all trials, so a killed reconciliation
leaves nothing behind.
"""

import contextlib
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from unetsweep.core.space import Choices, Domain, Point, Range, Space, size, walk
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import UsageError
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
    space, kinds = spec.space, _distributions(spec.space)
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

    `trials`: those whose point is known. `epochs_of` gives the curves that some samplers learn from.
    """
    known, curves = study_trials(spec, trials), Curves(spec, trials, epochs_of)
    taken = {spec.space.key(each.params) for each in known}
    points: list[Point] = []
    while len(points) < count:
        point = _draw(spec, known, curves, points, taken)
        if point is None:
            break
        points.append(point)
        taken.add(spec.space.key(point))
    return points


def _draw(
    spec: SweepSpec,
    known: Sequence[StudyTrial],
    curves: Curves,
    chosen: Sequence[Point],
    taken: set[tuple[object, ...]],
) -> Point | None:
    space, kinds = spec.space, _distributions(spec.space)
    seed = random.Random(f"{spec.study.seed}/{len(known) + len(chosen)}").randrange(2**31)  # noqa: S311
    study = optuna.create_study(sampler=_sampler(spec.study, seed), direction=direction(spec))
    if spec.study.sampler != "random":  # `random` ignores earlier trials; to add them at each draw is slow
        study.add_trials([frozen for each in known if (frozen := _freeze(spec, each, curves, kinds)) is not None])
        for each in chosen:
            study.add_trial(_trial(kinds, each, state=TrialState.RUNNING))
    for _ in range(MAX_ASKS):
        asked, point = _ask(study, space, kinds, spec.study.sampler)
        if space.key(point) not in taken and not space.is_excluded(point):
            return point
        try:
            study.tell(asked, state=TrialState.FAIL)
        except RuntimeError:  # BruteForceSampler stops a study of which it has proposed every point
            break
    if size(space) > MAX_LISTED:
        return _draw_at_random(space, taken, seed)
    left = _list_free_points(space, taken)
    return random.Random(seed).choice(left) if left else None  # noqa: S311


def _draw_at_random(space: Space, taken: set[tuple[object, ...]], seed: int) -> Point | None:
    """Return a point that is not taken nor excluded; None after `MAX_RANDOM_ASKS` without one."""
    study, kinds = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)), _distributions(space)
    for _ in range(MAX_RANDOM_ASKS):
        point = _ask(study, space, kinds, "random")[1]
        if space.key(point) not in taken and not space.is_excluded(point):
            return point
    return None


def _ask(
    study: optuna.Study, space: Space, kinds: dict[str, BaseDistribution], sampler: str
) -> tuple[optuna.Trial, Point]:
    """Ask the sampler for a point. Parameters with conditions are drawn one after the other, as they are needed."""
    with _failures(sampler):
        if not space.has_conditions:
            asked = study.ask(kinds)
            return asked, {path: asked.params[path] for path in space.paths}
        asked, point = study.ask(), dict[str, ParameterValue]()
        for parameter in space.by_dependence():
            if parameter.is_part_of(point):
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


def _trial(kinds: dict[str, BaseDistribution], point: Point, **more: Any) -> FrozenTrial:
    """Return a trial of Optuna with the parameters that the point has."""
    return create_trial(params=dict(point), distributions={path: kinds[path] for path in point}, **more)


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {path: _distribution(domain) for path, domain in space.domains().items()}


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
    points = walk(space, lambda domain: list(_values(domain)))
    return [point for point in points if space.key(point) not in taken and not space.is_excluded(point)]


def _values(domain: Domain) -> Iterator[ParameterValue]:
    """Yield the values of a domain exactly as Optuna draws them: it rounds the upper end differently from the steps."""
    match domain:
        case Choices(values):
            yield from values
        case Range(low, high, step=step):
            last = getattr(_distribution(domain), "high", high)
            for k in range(math.floor((high - low) / (step or 1) + 1e-9) + 1):
                yield min(k * (step or 1) + low, last)


def _distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case Choices(values):
            return CategoricalDistribution(values)
        case Range(low, high, log, step) if domain.is_whole:
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        case Range(low, high, log, step):
            return FloatDistribution(low, high, log=log, step=step)


def _freeze(
    spec: SweepSpec, trial: StudyTrial, curves: Curves, kinds: dict[str, BaseDistribution]
) -> FrozenTrial | None:
    """Return a trial as the sampler sees it; None if its point is no longer in the space."""
    known = trial.params
    params = {path: known[path] for path in kinds if path in known}
    for parameter in spec.space.parameters:
        if parameter.is_part_of(params) != (parameter.path in params):
            return None
        if parameter.path in params:
            distribution = kinds[parameter.path]
            if not distribution._contains(distribution.to_internal_repr(params[parameter.path])):
                return None
    return _trial(
        kinds,
        params,
        state=trial.state,
        value=trial.value if trial.state is TrialState.COMPLETE else None,
        intermediate_values=curves.of(trial) if trial.state in (TrialState.PRUNED, TrialState.RUNNING) else {},
    )


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
