"""What the open trainings of a sweep will take: for `submit --dry-run`."""

from collections.abc import Sequence

from unetsweep.app.executors import Executor
from unetsweep.app.new_trials import NewTrial
from unetsweep.core.cost import training_resources
from unetsweep.core.estimate import Estimate, OpenTraining, estimate
from unetsweep.core.observation import Observation
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.store.finished_runs import measure_finished_runs
from unetsweep.store.sweep_dir import SweepDir


def estimate_open(
    spec: SweepSpec,
    directory: SweepDir,
    trials: Sequence[StoredTrial],
    executor: Executor,
    observation: Observation,
    new: Sequence[NewTrial],
) -> Estimate:
    """The estimate for all runs of open and new trials; a shared run counts once."""
    trainings = _trainings(trials, observation, new)
    resources = training_resources(spec, allocates_cpus=executor.allocates_cpus)
    samples, names_batch = measure_finished_runs(directory.root, trials), "batch_size" in spec.space.paths
    return estimate(samples, trainings, resources, names_batch=names_batch)


def _trainings(trials: Sequence[StoredTrial], observation: Observation, new: Sequence[NewTrial]) -> list[OpenTraining]:
    """What is left of each run. Cancelled trials need no more epochs."""
    reached = {run.number: run.epochs_done for run in observation.runs.values()}
    for known in trials:
        if known.result is not None and known.result.state == "complete":
            reached[known.run] = max(known.epochs, reached.get(known.run, 0))
    wanted: dict[int, list[OpenTraining]] = {}
    for trial in observation.trials:
        training = OpenTraining(None, None) if trial.unreadable else OpenTraining(trial.batch_size, trial.epochs)
        if trial.unreadable or not trial.cancelled:
            wanted.setdefault(trial.run, []).append(training)
    for each in new:
        wanted.setdefault(each.run, []).append(OpenTraining(each.batch_size, each.epochs))
    found = []
    for run, trainings in wanted.items():
        epochs = [each.epochs for each in trainings if each.epochs is not None]
        left = max(0, max(epochs) - reached.get(run, 0)) if len(epochs) == len(trainings) else None
        found.append(OpenTraining(trainings[0].batch_size, left))
    return found
