"""What the open trainings of a sweep will take: for `submit --dry-run`, and for `study.limits`."""

from collections.abc import Sequence
from dataclasses import replace

from unetsweep.app.executors import Executor
from unetsweep.app.new_trials import NewTrial
from unetsweep.core.cost import training_resources
from unetsweep.core.estimate import Estimate, OpenTraining, Settings, changes_work, estimate, settings_of
from unetsweep.core.observation import Observation
from unetsweep.core.space import Choices, Domain, Space, is_fixed, largest, whole_numbers
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.store.finished_runs import measure_finished_runs
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.trial_config import ParameterValue


def estimate_open(
    spec: SweepSpec,
    directory: SweepDir,
    trials: Sequence[StoredTrial],
    executor: Executor,
    observation: Observation,
    new: Sequence[NewTrial],
) -> Estimate:
    """The estimate for all runs of open and new trials; a shared run counts once."""
    trainings = _trainings(spec, trials, observation, new)
    resources = training_resources(spec, allocates_cpus=executor.allocates_cpus)
    samples, names_batch = measure_finished_runs(directory.root, trials), "batch_size" in spec.space.paths
    return estimate(samples, trainings, resources, names_batch=names_batch)


def estimate_limited(
    spec: SweepSpec, directory: SweepDir, executor: Executor, observation: Observation
) -> tuple[Estimate, Estimate]:
    """The estimates for all runs of open trials, and for one training that is not proposed yet."""
    trials = directory.trials() if directory.exists() else []
    samples = list(measure_finished_runs(directory.root, trials))
    resources = training_resources(spec, allocates_cpus=executor.allocates_cpus)
    rest = _trainings(spec, trials, observation, ())
    return estimate(samples, rest, resources), estimate(samples, [new_training(spec)], resources)


def new_training(spec: SweepSpec) -> OpenTraining:
    """One training that is not proposed yet."""
    return _new_training(spec, NewTrial(0, None, None))


def _trainings(
    spec: SweepSpec, trials: Sequence[StoredTrial], observation: Observation, new: Sequence[NewTrial]
) -> list[OpenTraining]:
    """What is left of each run. Cancelled trials need no more epochs."""
    reached = {run.number: run.epochs_done for run in observation.runs.values()}
    settings: dict[int, Settings] = {}
    for known in trials:
        if known.params is not None:
            settings[known.number] = settings_of(known.params, known.batch_size)
        if known.result is not None and known.result.state == "complete":
            reached[known.run] = max(known.epochs, reached.get(known.run, 0))
    wanted: dict[int, list[OpenTraining]] = {}
    for trial in observation.trials:
        epochs = None if trial.unreadable else (trial.epochs, trial.epochs)
        if trial.unreadable or not trial.cancelled:
            wanted.setdefault(trial.run, []).append(OpenTraining(settings.get(trial.number), epochs))
    for each in new:
        wanted.setdefault(each.run, []).append(_new_training(spec, each))
    return [_rest_of_run(trainings, reached.get(run, 0)) for run, trainings in wanted.items()]


def _new_training(spec: SweepSpec, trial: NewTrial) -> OpenTraining:
    """One that does not exist yet. Before it is proposed, it may have any epochs of the space."""
    epochs = _ends(spec.space.domain("epochs")) if trial.epochs is None else (trial.epochs, trial.epochs)
    point = _only_point(spec.space) if trial.point is None else trial.point
    known = point is not None and trial.batch_size is not None
    return OpenTraining(settings_of(point or {}, trial.batch_size or 0) if known else None, epochs)


def _only_point(space: Space) -> dict[str, ParameterValue] | None:
    """The point that all points of a space equal in what the time of an epoch depends on; None: there is none."""
    found: dict[str, ParameterValue] = {}
    for parameter in space.parameters:
        if changes_work(parameter.path):
            if not is_fixed(parameter.domain) or parameter.when:
                return None
            domain = parameter.domain
            found[parameter.path] = domain.values[0] if isinstance(domain, Choices) else domain.low
    return found


def _ends(epochs: Domain) -> tuple[int, int]:
    if isinstance(epochs, Choices):
        return min(whole_numbers(epochs)), largest(epochs)
    return int(epochs.low), largest(epochs)


def _rest_of_run(trainings: Sequence[OpenTraining], reached: int) -> OpenTraining:
    """What is left of a run for all its open trials."""
    known = [each.epochs for each in trainings if each.epochs is not None]
    if len(known) < len(trainings):
        return replace(trainings[0], epochs=None)
    fewest, most = (max(ends) for ends in zip(*known, strict=True))
    return replace(trainings[0], epochs=(max(0, fewest - reached), max(0, most - reached)))
