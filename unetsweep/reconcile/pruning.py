"""Pruning, as part of a reconciliation: ask where there is news, write the decision down before anything else is done.

Rule 1: a study without a pruner costs nothing; a pruner that fails stops no sweep.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from unetsweep.contract import Result
from unetsweep.core import pruning
from unetsweep.core.actions import FinishTrial
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan
from unetsweep.core.pruning import History
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
    trials = [trial for trial in context.directory.trials() if "progress" in trial and trial["params"] is not None]
    names = {history.trial for history in asked}
    speaking = {_run(trial) for trial in trials if trial["trial"] in names}
    others: dict[int, dict[str, Any]] = {}
    for trial in sorted(trials, key=lambda trial: (_state(trial) == "complete", trial["params"]["epochs"])):
        if _run(trial) not in speaking:
            others[_run(trial)] = trial
    found = []
    for trial in others.values():
        told = pruning.reports(trial["progress"](), context.spec.study.metric)
        if told:
            found.append(History(trial["trial"], trial["params"]["epochs"], _state(trial), told))
    return found


def _run(trial: dict[str, Any]) -> int:
    return int(trial["runs"][0]["run"])


def _state(trial: dict[str, Any]) -> str:
    return str(trial["result"]["state"]) if trial["result"] is not None else ENDED


def pruned(action: FinishTrial, context: SweepContext) -> Result | None:
    """The result of a pruned trial whose job left none; None for any other."""
    stopped = context.directory.stopped(action.run) if action.state == "pruned" else None
    if stopped is None:
        return None
    result = pruning.pruned_result(stopped, context.directory.progress(action.run))
    return replace(result, job_id=action.job_id, epochs=action.epochs)
