"""The trials that a sweep still asks for, as far as they are known before they are proposed: for a dry run."""

from collections.abc import Sequence
from dataclasses import dataclass

from unetsweep import package
from unetsweep.core import checkpoint_gc, run_sharing
from unetsweep.core.missing_points import missing_repeats, missing_trainings
from unetsweep.core.space import Choices, Domain, Point, largest, remaining_grid_points
from unetsweep.core.spec import SweepSpec, remaining_listed_points
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
    """None: as for the epochs."""


def new_trials(spec: SweepSpec, known: Sequence[StoredTrial], count: int, first: int) -> list[NewTrial]:
    """The next `count` trials, numbered from `first`, each with the run that it would have.

    `spec` has the images that the sweep has pinned. `known`: the trials that exist.
    """
    readable = [trial for trial in known if trial.params is not None]
    taken = [trial.point for trial in readable if trial.point is not None]
    if spec.study.sampler == "list":
        points: Sequence[Point] = remaining_listed_points(spec, taken)[:count]
    elif spec.study.sampler == "grid":
        points = missing_trainings(spec, taken, count, lambda new: remaining_grid_points(spec.space, taken)[:new])
    else:
        epochs = _only_value(spec.space.domain("epochs"))
        batch = spec.space.domains().get("batch_size", Choices((spec.slurm.processes,)))
        repeats = missing_repeats(spec, taken)[first - len(known) :][:count]
        configs = [trial_config(spec, point) for point in repeats]
        sizes: list[tuple[int | None, int | None]] = [(config.epochs, config.batch_size) for config in configs]
        sizes += [(epochs, _only_value(batch))] * (count - len(repeats))  # of points that are not known yet
        return [NewTrial(number, *each) for number, each in enumerate(sizes, first)]
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


def _only_value(domain: Domain) -> int | None:
    """The only value of a domain of whole numbers; None if it may have several."""
    return largest(domain) if isinstance(domain, Choices) and len(domain.values) == 1 else None
