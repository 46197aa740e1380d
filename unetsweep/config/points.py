"""The section `points:`: points by hand, each a mapping of parameters to values, `{epochs: 8, base: 16, seed: 7}`.

Without `space:` they are the whole sweep (derived_space.py).

Rule 1: with `space:`, a value of a point is one of its parameter's values. A point may name some parameters only.
Rule 2: points that were added to a sweep later may have any value that its setting allows.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from unetsweep.config.domains import format_value, value_from
from unetsweep.config.parameters import SEED, Resolve, short_name
from unetsweep.config.partial_points import no_parameter, not_in_domain
from unetsweep.config.space import Axes
from unetsweep.core.space import Choices, Domain, NamedValue, Parameter, Point, Range, Space, contains, is_fixed
from unetsweep.core.spec import NO_SAMPLER, StudySpec
from unetsweep.core.trials import is_own
from unetsweep.decode import joined
from unetsweep.errors import Problem
from unetsweep.limits import MAX_VALUES
from unetsweep.trial_config import ParameterValue

EXCLUDED = "the file of the sweep excludes this point (exclude:); add another one"
_EXAMPLE = {"epochs": "8", "batch_size": "4", "learning_rate": "1e-3"}


@dataclass(frozen=True, slots=True)
class WrittenPoint:
    """A point as the file has it, with the full paths of its parameters."""

    at: str
    values: Mapping[str, ParameterValue]
    named: Mapping[str, NamedValue] = field(default_factory=dict)
    """Its values that are lists or mappings, by the paths of their parameters."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Where the file has each value, also those with problems."""
    is_complete: bool = True
    """Whether all of it could be read."""


def written_points(
    raw: object,
    named: Resolve,
    problems: list[Problem],
    domains: Mapping[str, Domain] | None = None,
    at: str = "points",
) -> tuple[WrittenPoint, ...]:
    """Return the points of a list, with the values that could be read.

    `domains`: of the parameters of the sweep, whose texts may be names of lists or mappings; None: of the points.
    """
    if raw is None or raw == []:
        return ()
    if not isinstance(raw, list):
        problems.append(Problem(f"found {raw!r}; a list of points: [{_flow(domains)}]"[:300], at))
        return ()
    if len(raw) > MAX_VALUES:
        problems.append(Problem(f"found {len(raw)} points; at most {MAX_VALUES}", at))
        return ()
    names = _names_in(raw, named) if domains is None else names_of(domains)
    found = (written_point(each, named, problems, f"{at}.{index}", names, domains) for index, each in enumerate(raw))
    return tuple(each for each in found if each is not None)


def written_point(
    raw: object,
    named: Resolve,
    problems: list[Problem],
    at: str,
    names: Mapping[str, Collection[str]],
    domains: Mapping[str, Domain] | None = None,
) -> WrittenPoint | None:
    """Return one point after adding what is wrong with it to `problems`; None: it is none. `names`: of lists and
    mappings. `domains`: of the sweep, for an example."""
    if not isinstance(raw, Mapping) or not raw:
        problems.append(Problem(f"found {raw!r}; a point, such as {_flow(domains)}"[:300], at))
        return None
    before = len(problems)
    values: dict[str, ParameterValue] = {}
    settings: dict[str, NamedValue] = {}
    fields: dict[str, str] = {}
    for key, value in raw.items():
        place = joined(at, str(key))
        path = named(str(key), place)
        if isinstance(path, Problem):
            problems.append(path)
            continue
        if path in fields:
            problems.append(Problem(f"is {path}, which {fields[path]} sets too; remove one", place))
            continue
        fields[path] = place
        count, is_name = len(problems), isinstance(value, str) and value in names.get(path, ())
        found = value if is_name else value_from(path, value, problems, place, _forms(value))
        if len(problems) > count:
            continue
        if isinstance(found, NamedValue):
            settings[path], found = found, found.name
        values[path] = found
    return WrittenPoint(at, values, settings, fields, len(problems) == before)


