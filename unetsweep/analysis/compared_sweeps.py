"""Several sweeps to compare: the settings of each, and the points that all have trained.

Rule 1: two trials are of the same point if they agree in each parameter that varies in one of the sweeps. A sweep in
        which a parameter does not vary has its fixed value.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from unetsweep.analysis.rows import PointRecord, SweepRecord, points, ranked_points
from unetsweep.config.parameters import SEED
from unetsweep.config.written import tree
from unetsweep.core.space import is_fixed
from unetsweep.trial_config import ParameterValue

_NO_SETTINGS = ("name", "points", "added")
"""What differs between sweeps by its nature, or has its own table."""
_WHOLE = ("space.", "study.sampler", "study.pruner")
"""Beginnings of the paths of settings that are compared whole: a pruner is a name, or a name with its arguments."""


@dataclass(frozen=True)
class ComparedSweep:
    """One of the sweeps."""

    label: str
    """What tells it from the others: its name, or its folder if two have the same name."""
    record: SweepRecord
    """With its costs."""
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By part (`val`, `test`): the digest of each image with its mask, by name; without a part: not known."""

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Every setting of its file by its path, with defaults."""
        return dict(_flat(tree(self.record.spec)))

    @cached_property
    def own_settings(self) -> dict[str, Any]:
        """The settings that say something about its trainings: for a program, none of the U-Net and its images."""
        if self.record.spec.trainer.command is None:
            return self.settings
        kept = ("trainer.command", "trainer.resumes")
        return {
            path: value
            for path, value in self.settings.items()
            if path in kept or not path.startswith(("data.", "model.", "trainer."))
        }

    @cached_property
    def ranking(self) -> list[PointRecord]:
        return ranked_points(self.record)

    def value(self, point: PointRecord, path: str) -> ParameterValue:
        """The value of a parameter at a point, also if it does not vary in this sweep; None: it has none."""
        params = point.trials[0].params
        if path in params or path in self.record.spec.space.paths:
            return params.get(path)
        found: ParameterValue = self.settings.get(path)
        return found


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings by their paths. What is in _WHOLE and a list stay whole."""
    for name, value in settings.items():
        if not prefix and name in _NO_SETTINGS:
            continue
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and not path.startswith(_WHOLE):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


@dataclass(frozen=True, slots=True)
class CommonPoint:
    """A point that every sweep has trained."""

    values: tuple[ParameterValue, ...]
    """Of the parameters that vary, in order."""
    found: tuple[PointRecord, ...]
    """The point in each sweep."""

    @property
    def difference(self) -> float:
        """By how much the metric of the last sweep is above that of the first."""
        first, last = self.found[0].mean, self.found[-1].mean
        return (last or 0.0) - (first or 0.0)


def varying(sweeps: Sequence[ComparedSweep]) -> list[str]:
    """The parameters that vary in a sweep, in the order of the files."""
    found = (
        path
        for each in sweeps
        for path, domain in each.record.spec.reported_space.domains().items()
        if path != SEED and not is_fixed(domain)
    )
    return list(dict.fromkeys(found))


def common_points(sweeps: Sequence[ComparedSweep]) -> list[CommonPoint]:
    """The points with a score in every sweep, in the order of the first one."""
    paths = varying(sweeps)
    by_values: list[dict[tuple[ParameterValue, ...], PointRecord]] = []
    for sweep in sweeps:
        scored: dict[tuple[ParameterValue, ...], PointRecord] = {}
        for point in points(sweep.record):
            if point.scores:  # without repeats, points that differ only in their seeds are trials of one: the first
                scored.setdefault(tuple(sweep.value(point, path) for path in paths), point)
        by_values.append(scored)
    first, *others = by_values
    return [
        CommonPoint(values, (point, *(each[values] for each in others)))
        for values, point in first.items()
        if all(values in each for each in others)
    ]
