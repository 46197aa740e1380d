"""The trials that a sweep still asks for, as far as they are known before they are drawn: for a dry run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unetsweep.core import checkpoint_gc, run_sharing
from unetsweep.core.space import Choices, grid_left, largest
from unetsweep.core.spec import listed_left
from unetsweep.core.trials import trial_config

if TYPE_CHECKING:
    from unetsweep.core.space import Domain
    from unetsweep.core.spec import SweepSpec
    from unetsweep.core.trials import StoredTrial
    from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class NewTrial:
    """One that is no trial yet."""

    run: int
    epochs: int | None
    """None: not known. So for the batch size."""
    batch_size: int | None


def new_trials(
    spec: "SweepSpec", directory: "SweepDir", known: "Sequence[StoredTrial]", count: int, first: int
) -> list[NewTrial]:
    """So many of them, numbered on from `first`, with the runs that they would have. `known`: the trials there are."""
    from unetsweep import package
    from unetsweep.app.sweeps import with_images
    from unetsweep.contract import run_key

    there = [trial for trial in known if trial.params is not None]
    taken = [trial.point for trial in there if trial.point is not None]
    if spec.study.sampler == "list":
        points = listed_left(spec, taken)[:count]
    elif spec.study.sampler == "grid":
        points = grid_left(spec.space, taken)[:count]
    else:
        epochs, batch = _only(spec.space.domain("epochs")), _only(spec.space.domain("batch_size"))
        return [NewTrial(number, epochs, batch) for number in range(first, first + count)]
    configs = [trial_config(with_images(spec, directory), point) for point in points]
    runs = list(range(first, first + len(configs)))
    if run_sharing.why_not(spec) is None:
        keys = [(run_key(config), config.epochs) for config in configs]
        served, kept = map(run_sharing.served, there), not checkpoint_gc.is_enabled(spec)
        runs = run_sharing.runs_of(keys, first, served, package.code()["package"], is_kept=kept)
    return [NewTrial(run, each.epochs, each.batch_size) for run, each in zip(runs, configs, strict=True)]


def _only(domain: "Domain") -> int | None:
    """The one value of a domain of whole numbers; None: it has several."""
    return largest(domain) if isinstance(domain, Choices) and len(domain.values) == 1 else None
