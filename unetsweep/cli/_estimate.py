"""What the open trainings of a sweep will take, for `submit --dry-run`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unetsweep.core.estimate import Open

if TYPE_CHECKING:
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.core.estimate import Estimate
    from unetsweep.core.facts import Seen
    from unetsweep.core.spec import SweepSpec


def estimated(spec: "SweepSpec", directory: "SweepDir", executor: str, seen: "Seen") -> "Estimate":
    """Of those that are there without an end, and of all that the sweep still asks for."""
    from unetsweep.adapters.finished_files import finished
    from unetsweep.core.cost import place_of
    from unetsweep.core.estimate import estimate
    from unetsweep.core.spec import trials_wanted

    trials = directory.trials()
    missing = max(0, trials_wanted(spec) - len(trials))
    trainings = [*_there(seen), *_to_come(spec, trials)[:missing]]
    trainings += [_drawn(spec)] * (missing + len(seen.trials) - len(trainings))
    return estimate(finished(directory.root, trials), trainings, place_of(spec, executor))


def _there(seen: "Seen") -> list[Open]:
    """One for each open trial: of a cancelled one nothing is left."""
    found = []
    for trial in seen.trials:
        run = seen.runs.get(trial.run)
        left = max(0, trial.epochs - (run.epochs_done if run is not None else 0))
        open_ = Open(None, None) if trial.unreadable else Open(trial.batch_size, left)
        found.append(replace(open_, epochs=0) if trial.cancelled and not trial.unreadable else open_)
    return found


def _to_come(spec: "SweepSpec", trials: list[dict[str, Any]]) -> list[Open]:
    """The points of a grid or list that are no trials yet."""
    from unetsweep.core.spec import grid_left, listed_left

    known = [trial for trial in trials if trial["params"] is not None]
    if spec.study.sampler == "grid":
        points = grid_left(spec.space, (trial["params"] for trial in known))
    else:
        seeded = ({**trial["params"], "seed": trial.get("training_seed", spec.study.seed)} for trial in known)
        points = listed_left(spec.study, seeded)
    return [Open(int(point["batch_size"]), int(point["epochs"])) for point in points]


def _drawn(spec: "SweepSpec") -> Open:
    """A point of any other sampler: what of it is known before."""
    from unetsweep.core.spec import Choices

    axes = (spec.space.batch_size, spec.space.epochs)
    only = [int(axis.values[0]) if isinstance(axis, Choices) and len(axis.values) == 1 else None for axis in axes]
    return Open(*only)
