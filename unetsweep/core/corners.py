"""The trainings of a sweep that stand for all of them in checks that are too slow for each: its corners.

Rule 1: a training needs most memory, or fails on its images, at an end of a range of numbers, so only the ends count.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product

from unetsweep.contract import TrialConfig
from unetsweep.core.space import Choices, Domain, Point
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import trial_config
from unetsweep.trial_config import ParameterValue

MAX_CORNERS = 512
"""Each is checked within a ms or two."""
_IRRELEVANT = (
    "epochs",
    "learning_rate",
    "seed",
    "trainer.weight_decay",
    "trainer.momentum",
    "trainer.schedule",
    "trainer.loss",
)
"""Settings on which neither memory nor the sizes of images depend."""


def corners(spec: SweepSpec) -> list[TrialConfig]:
    """Return the configs of all points of a small space, or else of its corners, those with the largest numbers first.

    At most `MAX_CORNERS` of them: a list of numbers then counts with its smallest and its largest one only.
    """
    domains = spec.space.domains()
    values = {path: _values(path, domain) for path, domain in domains.items()}
    if math.prod(map(len, values.values())) > MAX_CORNERS:
        values = {path: _ends(each) for path, each in values.items()}
    decisive = [each for each in spec.space.excluded if all(path not in _IRRELEVANT for path, _ in each)]
    space = replace(spec.space, excluded=tuple(decisive))
    found: dict[tuple[object, ...], Point] = {}
    for each in islice(product(*values.values()), MAX_CORNERS):
        point = space.point_of(dict(zip(values, each, strict=True)))
        if not space.is_excluded(point):
            found[space.key(point)] = point
    return [trial_config(spec, point) for point in found.values()]


def values_of(spec: SweepSpec, path: str) -> list[ParameterValue]:
    """Return the values of a parameter that its sweep may use (of a range: the ends); none if it does not vary."""
    domain = spec.space.domains().get(path)
    return [] if domain is None else [domain.setting(value) for value in _all(domain)]


def _values(path: str, domain: Domain) -> Sequence[ParameterValue]:
    found = _all(domain)
    if path in _IRRELEVANT:
        return found[:1]
    is_numbers = all(isinstance(value, int | float) for value in found)
    return sorted(found, reverse=True) if is_numbers else found  # type: ignore[type-var] # numbers


def _all(domain: Domain) -> list[ParameterValue]:
    return list(domain.values) if isinstance(domain, Choices) else list(dict.fromkeys((domain.low, domain.high)))


def _ends(values: Sequence[ParameterValue]) -> Sequence[ParameterValue]:
    """Return the first and the last of numbers in order, and every value of another list."""
    is_numbers = all(isinstance(value, int | float) for value in values)
    return list(dict.fromkeys((values[0], values[-1]))) if is_numbers else values
