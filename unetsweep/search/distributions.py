"""The domains of a space as distributions of Optuna."""

import math
from collections.abc import Iterator

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from unetsweep.core.space import Choices, Domain, Range, Space
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
