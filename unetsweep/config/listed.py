"""The space of a file together with the points that it lists, and those that were added to the sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unetsweep.config.derived_space import axes_of_points
from unetsweep.config.parameters import resolver
from unetsweep.config.points import WrittenPoint, points_in_space, rules_of_points, with_named, written_points
from unetsweep.config.space import Axes, axes_from
from unetsweep.contract import TrialConfig
from unetsweep.core.space import Point, Space
from unetsweep.core.spec import StudySpec
from unetsweep.errors import Problem

ADDED = "added"
"""The section of a sweep's `sweep.yaml` with the points that `unetsweep add` has added."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What could be read of the space and of all points."""

    axes: Axes
    points: tuple[Point, ...]
    added: tuple[Point, ...]
    """Points that `unetsweep add` has added."""
    written: tuple[WrittenPoint, ...]
    """As the file has the added points."""

    def space(self) -> Space | None:
        """Return the space, with the lists and mappings that only added points have; None: it could not be read."""
        space = self.axes.space()
        return None if space is None else with_named(space, self.written)


def listed_from(
    raw: Mapping[str, Any],
    fixed: Mapping[str, object],
    base: TrialConfig,
    study: StudySpec,
    problems: list[Problem],
    *,
    has_command: bool,
) -> Listed:
    """Read the sections `space`, `points`, `exclude` and `added` of a file.

    `fixed`: the parameters that have one value in the section `trainer`. `base` has the other settings.
    """
    named, exclude = resolver(has_command=has_command), raw.get("exclude")
    if raw.get("space") is None and raw.get("points"):
        written = written_points(raw["points"], named, problems)
        axes, points = axes_of_points(written, base, fixed, exclude, problems, has_command=has_command)
    else:
        axes = axes_from(raw.get("space"), problems, fixed, exclude, has_command=has_command)
        written = written_points(raw.get("points"), named, problems, axes.domains)
        points = points_in_space(written, axes, problems)
    added = written_points(raw.get(ADDED), named, problems, axes.domains, ADDED)
    more = points_in_space(added, axes, problems, any_value=True)
    space = axes.space()
    if space is not None and len(points) == len(written) and all(each.is_complete for each in written):
        problems += rules_of_points(written, points, space, study)
    if space is not None and len(more) == len(added):
        problems += rules_of_points(added, more, space, study)
    return Listed(axes, points, more, added)
