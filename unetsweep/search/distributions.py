"""The domains of a space as distributions of Optuna."""

import math
from collections.abc import Iterator, Mapping, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from unetsweep.core.space import Choices, Domain, Range, Space, contains
from unetsweep.core.spec import SweepSpec
from unetsweep.trial_config import ParameterValue


def distributions(space: Space) -> dict[str, BaseDistribution]:
    return {path: distribution(domain) for path, domain in space.domains().items()}


def distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case Choices(values):
            return CategoricalDistribution(values)
        case Range(low, high, log, step) if domain.is_whole:
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        case Range(low, high, log, step):
            return FloatDistribution(low, high, log=log, step=step)


def study_distributions(spec: SweepSpec, points: Sequence[Mapping[str, ParameterValue]]) -> dict[str, BaseDistribution]:
    """Return the distribution of each parameter in the study of a sweep.

    It also has the values of points that were added by hand, perhaps after `spec` was read.
    """

    def added(path: str, domain: Domain) -> Sequence[ParameterValue]:
        known = dict.fromkeys([*spec.values_added(path), *(point[path] for point in points if path in point)])
        return [value for value in known if not contains(domain, value)]

    return {path: _kind(domain, added(path, domain)) for path, domain in spec.space.domains().items()}


def _kind(domain: Domain, added: Sequence[ParameterValue] = ()) -> BaseDistribution:
    """Return the distribution of a domain and the values added to it. A list of numbers has the range from its smallest
    to its largest, so that charts show them as numbers.

    Optuna lets the range of a parameter grow, but neither its choices nor its scale change: then the journal is
    recreated.
    """
    if isinstance(domain, Range) and not added:
        return distribution(domain)
    values = [*((domain.low, domain.high) if isinstance(domain, Range) else domain.values), *added]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return CategoricalDistribution(values)
    low, high = min(numbers), max(numbers)
    is_log = isinstance(domain, Range) and domain.log and low > 0
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(low, high, log=low > 0 if isinstance(domain, Choices) else is_log)


def drawn_values(domain: Domain) -> Iterator[ParameterValue]:
    """Yield the values of a domain exactly as Optuna draws them: it rounds the upper end differently from the steps."""
    match domain:
        case Choices(values):
            yield from values
        case Range(low, high, step=step):
            last = getattr(distribution(domain), "high", high)
            for k in range(math.floor((high - low) / (step or 1) + 1e-9) + 1):
                yield min(k * (step or 1) + low, last)


def is_in(distribution: BaseDistribution, value: ParameterValue) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):  # none of the choices, or no number
        return False
