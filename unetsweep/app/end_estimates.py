"""When a sweep ends: what is left to train, and what the estimate is made from (`core.end_estimate`)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from unetsweep.analysis.rows import TrialRecord
from unetsweep.app.estimates import new_training
from unetsweep.core.end_estimate import MOST_SAMPLES, EndEstimate, RunningTraining, estimate_end
from unetsweep.core.estimate import OpenTraining, Settings, TrainingSample, settings_of
from unetsweep.core.live import LiveTrial
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.observation import Observation, Run, Trial
from unetsweep.core.plan import Plan
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import has_epochs


def end_of(
    spec: SweepSpec,
    observation: Observation,
    plan: Plan,
    trials: Sequence[LiveTrial],
    ended: Sequence[TrialRecord],
    held: Mapping[str, float],
    at: datetime,
) -> EndEstimate:
    """When the sweep ends. `trials`: the open ones. `held`: how long the jobs of a run ran, by its folder."""
    if plan.paused is not None and trials:
        return EndEstimate(None, "unknown until you continue the sweep")
    names_epochs = has_epochs(spec.space)
    running, waiting = _open_trainings(observation, trials, at, names_epochs=names_epochs)
    if not observation.cancelled and plan.limit is None:
        unproposed = trials_wanted(spec) - observation.ended - len(observation.trials)
        waiting += [new_training(spec)] * max(0, unproposed)
    return estimate_end(running, waiting, tuple(samples(ended, held, names_epochs=names_epochs)), spec.run.parallel)


def _open_trainings(
    observation: Observation, trials: Sequence[LiveTrial], at: datetime, *, names_epochs: bool
) -> tuple[list[RunningTraining], list[OpenTraining]]:
    """The runs of open trials that train, and the others. A shared run counts once; cancelled trials do not count."""
    running_numbers = {trial.number for trial in trials if trial.state == "running"}
    published = {trial.number for trial in trials if trial.state not in ("running", "submitted", "waiting")}
    by_run: dict[int, list[Trial]] = defaultdict(list)
    for trial in observation.trials:
        if not trial.cancelled and trial.number not in published:
            by_run[trial.run].append(trial)
    running: list[RunningTraining] = []
    waiting: list[OpenTraining] = []
    for number, open_ in by_run.items():
        run = observation.runs.get(number, Run(number))
        if any(trial.number in running_numbers for trial in open_):
            running.append(_running(run, open_, at) if names_epochs else _whole(run, open_[0], at))
        else:
            waiting.append(_waiting(run, open_))
    return running, waiting


def _running(run: Run, trials: Sequence[Trial], at: datetime) -> RunningTraining:
    seconds = tuple(each.seconds for each in run.progress if each.seconds is not None)
    since = run.last_progress_at or (run.last.claimed_at if run.last is not None else None)
    idle = 0.0 if since is None else max(0.0, (at - since).total_seconds())
    left = max(0, max(trial.epochs for trial in trials) - run.current_epoch)
    return RunningTraining(_settings(trials[0]), left, seconds, idle)


def _whole(run: Run, trial: Trial, at: datetime) -> RunningTraining:
    """A training of a program that does not say how many epochs it has."""
    begun = run.last.claimed_at if run.last is not None else None
    return RunningTraining(_settings(trial), 1, (), 0.0 if begun is None else max(0.0, (at - begun).total_seconds()))


def _waiting(run: Run, trials: Sequence[Trial]) -> OpenTraining:
    if any(trial.unreadable for trial in trials) or run.unreadable is not None:
        return OpenTraining(None, None)
    left = max(0, max(trial.epochs for trial in trials) - run.epochs_done)
    return OpenTraining(_settings(trials[0]), (left, left))


def _settings(trial: Trial) -> Settings | None:
    return None if trial.params is None else settings_of(trial.params, 0)


def samples(
    ended: Sequence[TrialRecord], held: Mapping[str, float], *, names_epochs: bool = True
) -> Iterator[TrainingSample]:
    """A sample for each run of the complete and pruned trials, the newest first. `names_epochs`: the sweep does; else a
    training counts as one epoch."""
    longest: dict[str, TrialRecord] = {}
    for trial in reversed(ended):
        if trial.state in ("complete", "pruned") and trial.params:
            other = longest.get(trial.run_dir)
            longest[trial.run_dir] = trial if other is None or trial.epochs > other.epochs else other
    for trial in list(longest.values())[:MOST_SAMPLES]:
        if (found := _sample(trial, held.get(trial.run_dir), names_epochs=names_epochs)) is not None:
            yield found


def _sample(trial: TrialRecord, held: float | None, *, names_epochs: bool) -> TrainingSample | None:
    """What one finished training took; None: no file says so. `held`: how long its job ran; None: not known."""
    result = trial.result
    if result is None:
        return None
    trained = held if result.seconds is None else result.seconds
    epochs = (result.epochs_run or trial.epochs) if names_epochs else 1
    if not trained or not epochs:
        return None
    other = 0.0 if held is None else max(0.0, held - trained)
    return TrainingSample(settings_of(trial.params, 0), trained / epochs, other, 0)
