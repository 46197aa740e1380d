"""The trainings of a sweep that stand for all of them in checks that are too slow for each: its corners.

Rule 1: a training needs most memory, or fails on its images, at an end of a range of numbers, so only the ends count.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product

from unetsweep.contract import TrialConfig
from unetsweep.core.space import Choices, Domain, Point, Space, whole_numbers
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
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

    At most `MAX_CORNERS` of them: a list of numbers then counts with its smallest and its largest one only. The listed
    points that the sampler does not propose count too; without a sampler, only these do, unless there are too many.
    """
    listed = (*spec.points, *spec.added)
    is_alone = spec.study.sampler == NO_SAMPLER and len(listed) <= MAX_CORNERS
    others = listed if is_alone else [point for point in listed if not spec.space.contains(point)]
    spaces = [*([] if is_alone else [spec.space]), *(spec.space.with_values(point) for point in others)]
    found: dict[object, Point] = {}
    for space in spaces:
        for point in _corners_of(space):
            found.setdefault(tuple((path, value) for path, value in point.items() if path not in _IRRELEVANT), point)
    return [trial_config(spec, point) for point in found.values()]


def _corners_of(space: Space) -> list[Point]:
    values = {path: _values(path, domain) for path, domain in space.domains().items()}
    if math.prod(map(len, values.values())) > MAX_CORNERS:
        values = {path: _ends(each) for path, each in values.items()}
    decisive = [each for each in space.excluded if all(path not in _IRRELEVANT for path, _ in each)]
    space = replace(space, excluded=tuple(decisive))
    found: dict[tuple[object, ...], Point] = {}
    for each in islice(product(*values.values()), MAX_CORNERS):
        point = space.point_of(dict(zip(values, each, strict=True)))
        if not space.is_excluded(point):
            found[space.key(point)] = point
    return list(found.values())


def values_of(spec: SweepSpec, path: str) -> list[ParameterValue]:
    """Return the values of a parameter that its sweep may use (of a range: the ends); none if it does not vary."""
    domain = spec.space.domains().get(path)
    if domain is None:
        return []
    return [domain.setting(value) for value in dict.fromkeys([*_all(domain), *spec.values_added(path)])]


def batch_sizes(spec: SweepSpec) -> list[int]:
    """Return all global batches that the sweep may use."""
    numbers = [value for value in spec.values_added("batch_size") if isinstance(value, int)]
    return [*whole_numbers(spec.space.domain("batch_size")), *numbers]


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
