"""Pruning, as part of a reconciliation: ask where there is news, write the decision down before anything else is done.

Rule 1: a study without a pruner costs nothing; a pruner that fails stops no sweep.
"""

from collections.abc import Sequence
from dataclasses import replace

from unetsweep.contract import Result
from unetsweep.core import pruning
from unetsweep.core.actions import FinishTrial
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan
from unetsweep.core.pruning import History
from unetsweep.core.trials import StoredTrial, longest_of_runs
from unetsweep.reconcile.context import SweepContext

ENDED = "ended"
"""The state of a trial that is compared with, though it is neither asked nor complete."""


def with_stops(plan: Plan, context: SweepContext, seen: Observation) -> Plan:
    """The plan, begun by what is to be pruned now."""
    asked = pruning.asked(context.spec, seen)
    if not asked:
        return plan
    try:
        verdicts = context.study.verdicts(context.spec, asked, lambda: _others(context, asked))
    except Exception as error:
        context.directory.note(action="prune", trouble=f"{type(error).__name__}: {error}")
        return plan
    stops = pruning.stops(seen, verdicts)
    return replace(plan, actions=(*stops, *plan.actions))


def _others(context: SweepContext, asked: Sequence[History]) -> list[History]:
    """What every other run reported, ended or not: one history each, that of its longest trial that is complete."""
    asked_trials = {history.trial for history in asked}
    longest = longest_of_runs(context.directory.trials()).values()
    others = [trial for trial in longest if trial.params is not None and trial.number not in asked_trials]
    found = []
    for trial in sorted(others, key=lambda trial: (_state(trial) == "complete", trial.epochs, trial.number)):
        reported = pruning.reports(context.directory.progress(trial.run), context.spec.study.metric)
        if reported:
            found.append(History(trial.number, trial.epochs, _state(trial), reported))
    return found


def _state(trial: StoredTrial) -> str:
    return trial.result.state if trial.result is not None else ENDED


def pruned(action: FinishTrial, context: SweepContext) -> Result | None:
    """The result of a pruned trial whose job left none; None for any other."""
    stopped = context.directory.stopped(action.run) if action.state == "pruned" else None
    if stopped is None:
        return None
    result = pruning.pruned_result(stopped, context.directory.progress(action.run))
    return replace(result, job_id=action.job_id, epochs=action.epochs)
