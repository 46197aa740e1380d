"""Read partial points, `{optimizer: sgd, base: 64}`: the conditions of a parameter, and what is excluded."""

from collections.abc import Iterable, Mapping
from typing import Any

from unetsweep.config.domains import format_value
from unetsweep.config.parameters import Resolve, resolve
from unetsweep.core.space import REQUIRED, Choices, Condition, Domain, PartialPoint
from unetsweep.decode import joined
from unetsweep.errors import Problem
from unetsweep.limits import MAX_VALUES
from unetsweep.trial_config import ParameterValue

_LISTED = 10
"""Values that a message lists."""


def conditions_from(
    path: str,
    raw: object,
    domains: Mapping[str, Domain | None],
    problems: list[Problem],
    at: str,
    named: Resolve = resolve,
) -> tuple[Condition, ...]:
    """Return the conditions of the parameter at `path`. `domains`: of all parameters; None: it could not be read."""
    if path in REQUIRED:
        problems.append(Problem(f"every training needs {path}, so it has no conditions; remove when", at))
        return ()
    if not isinstance(raw, Mapping) or not raw:
        problems.append(Problem(f"found {raw!r}; other parameters with values, such as {{optimizer: sgd}}"[:300], at))
        return ()
    found: list[Condition] = []
    for key, value in raw.items():
        place = joined(at, str(key))
        other, domain = _parameter(str(key), domains, problems, place, named)
        if other is None or domain is None:
            continue
        if not isinstance(domain, Choices):
            problems.append(Problem(f"{other} is a range; a condition needs a parameter with a list of values", place))
            continue
        values = value if isinstance(value, list) else [value]
        members = [_member(other, domain, each, problems, place) for each in values]
        found.append(Condition(other, tuple(members)))
    return tuple(found)


def circle_in(conditions: Mapping[str, tuple[Condition, ...]]) -> list[str] | None:
    """Return parameters that depend on each other in a circle, the first one again at the end; None: there are none.

    >>> circle_in({"a": (Condition("b", (1,)),), "b": (Condition("a", (1,)),)})
    ['a', 'b', 'a']
    """
    free: set[str] = set()
    for start in conditions:
        chain = [start]
        while chain:
            after = [each.path for each in conditions.get(chain[-1], ()) if each.path not in free]
            if not after:
                free.add(chain.pop())
            elif after[0] in chain:
                return [*chain[chain.index(after[0]) :], after[0]]
            else:
                chain.append(after[0])
    return None


def exclusions_from(
    raw: object,
    domains: Mapping[str, Domain | None],
    problems: list[Problem],
    at: str = "exclude",
    named: Resolve = resolve,
) -> tuple[PartialPoint, ...]:
    """Return the partial points that are never proposed."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        problems.append(Problem(f"found {raw!r}; a list of partial points: [{{base: 64, batch_size: 16}}]"[:300], at))
        return ()
    if len(raw) > MAX_VALUES:
        problems.append(Problem(f"found {len(raw)} partial points; at most {MAX_VALUES}", at))
        return ()
    return tuple(_exclusion(each, domains, problems, f"{at}.{index}", named) for index, each in enumerate(raw))


def _exclusion(
    raw: object, domains: Mapping[str, Domain | None], problems: list[Problem], at: str, named: Resolve
) -> PartialPoint:
    if not isinstance(raw, Mapping) or not raw:
        problems.append(Problem(f"found {raw!r}; a partial point, such as {{base: 64, batch_size: 16}}"[:300], at))
        return ()
    found: dict[str, ParameterValue] = {}
    for key, value in raw.items():
        place = joined(at, str(key))
        path, domain = _parameter(str(key), domains, problems, place, named)
        if path is not None and domain is not None:
            found[path] = _member(path, domain, value, problems, place)
    return tuple(found.items())


def _parameter(
    key: str, domains: Mapping[str, Domain | None], problems: list[Problem], at: str, named: Resolve
) -> tuple[str | None, Domain | None]:
    """Return the path and the domain of a parameter of this space; None: there is none, or it could not be read."""
    path = named(key, at)
    if isinstance(path, Problem):
        problems.append(path)
    elif path not in domains:
        problems.append(no_parameter(path, domains, at))
    else:
        return path, domains[path]
    return None, None


def _member(path: str, domain: Domain, raw: Any, problems: list[Problem], at: str) -> ParameterValue:
    """Return the value of a domain that is meant, or add why there is none to `problems`."""
    is_plain = raw is None or isinstance(raw, str | int | float)
    if isinstance(domain, Choices):
        for value in domain.values:
            if is_plain and value == raw and isinstance(value, bool) == isinstance(raw, bool):
                return value
        problems.append(Problem(not_in_domain(path, domain, raw), at))
    elif not domain.is_whole:
        problems.append(Problem(f"{path} is a range of any numbers, of which none can be excluded; use a list", at))
    elif (
        isinstance(raw, int)
        and not isinstance(raw, bool)
        and raw in range(int(domain.low), int(domain.high) + 1, int(domain.step or 1))
    ):
        return raw
    else:
        problems.append(Problem(not_in_domain(path, domain, raw), at))
    return None


def no_parameter(path: str, known: Iterable[str], at: str) -> Problem:
    """Return the problem that the sweep does not vary this setting. The field `at` may have its name already."""
    name = "" if at == path or at.endswith(f".{path}") else f"{path} "
    return Problem(f"{name}is no parameter of this sweep; those are {', '.join(known)}", at)


def not_in_domain(path: str, domain: Domain, raw: object) -> str:
    """Return the message that a value is none of this parameter, with the values that it has."""
    if isinstance(domain, Choices):
        known = ", ".join(format_value(value, quote=False) for value in domain.values[:_LISTED])
        allowed = f"its values are {known}" + (" …" if len(domain.values) > _LISTED else "")
    else:
        steps = f" in steps of {format_value(domain.step)}" if domain.step else ""
        allowed = f"from {format_value(domain.low)} to {format_value(domain.high)}{steps}"
    return f"found {raw!r}, which is no value of {path}; {allowed}"[:1000]
