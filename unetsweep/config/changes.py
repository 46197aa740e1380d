"""What changed between two sweeps of one name, and whether the trials that there are still stand.

Rule 1: a sweep may grow: more values on a grid's axes in any order, more trials.
Rule 2: what changes no training may change: how much runs at once, retries, the driver, and all
        that is asked of the cluster but the processes.
"""

from collections.abc import Mapping
from typing import Any

from unetsweep.config.written import axis_tree, tree
from unetsweep.core.space import Choices
from unetsweep.core.spec import SweepSpec, listed_left, listed_points, trials_wanted

_FREE = ("run.", "slurm.", "data.split.allow_leak")
_TRAINED = ("slurm.gpus", "slurm.processes")


def difference(old: SweepSpec, new: SweepSpec) -> tuple[str, ...]:
    """One line for each field that differs: `trainer.loss: 'bce' -> 'bce_dice'`."""
    return tuple(f"{name}: {_shown(was)} -> {_shown(now)}" for name, was, now in _changed(old, new))


def refused(old: SweepSpec, new: SweepSpec) -> tuple[str, ...]:
    """The lines of `difference` that are no addition: a sweep of another name is needed for them."""
    return tuple(
        f"{name}: {_shown(was)} -> {_shown(now)}" for name, was, now in _changed(old, new) if not _adds(name, old, new)
    )


def _adds(name: str, old: SweepSpec, new: SweepSpec) -> bool:
    if name.startswith("space."):
        # An adaptive sampler has drawn from the space as it was: what it learned would be of another one.
        was, now = (spec.space.domains().get(name.removeprefix("space.")) for spec in (old, new))
        is_grid = old.study.sampler == new.study.sampler and new.study.sampler in ("grid", "list")
        return is_grid and isinstance(was, Choices) and isinstance(now, Choices) and set(was.values) <= set(now.values)
    if name == "study.sampler":
        return old.study.sampler == new.study.sampler == "list" and not listed_left(old, listed_points(new.study))
    if name == "study.trials":
        return trials_wanted(new) >= trials_wanted(old)
    return name.startswith(_FREE) and name not in _TRAINED


def _changed(old: SweepSpec, new: SweepSpec) -> list[tuple[str, Any, Any]]:
    was, now = _flat(old), _flat(new)
    names = dict.fromkeys([*was, *now])
    return [(name, was.get(name), now.get(name)) for name in names if was.get(name) != now.get(name)]


def _flat(spec: SweepSpec) -> dict[str, Any]:
    """Every field by its dotted name, an axis as one and whatever has free keys as one."""
    flat: dict[str, Any] = {}

    def down(at: str, value: Any) -> None:
        if isinstance(value, Mapping) and at not in _WHOLE:
            for key, item in value.items():
                down(f"{at}.{key}" if at else key, item)
        else:
            flat[at] = value

    down("", tree(spec) | {"space": {}})
    space = {f"space.{path}": axis_tree(domain) for path, domain in spec.space.domains().items()}
    return {"name": flat.pop("name"), **space, **flat}


_WHOLE = ("study.sampler", "trainer.augment", "slurm.sbatch", "slurm.reconciler")


def _shown(value: Any) -> str:
    return "none" if value is None else repr(value)
