"""The sweep's trials in Optuna's terms, for the samplers and for the journal."""

from collections.abc import Mapping
from typing import Any, Literal

from optuna.trial import TrialState

from unetsweep.core.pruning import reports
from unetsweep.core.spec import SweepSpec

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
    "cancelled": TrialState.FAIL,
}


def direction(spec: SweepSpec) -> Literal["minimize", "maximize"]:
    return "minimize" if spec.minimize else "maximize"


def state_of(spec: SweepSpec, result: Mapping[str, Any] | None) -> tuple[TrialState, float | None]:
    """Return the state of a trial with this result (None: it is open), and its value of the metric where it has one.

    A complete trial without a finite value counts as failed.
    """
    if result is None:
        return TrialState.RUNNING, None
    state, value = STATES.get(result["state"], TrialState.FAIL), result.get(spec.study.metric)
    if state is TrialState.COMPLETE and value is None:
        return TrialState.FAIL, None
    return state, value


def curve(spec: SweepSpec, trial: Mapping[str, Any]) -> dict[int, float]:
    """Return the metric by epoch, for the one trial of a run that has its progress; empty for the others."""
    points = trial["progress"]() if "progress" in trial else ()
    return {report.epoch: report.value for report in reports(points, spec.study.metric)}
