"""The trials that a sweep still asks for, as far as they are known before they are proposed: for a dry run."""

from collections.abc import Sequence
from dataclasses import dataclass

from unetsweep import package
from unetsweep.core import checkpoint_gc, run_sharing
from unetsweep.core.missing_points import SEED, missing_listed, missing_points, missing_trainings
from unetsweep.core.space import Choices, Domain, Point, largest
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.core.trials import StoredTrial, trial_config


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A trial that does not exist yet."""

    run: int
    epochs: int | None
    """None: not known before it is proposed."""
    batch_size: int | None
    """None: as for the epochs."""
    point: Point | None = None
    """What is known of it; None: nothing."""


def new_trials(spec: SweepSpec, known: Sequence[StoredTrial], count: int, first: int) -> list[NewTrial]:
    """The next `count` trials, numbered from `first`, each with the run that it would have.

    `spec` has the images that the sweep has pinned. `known`: the trials that exist.
    """
    readable = [trial for trial in known if trial.params is not None]
    if spec.study.sampler in ("grid", NO_SAMPLER):
        points = missing_trainings(spec, readable, count, lambda new: missing_points(spec, readable)[:new])
        return _known(spec, readable, points, first)
    skipped, listed = first - len(known), missing_listed(spec, readable)  # earlier ones do not exist yet either
    points = missing_trainings(spec, readable, skipped + count, lambda new: [*listed, *[{}] * new][:new])[skipped:]
    full = [point for point in points if spec.space.is_full(point)]
    partial = [point for point in points if not spec.space.is_full(point)]
    found = _known(spec, readable, full, first)
    return found + [_drawn(spec, point, number) for number, point in enumerate(partial, first + len(found))]


def _known(spec: SweepSpec, readable: Sequence[StoredTrial], points: Sequence[Point], first: int) -> list[NewTrial]:
    """New trials whose points are known."""
    configs = [trial_config(spec, point) for point in points]
    runs = list(range(first, first + len(configs)))
    if run_sharing.why_not_shared(spec) is None:
        keys = [(run_sharing.sharing_key(config), config.epochs) for config in configs]
        existing, kept = map(run_sharing.ExistingTrial.of, readable), not checkpoint_gc.is_enabled(spec)
        runs = run_sharing.assign_runs(keys, first, existing, package.code()["package"], keeps_checkpoints=kept)
    return [
        NewTrial(run, each.epochs, each.batch_size, point)
        for run, each, point in zip(runs, configs, points, strict=True)
    ]


def _drawn(spec: SweepSpec, partial: Point, run: int) -> NewTrial:
    """A new trial with these values, whose other values the sampler draws."""
    domains = {"batch_size": Choices((spec.slurm.processes,)), **spec.space.domains()}
    epochs, batch_size = (_only_value(path, partial, domains[path]) for path in ("epochs", "batch_size"))
    return NewTrial(run, epochs, batch_size, partial if any(path != SEED for path in partial) else None)


def _only_value(path: str, partial: Point, domain: Domain) -> int | None:
    """The only whole number that a parameter may have; None if it may have several."""
    if isinstance(value := partial.get(path), int):
        return value
    return largest(domain) if isinstance(domain, Choices) and len(domain.values) == 1 else None
