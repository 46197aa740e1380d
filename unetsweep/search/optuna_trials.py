"""The sweep's trials in Optuna's terms, for the samplers and for the journal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from optuna.trial import TrialState

from unetsweep.contract import Result
from unetsweep.core.observation import EpochReport
from unetsweep.core.pruning import metric_reports
from unetsweep.core.repeats import FAILED, mean_curve, stored_points
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial, longest_of_runs
from unetsweep.trial_config import ParameterValue

EpochsOf = Callable[[int], Sequence[EpochReport]]
"""The finished epochs of a run, in order."""


def no_epochs(run: int) -> Sequence[EpochReport]:
    """Return no epochs, for searches that need no curves."""
    return ()


STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
    "cancelled": TrialState.FAIL,
}


def direction(spec: SweepSpec) -> Literal["minimize", "maximize"]:
    return "minimize" if spec.metric.minimize else "maximize"


def state_of(spec: SweepSpec, result: Result | None) -> tuple[TrialState, float | None]:
    """Return the state of a trial with this result (None: it is open), and its value of the metric if it has one.

    A complete trial without a finite value counts as failed.
    """
    if result is None:
        return TrialState.RUNNING, None
    state, value = STATES[result.state], spec.metric.of_result(result)
    if state is TrialState.COMPLETE and value is None:
        return TrialState.FAIL, None
    return state, value


@dataclass(frozen=True, slots=True)
class StudyTrial:
    """A trial of the Optuna study: a point with all its trainings. Without repeats it is one trial of the sweep."""

    trials: tuple[StoredTrial, ...]
    """In the order of their numbers."""
    state: TrialState
    """Running while a training is open or not proposed yet."""
    value: float | None
    """The mean of its complete trainings, or of those that were pruned with it; None: there is none (yet)."""

    @property
    def numbers(self) -> list[int]:
        return [trial.number for trial in self.trials]

    @property
    def params(self) -> dict[str, ParameterValue]:
        return dict(self.trials[0].params or {})


def study_trials(spec: SweepSpec, trials: Sequence[StoredTrial]) -> list[StudyTrial]:
    """Return the trials of the study, in the order in which their points were proposed."""
    return [_study_trial(spec, each) for each in stored_points(spec, trials)]


def _study_trial(spec: SweepSpec, trials: tuple[StoredTrial, ...]) -> StudyTrial:
    found = [state_of(spec, trial.result) for trial in trials]
    states = {state for state, _ in found}
    if len(trials) < spec.study.repeats or TrialState.RUNNING in states:
        return StudyTrial(trials, TrialState.RUNNING, None)
    state = next((each for each in (TrialState.PRUNED, TrialState.COMPLETE) if each in states), TrialState.FAIL)
    values = [value for each, value in found if each is not TrialState.FAIL and value is not None]
    return StudyTrial(trials, state, fmean(values) if values else None)


class Curves:
    """The metric by epoch of each point: the mean of its trainings, without those that failed, at the epochs that all
    have reached. Of the trials that share a run only the longest has a curve."""

    def __init__(self, spec: SweepSpec, trials: Sequence[StoredTrial], epochs_of: EpochsOf) -> None:
        self._metric, self._repeats, self._epochs_of = spec.metric, spec.study.repeats, epochs_of
        self._longest = {trial.number for trial in longest_of_runs(trials).values()}

    def of(self, point: StudyTrial) -> dict[int, float]:
        if len(point.trials) < self._repeats:
            return {}
        good = [trial for trial in point.trials if trial.result is None or trial.result.state not in FAILED]
        return mean_curve([self._of_training(trial) for trial in good or point.trials])

    def _of_training(self, trial: StoredTrial) -> dict[int, float]:
        epochs = self._epochs_of(trial.run) if trial.number in self._longest else ()
        return {report.epoch: report.value for report in metric_reports(epochs, self._metric)}
