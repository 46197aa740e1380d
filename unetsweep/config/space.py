"""Read the space: a domain for each parameter, which is named by its path or by the end of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from unetsweep.config.domains import FORMS, domain_from
from unetsweep.config.parameters import Resolve, resolve, resolver
from unetsweep.config.partial_points import circle_in, conditions_from, exclusions_from
from unetsweep.config.yaml12 import Document
from unetsweep.core.space import REQUIRED, Choices, Condition, Domain, Parameter, PartialPoint, Space
from unetsweep.decode import joined
from unetsweep.errors import Problem


@dataclass(frozen=True, slots=True)
class Axes:
    """What could be read of the space."""

    domains: Mapping[str, Domain]
    """By path; those with problems are left out."""
    is_complete: bool = False
    """Whether none is left out."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Where the file has each parameter, for messages: `space.base` of `model.base`."""
    conditions: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)
    excluded: tuple[PartialPoint, ...] = ()
    named: Resolve = resolve
    """How the file names parameters."""
    value_fields: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Where the file has values that are not in the list of their parameter, by path and index: those of points."""
    paths: tuple[str, ...] = ()
    """All parameters, also those with problems."""

    @classmethod
    def of(cls, space: Space, named: Resolve) -> "Axes":
        """Return those of a space that was read before."""
        conditions = {each.path: each.when for each in space.parameters if each.when}
        return cls(space.domains(), True, {}, conditions, space.excluded, named, {}, space.paths)

    def space(self) -> Space | None:
        """Return the space; None if a part of it could not be read."""
        if not self.is_complete:
            return None
        parameters = (Parameter(path, each, self.conditions.get(path, ())) for path, each in self.domains.items())
        return Space(tuple(parameters), self.excluded)

    def place(self, path: str) -> str:
        """Return where the file has this parameter."""
        return self.fields.get(path, f"space.{path}")

    def value_place(self, path: str, index: object) -> str:
        """Return where the file has a value of a list, or an end of a range."""
        found = self.value_fields.get((path, index)) if isinstance(index, int) else None
        return found or f"{self.place(path)}.{index}"


def axes_from(
    raw: object,
    problems: list[Problem],
    fixed: Mapping[str, object] | None = None,
    exclude: object = None,
    *,
    has_command: bool = False,
) -> Axes:
    """Read the parameters under `space:`, in their order; what does not fit is added to `problems`.

    `fixed`: those of the section `trainer` that have one value there. `exclude`: the section of that name.
    `has_command`: a program trains, whose parameters may have any name. It has one epoch if the file names none.
    """
    before = len(problems)
    named, required = resolver(has_command=has_command), () if has_command else REQUIRED
    written = _fixed(fixed or {}, problems)
    if not isinstance(raw, Mapping) and (raw is not None or len(written) < len(required)):
        found = "is missing" if raw is None else f"found {raw!r}"
        keys = "the parameters of your program" if has_command else f"keys {', '.join(REQUIRED)}"
        problems.append(Problem(f"{found}; a mapping with {keys} is expected", "space"))
        return Axes({})
    for key, value in (raw if isinstance(raw, Mapping) else {}).items():
        _add(str(key), value, written, problems, named)
    if has_command:
        written.setdefault("epochs", _Written("space.epochs", 1, "space.epochs"))
    missing = [path for path in required if path not in written]
    problems += [Problem(f"is missing; {FORMS}, or one value as trainer.{path}", f"space.{path}") for path in missing]
    domains = {path: domain_from(path, each.values, problems, each.values_at) for path, each in written.items()}
    conditions = {
        path: conditions_from(path, each.when, domains, problems, f"{each.at}.when", named)
        for path, each in written.items()
        if each.when is not None
    }
    if circle := circle_in(conditions):
        message = f"its conditions form a circle: {' needs '.join(circle)}; remove one"
        problems.append(Problem(message, f"{written[circle[0]].at}.when"))
    excluded = exclusions_from(exclude, domains, problems, named=named)
    return Axes(
        {path: domain for path, domain in domains.items() if domain is not None},
        len(problems) == before,
        {path: each.at for path, each in written.items()},
        conditions,
        excluded,
        named,
        paths=tuple(written),
    )


@dataclass(frozen=True, slots=True)
class _Written:
    """A parameter as the file has it."""

    at: str
    values: object
    values_at: str
    when: object = None


def _fixed(raw: Mapping[str, object], problems: list[Problem]) -> dict[str, _Written]:
    found = {}
    for path, value in raw.items():
        at = f"trainer.{path}"
        found[path] = _Written(at, value, at)
        if isinstance(value, list | Mapping):
            problems.append(Problem(f"found {value!r}; one number, and several under space"[:200], at))
    return found


def fixed_domains(raw: Mapping[str, object], problems: list[Problem]) -> dict[str, Choices]:
    """Return the value of each parameter that has one in the section `trainer`."""
    written = _fixed(raw, problems)
    found = {path: domain_from(path, each.values, problems, each.at) for path, each in written.items()}
    return {path: domain for path, domain in found.items() if isinstance(domain, Choices)}


def _add(key: str, raw: object, written: dict[str, _Written], problems: list[Problem], named: Resolve) -> None:
    """Add a parameter, without its conditions: `{values: [1, 2], when: …}` and `{low: 1, high: 2, when: …}`."""
    at = joined("space", key)
    path = named(key, at)
    if isinstance(path, Problem):
        problems.append(path)
        return
    if path in written:
        problems.append(Problem(f"is {path}, which {written[path].at} sets too; remove one", at))
        return
    values, values_at, when = raw, at, None
    if isinstance(raw, Mapping) and "when" in raw:
        values, when = {name: each for name, each in raw.items() if name != "when"}, raw["when"]
        when = {} if when is None else when  # a problem
    if isinstance(values, Mapping) and set(values) == {"values"}:
        values, values_at = values["values"], f"{at}.values"
    if values is not None or path not in REQUIRED:
        written[path] = _Written(at, values, values_at, when)


def field_in(document: Document, name: str) -> str:
    """Return where a user's file has a field of the space, which checks name by its path: `space.base` for
    `space.model.base`, `trainer.epochs` for `space.epochs`."""
    whole = document.value if isinstance(document.value, Mapping) else {}
    raw = whole.get("space")
    if raw is None and name.startswith("space.") and whole.get("points"):
        return _field_in_points(whole["points"], name)
    for key in raw if isinstance(raw, Mapping) else ():
        path = resolve(str(key), "")
        if isinstance(path, str) and f"{name}.".replace("#", ".").startswith(f"space.{path}."):
            return f"space.{key}{name.removeprefix(f'space.{path}')}"
    fixed = f"trainer.{name.removeprefix('space.')}"
    return fixed if name.startswith("space.") and fixed.partition("#")[0] in document.positions else name


def _field_in_points(points: object, name: str) -> str:
    """Return where points have the parameter of a field: `points.0.batch_size`; of numbers, the largest one counts."""
    found: dict[str, object] = {}
    for index, point in enumerate(points if isinstance(points, list) else ()):
        for key, value in point.items() if isinstance(point, Mapping) else ():
            path = resolve(str(key), "")
            if isinstance(path, str) and f"{name}.".replace("#", ".").startswith(f"space.{path}."):
                found[f"points.{index}.{key}"] = value
    numbers = {place: value for place, value in found.items() if isinstance(value, int | float)}
    return max(numbers, key=lambda place: numbers[place]) if numbers else next(iter(found), name)
