"""The sweep's trials in Optuna's terms, for the samplers and for the journal."""

from collections.abc import Callable, Sequence
from typing import Literal

from optuna.trial import TrialState

from unetsweep.contract import Result
from unetsweep.core.observation import EpochReport
from unetsweep.core.pruning import metric_reports
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial, longest_of_runs

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


class Curves:
    """The metric by epoch of each trial. Of the trials that share a run only the longest has a curve."""

    def __init__(self, spec: SweepSpec, trials: Sequence[StoredTrial], epochs_of: EpochsOf) -> None:
        self._metric, self._epochs_of = spec.metric, epochs_of
        self._longest = {trial.number for trial in longest_of_runs(trials).values()}

    def of(self, trial: StoredTrial) -> dict[int, float]:
        epochs = self._epochs_of(trial.run) if trial.number in self._longest else ()
        return {report.epoch: report.value for report in metric_reports(epochs, self._metric)}
