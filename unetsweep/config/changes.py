"""Compare two versions of a sweep: what changed, and whether the existing trials are still valid.

Rule 1: a sweep may grow: more values on a grid's axes in any order, more points, more trials, more repeats of every
        point. Points that were added with `unetsweep add` stay, whatever the file has.
Rule 2: what does not affect a training may change: how many run at once, retries, the driver, limits, and the resources
        of a job, except its processes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from unetsweep.config.listed import ADDED
from unetsweep.config.written import parameter_tree, tree
from unetsweep.core.missing_points import SEED, full_points, points_wanted, seeds_of
from unetsweep.core.space import Choices, Domain, Parameter
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.texts import counted

_FREE = ("run.", "slurm.", "study.limits.", "data.split.allow_leak", "trainer.resumes", "trainer.workers")
"""Fields that may change, by the beginning of their names: they change no result."""
_TRAINED = ("slurm.gpus", "slurm.processes")
"""Fields of `slurm` that may not change: results depend on them."""


def with_added(new: SweepSpec, old: SweepSpec) -> SweepSpec:
    """Return a sweep's new version with the points that were added to the old one, which its file does not have."""
    added = {tuple(sorted(point.items())): point for point in (*old.added, *new.added)}
    known = {parameter.path: parameter.domain for parameter in old.space.parameters}
    parameters = [replace(each, domain=_with_named(each.domain, known.get(each.path))) for each in new.space.parameters]
    return replace(new, added=tuple(added.values()), space=replace(new.space, parameters=tuple(parameters)))


def _with_named(domain: Domain, old: Domain | None) -> Domain:
    """Return a domain that knows the lists and mappings of the old one too."""
    if not isinstance(domain, Choices) or not isinstance(old, Choices):
        return domain
    names = {each.name for each in domain.named}
    return replace(domain, named=(*domain.named, *(each for each in old.named if each.name not in names)))


def difference(old: SweepSpec, new: SweepSpec) -> tuple[str, ...]:
    """Return one line for each field that differs: `trainer.loss: 'bce' -> 'bce_dice'`."""
    return tuple(_describe(*change) for change in _changes(old, new))


def refused(old: SweepSpec, new: SweepSpec) -> tuple[str, ...]:
    """Return the lines of `difference` that would invalidate trials: they need a sweep with another name."""
    changes = [change for change in _changes(old, new) if not _keeps_trials_valid(change[0], old, new)]
    return tuple(_describe(*change) + _reason(change[0], old, new) for change in changes)


def _reason(name: str, old: SweepSpec, new: SweepSpec) -> str:
    """Return why a change is refused that is allowed in other sweeps."""
    if name == "study.repeats" and new.study.repeats >= old.study.repeats:
        return "; points that `unetsweep add` has added name seeds of their own"
    return ""


def _keeps_trials_valid(name: str, old: SweepSpec, new: SweepSpec) -> bool:
    """Return whether the existing trials still belong to the sweep after the field `name` changed."""
    if name.startswith("space."):
        # An adaptive sampler has learned from the old space; its trials say nothing about another one.
        path = name.removeprefix("space.")
        was, now = ([each for each in spec.space.parameters if each.path == path] for spec in (old, new))
        is_grid = old.study.sampler == new.study.sampler and new.study.sampler in ("grid", NO_SAMPLER)
        return is_grid and bool(was and now) and _contains(now[0], was[0])
    if name == "points":
        return not _listed(old) - _listed(new)
    if name == "study.trials":
        return points_wanted(new) >= points_wanted(old)
    if name == "study.repeats":  # fewer would leave trainings out of the means
        return new.study.repeats >= old.study.repeats and not _added_with_seeds(new)
    if name == "slurm.gpus":  # their type changes no result
        return old.slurm.gpus == new.slurm.gpus
    return name == ADDED or (name.startswith(_FREE) and name not in _TRAINED)


def _added_with_seeds(spec: SweepSpec) -> bool:
    """Return whether points were added with seeds of their own, which points that are repeated cannot have."""
    return any(SEED in point for point in spec.added)


def _listed(spec: SweepSpec) -> Counter[object]:
    """The trainings of the full points of a file, and its partial points."""
    found = Counter[object](tuple(sorted(point.items())) for point in spec.points if not spec.space.is_full(point))
    for point in full_points(spec, spec.points):
        seeds = [point[SEED]] if spec.study.repeats == 1 else seeds_of(spec.study)
        found.update((spec.space.key(point), seed) for seed in seeds)
    return found


def _contains(now: Parameter, was: Parameter) -> bool:
    """Return whether all values of a parameter are still there under the same conditions, and names mean the same."""
    before, after = was.domain, now.domain
    if not isinstance(before, Choices) or not isinstance(after, Choices) or now.when != was.when:
        return False
    names = [each.name for each in before.named]  # some only added points have
    is_same = all(after.setting(value) == before.setting(value) for value in (*before.values, *names))
    return is_same and all(value in after.values for value in before.values)


def _changes(old: SweepSpec, new: SweepSpec) -> list[tuple[str, Any, Any]]:
    was, now = _flatten(old), _flatten(new)
    names = dict.fromkeys([*was, *now])
    return [(name, was.get(name), now.get(name)) for name in names if was.get(name) != now.get(name)]


def _flatten(spec: SweepSpec) -> dict[str, Any]:
    """Return every field by its dotted name. An axis is one field, and so is a section with free keys."""
    flat: dict[str, Any] = {}

    def visit(at: str, value: Any) -> None:
        if isinstance(value, Mapping) and at not in _WHOLE:
            for key, item in value.items():
                visit(f"{at}.{key}" if at else key, item)
        else:
            flat[at] = value

    visit("", tree(spec) | {"space": {}})
    space = {f"space.{parameter.path}": parameter_tree(parameter) for parameter in spec.space.parameters}
    return {"name": flat.pop("name"), **space, **flat}


_WHOLE = ("study.sampler", "trainer.augment", "slurm.sbatch", "slurm.reconciler")
"""Sections that are compared as one field."""


def _describe(name: str, was: Any, now: Any) -> str:
    if name in ("points", ADDED):
        return f"{name}: {_describe_points(was or [], now or [])}"
    values = ("none" if value is None else repr(value) for value in (was, now))
    return f"{name}: {' -> '.join(values)}"


def _describe_points(was: Sequence[Any], now: Sequence[Any]) -> str:
    """What differs between two lists of points: `2 -> 3 points (new: {'epochs': 8, 'seed': 1})`."""
    before, after = (Counter(map(repr, points)) for points in (was, now))
    parts = [("missing", before - after), ("new", after - before)]
    found = [f"{word}: {_some(list(points.elements()))}" for word, points in parts if points]
    return f"{len(was)} -> {counted(len(now), 'point')} ({'; '.join(found) or 'in another order'})"


_FEW_POINTS = 3


def _some(points: Sequence[str]) -> str:
    return ", ".join(points[:_FEW_POINTS]) + (" …" if len(points) > _FEW_POINTS else "")
