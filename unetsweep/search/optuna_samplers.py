"""Optuna's samplers: propose points that no trial has yet.

The n-th trial's draw depends on the study's seed, n and the results so far, and on nothing else. Each draw asks a
study in memory that knows all trials, so a killed reconciliation leaves nothing behind.
"""

import contextlib
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from itertools import product

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from unetsweep.core.space import Choices, Domain, Point, Range, Space, size
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import UsageError
from unetsweep.search.optuna_trials import Curves, EpochsOf, direction, no_epochs, state_of
from unetsweep.trial_config import ParameterValue

optuna.logging.set_verbosity(optuna.logging.ERROR)

MAX_ASKS = 100
"""After so many asks without a new point, a finite space is nearly used up: the rest of it is listed and drawn from."""
MAX_LISTED = 100_000
"""Points of a finite space that may be listed; listing more would take longer than a reconciliation may."""

EARLIER_TRIALS = 64
"""More trials than Optuna's samplers draw at random before they use their results, unless an argument asks for more."""

WITHOUT_RESULTS = ("random", "RandomSampler", "BruteForceSampler", "QMCSampler")
"""Samplers that learn from no result."""


def check_sampler(spec: SweepSpec) -> None:
    """UsageError if the sampler cannot draw from the space with its arguments, at first or after some results."""
    space = {path: _distribution(domain) for path, domain in spec.space.domains().items()}
    earlier = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with warnings.catch_warnings(), _failures(spec.study.sampler):
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=_sampler(spec.study, 0), direction=direction(spec))
        _ask(study, space, spec.study.sampler)
        if spec.study.sampler in WITHOUT_RESULTS:
            return
        for number in range(EARLIER_TRIALS):
            params = _ask(earlier, space, spec.study.sampler).params
            study.add_trial(create_trial(params=params, distributions=space, value=number / EARLIER_TRIALS))
        _ask(study, space, spec.study.sampler)


def propose(spec: SweepSpec, trials: Sequence[StoredTrial], count: int, epochs_of: EpochsOf = no_epochs) -> list[Point]:
    """Return at most `count` points that no trial has yet; fewer only when the space has no more.

    `trials`: those whose point is known. `epochs_of` gives the curves that some samplers learn from.
    """
    taken = {spec.space.key(trial.params) for trial in trials if trial.params is not None}
    curves = Curves(spec, trials, epochs_of)
    points: list[Point] = []
    while len(points) < count:
        point = _draw(spec, trials, curves, points, taken)
        if point is None:
            break
        points.append(point)
        taken.add(spec.space.key(point))
    return points


def _draw(
    spec: SweepSpec,
    trials: Sequence[StoredTrial],
    curves: Curves,
    chosen: Sequence[Point],
    taken: set[tuple[ParameterValue, ...]],
) -> Point | None:
    space = {path: _distribution(domain) for path, domain in spec.space.domains().items()}
    seed = random.Random(f"{spec.study.seed}/{len(trials) + len(chosen)}").randrange(2**31)  # noqa: S311
    study = optuna.create_study(sampler=_sampler(spec.study, seed), direction=direction(spec))
    if spec.study.sampler != "random":  # `random` ignores earlier trials; to add them at each draw is slow
        study.add_trials([frozen for trial in trials if (frozen := _freeze(spec, trial, curves, space)) is not None])
        for each in chosen:
            study.add_trial(create_trial(state=TrialState.RUNNING, params=dict(each), distributions=space))
    for _ in range(MAX_ASKS):
        asked = _ask(study, space, spec.study.sampler)
        point = {path: asked.params[path] for path in space}
        if spec.space.key(point) not in taken:
            return point
        study.tell(asked, state=TrialState.FAIL)
    left = _list_free_points(spec.space, taken)
    return random.Random(seed).choice(left) if left else None  # noqa: S311


def _ask(study: optuna.Study, space: dict[str, BaseDistribution], sampler: str) -> optuna.Trial:
    with _failures(sampler):
        return study.ask(space)


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


def _list_free_points(space: Space, taken: set[tuple[ParameterValue, ...]]) -> list[Point]:
    """Return the points of a finite space that are not taken; none for a space that is infinite or too large."""
    if size(space) > MAX_LISTED:
        return []
    values = {path: list(_values(domain)) for path, domain in space.domains().items()}
    points = (dict(zip(values, each, strict=True)) for each in product(*values.values()))
    return [point for point in points if space.key(point) not in taken]


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
    spec: SweepSpec, trial: StoredTrial, curves: Curves, space: dict[str, BaseDistribution]
) -> FrozenTrial | None:
    """Return a trial as the sampler sees it; None if its point is no longer in the space."""
    params = dict(trial.params or {})
    if not all(space[name]._contains(space[name].to_internal_repr(params[name])) for name in space):
        return None
    state, value = state_of(spec, trial.result)
    return create_trial(
        state=state,
        params=params,
        distributions=space,
        value=value if state is TrialState.COMPLETE else None,
        intermediate_values=curves.of(trial) if state in (TrialState.PRUNED, TrialState.RUNNING) else {},
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