def _forms(value: object) -> str:
    """What to say of a value that is none of its parameter."""
    return "a point has one value of each parameter" if isinstance(value, list | Mapping) else ""


def example_of(domains: Mapping[str, Domain] | None) -> dict[str, str]:
    """Return a point of the sweep as an example: up to three parameters with a value each. None: they are not known."""
    if not domains or "learning_rate" in domains:
        return dict(_EXAMPLE)
    found = {}
    for path, domain in itertools.islice(domains.items(), 3):
        values = (domain.low,) if isinstance(domain, Range) else domain.values[:1]
        found.update({path if is_own(path) else short_name(path): format_value(each, quote=False) for each in values})
    return found or dict(_EXAMPLE)


def _flow(domains: Mapping[str, Domain] | None) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in example_of(domains).items()) + "}"


def points_in_space(
    written: Sequence[WrittenPoint], axes: Axes, problems: list[Problem], *, any_value: bool = False
) -> tuple[Point, ...]:
    """Return the points with the values of all parameters that have one value only.

    `any_value`: they may be outside the domains.
    """
    before = len(problems)
    for each in written:
        for path, place in each.fields.items():
            domain = axes.domains.get(path)
            if path not in (*axes.paths, SEED):
                problems.append(no_parameter(path, axes.paths, place))
            elif domain is not None and path in each.values:
                value, setting = each.values[path], each.named.get(path)
                problems += _domain_problems(path, value, setting, domain, place, any_value=any_value)
    space = axes.space()
    if space is None or len(problems) > before or not all(each.is_complete for each in written):
        return ()
    found = []
    for each in written:
        point = filled(space, each.values)
        problems += _condition_problems(space, each, point)
        if space.is_excluded(point):
            problems.append(Problem("is excluded by exclude; remove it" if each.at else EXCLUDED, each.at))
        found.append(point)
    return tuple(found)


def filled(space: Space, values: Point) -> Point:
    """Return a point with the values of the parameters that have one value only."""
    point = dict(values)
    for each in space.by_dependence():
        if isinstance(each.domain, Choices) and is_fixed(each.domain) and each.is_part_of(point):
            point.setdefault(each.path, each.domain.values[0])
    return {path: point[path] for path in (*space.paths, SEED) if path in point}


def missing_in(space: Space, point: Point) -> list[str]:
    """Return the parameters that a partial point does not name, as far as its conditions are known."""
    return [each.path for each in space.by_dependence() if each.is_part_of(point) and each.path not in point]


def _domain_problems(
    path: str, value: ParameterValue, setting: NamedValue | None, domain: Domain, place: str, *, any_value: bool
) -> list[Problem]:
    """What prevents a value from being one of this parameter."""
    if setting is not None:
        same = domain.named if isinstance(domain, Choices) else ()
        known = next((each for each in same if each.name == setting.name), None)
        if known is not None and known != setting:
            return [Problem(f"{setting.name!r} has another value in space; give this one another name", place)]
        if not any_value and known is None:
            return [Problem(f"{setting.name!r} is no value of {path} in space; add it there", place)]
    if any_value:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(domain, Choices) or is_number:
            return []
        return [Problem(f"found {format_value(value)}; {path} is a range of numbers", place)]
    return [] if contains(domain, value) else [Problem(not_in_domain(path, domain, value), place)]


def _condition_problems(space: Space, written: WrittenPoint, point: Point) -> list[Problem]:
    """Values that a point may not have, because their conditions do not hold or are not known to hold."""
    found = []
    for each in space.parameters:
        if each.path in point and not each.is_part_of(point):
            found.append(Problem(_broken(each, point), written.fields.get(each.path, written.at)))
    return found


def _broken(parameter: Parameter, point: Point) -> str:
    broken = next(each for each in parameter.when if each.path not in point or point[each.path] not in each.values)
    allowed = " or ".join(format_value(value, quote=False) for value in broken.values)
    if broken.path not in point:
        return f"exists only where {broken.path} is {allowed}, which this point does not name; name it too"
    has = format_value(point[broken.path], quote=False)
    return f"exists only where {broken.path} is {allowed}, and this point has {has}; remove one of them"


