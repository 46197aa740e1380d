"""The space of a file that has `points:` and no `space:`: the values that occur in its points.

Rule 1: a parameter that a point leaves out has the value of its setting in the file. A program of the user's own has no
        such settings, so each of its points names all parameters.
"""

from collections.abc import Mapping, Sequence

from unetsweep.config.domains import format_value
from unetsweep.config.parameters import SEED, resolver
from unetsweep.config.partial_points import exclusions_from
from unetsweep.config.points import WrittenPoint
from unetsweep.config.space import Axes, fixed_domains
from unetsweep.contract import TrialConfig
from unetsweep.core.space import REQUIRED, Choices, NamedValue, Point
from unetsweep.core.trials import config_value, is_own
from unetsweep.errors import Problem
from unetsweep.trial_config import ParameterValue


def axes_of_points(
    written: Sequence[WrittenPoint],
    base: TrialConfig,
    fixed: Mapping[str, object],
    exclude: object,
    problems: list[Problem],
    *,
    has_command: bool,
) -> tuple[Axes, tuple[Point, ...]]:
    """Return the space of a file without `space:`, and its points with all of its parameters.

    `base` has the settings of the file. `fixed`: those of the section `trainer` that have no default.
    """
    before = len(problems)
    known = {path: each.values[0] for path, each in fixed_domains(fixed, problems).items()}
    fields = {path: f"trainer.{path}" for path in fixed}
    for each in written:
        for path, place in each.fields.items():
            fields.setdefault(path, place)
    paths = list(dict.fromkeys([*known, *(path for each in written for path in each.fields if path != SEED)]))
    if has_command and "epochs" not in paths:
        known["epochs"] = 1
        paths.append("epochs")
    paths += [path for path in REQUIRED if path not in paths and not has_command]
    points = [_with_settings(each, paths, known, base, problems) for each in written]
    found = {path: _domain_of(path, written, points, problems) for path in paths}
    domains = {path: domain for path, domain in found.items() if domain.values}
    index_of = {path: {value: at for at, value in enumerate(domain.values)} for path, domain in domains.items()}
    value_fields = {
        (path, indices[point[path]]): each.fields[path]  # of the first point that has it
        for path, indices in index_of.items()
        for each, point in zip(reversed(written), reversed(points), strict=True)
        if path in each.values
    }
    named = resolver(has_command=has_command)
    excluded = exclusions_from(exclude, domains, problems, named=named)
    axes = Axes(domains, len(problems) == before, fields, {}, excluded, named, value_fields, tuple(paths))
    space = axes.space()
    if space is not None:
        problems += [
            Problem("is excluded by exclude; remove it", each.at)
            for each, point in zip(written, points, strict=True)
            if space.is_excluded(point)
        ]
    return axes, tuple(points)


def _with_settings(
    written: WrittenPoint,
    paths: Sequence[str],
    known: Mapping[str, ParameterValue],
    base: TrialConfig,
    problems: list[Problem],
) -> dict[str, ParameterValue]:
    """The point with the file's own settings in place of what it leaves out."""
    point: dict[str, ParameterValue] = {}
    missing = []
    for path in paths:
        if path in written.fields:
            point |= {path: written.values[path]} if path in written.values else {}
        elif path in known:
            point[path] = known[path]
        elif path in REQUIRED or is_own(path):
            missing.append(path)
        elif isinstance(value := config_value(base, path), list | Mapping):
            message = f"does not name {path}, and the file's own value is a list without a name; name it here"
            problems.append(Problem(message, written.at))
        else:
            point[path] = value
    if missing:
        which = [path for path in missing if path in REQUIRED and not is_own(path)]
        once = f", or once for all points as trainer.{which[0]}" if which else ""
        message = f"does not name {', '.join(missing)}; without space: every point does{once}"
        problems.append(Problem(message, written.at))
    if SEED in written.values:
        point[SEED] = written.values[SEED]
    return point


def _domain_of(path: str, written: Sequence[WrittenPoint], points: Sequence[Point], problems: list[Problem]) -> Choices:
    """The values of a parameter that occur, in their order."""
    values: dict[ParameterValue, None] = {}
    named: dict[str, NamedValue] = {}
    for each, point in zip(written, points, strict=True):
        if path not in point:
            continue
        value, place = point[path], each.fields.get(path, each.at)
        first = next((known for known in values if known == value), value)
        if isinstance(first, bool) != isinstance(value, bool):
            message = f"found {format_value(value)} and {format_value(first)}, which are equal"
            problems.append(Problem(message, place))
        values[value] = None
        if (setting := each.named.get(path)) is not None and named.setdefault(setting.name, setting) != setting:
            problems.append(Problem(f"{setting.name!r} has another value in another point; rename one", place))
    return Choices(tuple(values), tuple(named.values()))
