"""The state of each trial: what its files say, and what the plan knows of it because the scheduler was asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from unetsweep.analysis.rows import TrialRecord
from unetsweep.core.actions import Submit, Wait
from unetsweep.core.cost import Cost
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan, plan
from unetsweep.errors import SchedulerError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.loop import plan_within_limits


@dataclass(frozen=True, slots=True)
class TrialStatus:
    """One trial, as its files and the scheduler show it."""

    number: int
    state: str
    """A word of `analysis.rows.STATES`."""
    job_id: str | None
    reason: str
    cost: Cost | None = None


def plan_now(context: SweepContext, observation: Observation) -> Plan:
    """What a reconciliation would do now. If the scheduler's limits are not known, it is planned without them."""
    capacity, now = context.capacity(), context.clock.now()
    try:
        return plan_within_limits(context, observation, capacity, now)
    except SchedulerError:
        return plan(context.spec, observation, capacity, now)


def trial_statuses(records: Iterable[TrialRecord], decided: Plan, *, answered: bool = True) -> Iterable[TrialStatus]:
    """Each trial as its files show it. The plan knows more of an open one, because the scheduler was asked for it.

    `answered`: the scheduler did.
    """
    waits = waits_of(decided)
    for record in records:
        found = TrialStatus(record.number, record.state, record.job_id, record.reason, record.cost)
        wait = waits.get(record.number)
        yield found if wait is None or record.result is not None else with_wait(found, wait, answered=answered)


def waits_of(decided: Plan) -> Mapping[int, Wait]:
    """What each open trial waits for, or that it runs, by its number. Also for what a reconciliation would submit."""
    return {wait.trial: wait for wait in decided.waits} | _waits_for_submission(decided)


def _waits_for_submission(decided: Plan) -> dict[int, Wait]:
    submits = [action for action in decided.actions if isinstance(action, Submit)]
    what = "the next reconciliation" if decided.next_reconciliation.is_certain else "`unetsweep submit`"
    return {
        trial: Wait(trial, f"{what} submits it: {action.reason}")
        for action in submits
        for element in action.elements
        for trial, _ in element.trials
    }


def with_wait(trial: TrialStatus, wait: Wait, *, answered: bool = True) -> TrialStatus:
    """The trial with what the plan knows of it. `answered`: the scheduler did; else a training runs if it has begun."""
    if not answered and trial.state == "running":
        return replace(trial, reason=wait.reason)
    state = "running" if wait.running else ("submitted" if wait.job_id else "waiting")
    reason = trial.reason if wait.running and trial.reason else wait.reason
    return replace(trial, state=state, job_id=wait.job_id or trial.job_id, reason=reason)