def rules_of_points(
    written: Sequence[WrittenPoint], points: Sequence[Point], space: Space, study: StudySpec
) -> list[Problem]:
    """Return what is wrong with points that are valid one by one: duplicates, and what the study cannot do."""
    found, first, sampler = list[Problem](), dict[object, str](), study.sampler
    for each, point in zip(written, points, strict=True):
        is_full, missing = space.is_full(point), ", ".join(missing_in(space, point))
        found += named_seed_problems(each, study)
        if missing and sampler == NO_SAMPLER:
            message = f"does not name {missing}; without a sampler every point names all parameters"
            found.append(Problem(message, each.at))
        elif missing and sampler == "grid" and SEED in point and study.repeats == 1:
            message = f"names a seed, but not {missing}; in a grid name all parameters, or no seed"
            found.append(Problem(message, each.at))
        if is_full and SEED not in point and study.repeats == 1:
            continue  # listed n times, it is n trainings
        if not is_full and sampler != "grid":
            continue  # the sampler chooses other values for each
        compared = {path: value for path, value in point.items() if path != SEED or study.repeats == 1}
        key = tuple(sorted((path, repr(value)) for path, value in compared.items()))
        if key in first:
            fix = _instead_of_twice(study, is_full=is_full)
            found.append(Problem(f"is a duplicate of {first[key]}; {fix}", each.at))
        first.setdefault(key, each.at)
    return found


def named_seed_problems(written: WrittenPoint, study: StudySpec) -> list[Problem]:
    """Return a problem if a point names a seed, and `study.repeats` chooses the seeds."""
    if study.repeats == 1 or SEED not in written.fields:
        return []
    message = f"each point is trained {study.repeats} times by study.repeats, with seeds of its own; remove the seed"
    return [Problem(message, written.fields[SEED])]


def _instead_of_twice(study: StudySpec, *, is_full: bool) -> str:
    if not is_full:
        return "remove it"
    if study.repeats > 1:
        return f"each point is trained {study.repeats} times by study.repeats; remove one"
    return "remove it, or give it another seed"


def with_named(space: Space, written: Sequence[WrittenPoint]) -> Space:
    """Return the space, which also knows the lists and mappings of points that were added later."""
    extra = {path: each.named[path] for each in written for path in each.named}
    if not extra:
        return space

    def extended(parameter: Parameter) -> Parameter:
        domain = parameter.domain
        settings = [each.named[parameter.path] for each in written if parameter.path in each.named]
        new = [each for each in dict.fromkeys(settings) if isinstance(domain, Choices) and each not in domain.named]
        if not isinstance(domain, Choices) or not new:
            return parameter
        return replace(parameter, domain=replace(domain, named=(*domain.named, *new)))

    return replace(space, parameters=tuple(map(extended, space.parameters)))


def names_of(domains: Mapping[str, Domain]) -> dict[str, Collection[str]]:
    """Return the texts that each parameter may have, among them the names of lists and mappings."""
    lists = {path: domain for path, domain in domains.items() if isinstance(domain, Choices)}
    return {
        path: {*(value for value in domain.values if isinstance(value, str)), *(each.name for each in domain.named)}
        for path, domain in lists.items()
    }


def _names_in(raw: Sequence[object], named: Resolve) -> dict[str, Collection[str]]:
    """The names of the lists and mappings in points, by the paths of their parameters."""
    found: dict[str, Collection[str]] = {}
    for point in raw:
        for key, value in point.items() if isinstance(point, Mapping) else ():
            if isinstance(value, Mapping) and isinstance(value.get("name"), str):
                path = named(str(key), "")
                path = path if isinstance(path, str) else ""
                found[path] = {*found.get(path, ()), value["name"]}
    return found
