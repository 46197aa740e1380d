"""What the open trainings of a sweep will take, for `submit --dry-run`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unetsweep.core.estimate import Open
from unetsweep.core.trials import StoredTrial

if TYPE_CHECKING:
    from unetsweep.app.new_trials import NewTrial
    from unetsweep.core.estimate import Estimate
    from unetsweep.core.observation import Observation
    from unetsweep.core.spec import SweepSpec
    from unetsweep.store.sweep_dir import SweepDir


def estimated(
    spec: "SweepSpec",
    directory: "SweepDir",
    trials: Sequence[StoredTrial],
    executor: str,
    seen: "Observation",
    new: "Sequence[NewTrial]",
) -> "Estimate":
    """Of all trainings that open trials (`seen`) and those still asked for (`new`) want; a shared one counts once."""
    from unetsweep.core.cost import resources_of
    from unetsweep.core.estimate import estimate
    from unetsweep.store.finished_runs import finished

    return estimate(finished(directory.root, trials), _trainings(trials, seen, new), resources_of(spec, executor))


def _trainings(trials: "Sequence[StoredTrial]", seen: "Observation", new: "Sequence[NewTrial]") -> list[Open]:
    """What each run is to be trained further. Of a cancelled trial nothing is left."""
    reached = {run.number: run.epochs_done for run in seen.runs.values()}
    for known in trials:
        if known.result is not None and known.result.state == "complete":
            reached[known.run] = max(known.epochs, reached.get(known.run, 0))
    wanted: dict[int, list[Open]] = {}
    for trial in seen.trials:
        open_ = Open(None, None) if trial.unreadable else Open(trial.batch_size, trial.epochs)
        if trial.unreadable or not trial.cancelled:
            wanted.setdefault(trial.run, []).append(open_)
    for each in new:
        wanted.setdefault(each.run, []).append(Open(each.batch_size, each.epochs))
    found = []
    for run, opens in wanted.items():
        epochs = [each.epochs for each in opens if each.epochs is not None]
        left = max(0, max(epochs) - reached.get(run, 0)) if len(epochs) == len(opens) else None
        found.append(Open(opens[0].batch_size, left))
    return found
