"""Pruning as part of a reconciliation: ask the pruner about new reports, and record its decision before anything else.

Rule 1: a study without a pruner costs nothing, and a pruner that fails does not stop the sweep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from unetsweep.contract import Result
from unetsweep.core import point_histories, pruning
from unetsweep.core.actions import FinishTrial
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan
from unetsweep.core.pruning import History, MetricReport, Verdict
from unetsweep.core.repeats import stored_points
from unetsweep.core.trials import StoredTrial, longest_of_runs
from unetsweep.reconcile.context import SweepContext

_NOT_TRAINING = "not training"
"""State of the history of an open trial whose run is not being trained, so that no verdict on it is wanted."""


def with_prunes(plan: Plan, context: SweepContext, observation: Observation) -> Plan:
    """The plan, preceded by a `Prune` for every trial that the pruner ends now."""
    asked = pruning.open_histories(context.spec, observation)
    if not asked:
        return plan
    try:
        verdicts = _verdicts(context, asked)
    except Exception as error:
        context.directory.note(action="prune", trouble=f"{type(error).__name__}: {error}")
        return plan
    return replace(plan, actions=(*pruning.prune_actions(observation, verdicts), *plan.actions))


def _verdicts(context: SweepContext, asked: Sequence[History]) -> Mapping[int, Verdict]:
    """The verdicts on the runs that are asked about, by the trials through which they are judged."""
    spec, repeats = context.spec, context.spec.study.repeats
    if repeats == 1:
        return context.study.verdicts(spec, asked, lambda: _others(context, asked))

    def reports_of(trial: StoredTrial) -> Sequence[MetricReport]:
        return pruning.metric_reports(context.directory.progress(trial.run), spec.metric)

    def others() -> Sequence[History]:
        found = point_histories.other_points(points, judged, repeats, _NOT_TRAINING, reports_of)
        return sorted(found, key=_completed_last)

    points = stored_points(spec, context.directory.trials())
    judged = point_histories.asked_points(points, asked, repeats, reports_of)
    histories = tuple({history.trial: history for history in judged.values()}.values())
    verdicts = context.study.verdicts(spec, histories, others) if histories else {}
    return point_histories.verdicts_on_runs(judged, verdicts, repeats)


def _completed_last(history: History) -> tuple[bool, int, int]:
    return history.state == "complete", history.epochs, history.trial


def _others(context: SweepContext, asked: Sequence[History]) -> list[History]:
    """The histories of all other runs, open or ended. A run's history is that of its longest trial."""
    asked_trials = {history.trial for history in asked}
    longest = longest_of_runs(context.directory.trials()).values()
    others = [trial for trial in longest if trial.params is not None and trial.number not in asked_trials]
    found = []
    for trial in others:
        reports = pruning.metric_reports(context.directory.progress(trial.run), context.spec.metric)
        if reports:
            found.append(History(trial.number, trial.epochs, _state(trial), reports))
    return sorted(found, key=_completed_last)


def _state(trial: StoredTrial) -> str:
    return trial.result.state if trial.result is not None else _NOT_TRAINING


def pruned_result(action: FinishTrial, context: SweepContext) -> Result | None:
    """The result of a pruned trial whose job has published none; None for any other trial."""
    prune = context.directory.read_prune_decision(action.run) if action.state == "pruned" else None
    if prune is None:
        return None
    result = pruning.pruned_result(context.spec.metric, prune, context.directory.progress(action.run))
    return replace(result, job_id=action.job_id, epochs=action.epochs)
