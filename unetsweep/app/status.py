"""`status`: the state of every trial, and why. It changes nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from unetsweep.analysis.records import pruner_problem, read_sweep_record
from unetsweep.analysis.rows import TrialRecord
from unetsweep.app.costs import cost_as_json, with_costs
from unetsweep.app.executors import executor_of
from unetsweep.app.spending import LimitStatus, limit_status
from unetsweep.app.sweeps import context_of
from unetsweep.core import paths
from unetsweep.core.actions import Action, Submit, Wait
from unetsweep.core.cost import Cost
from unetsweep.core.missing_points import describe_wanted, trials_wanted
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan, plan
from unetsweep.core.reconciler_job import NextReconciliation, ReconciledBy
from unetsweep.errors import SchedulerError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.evidence import observe
from unetsweep.reconcile.loop import plan_within_limits
from unetsweep.store.lease import Lease
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class TrialStatus:
    """One trial, as its files and the scheduler show it."""

    number: int
    state: str
    """A word of `analysis.rows.STATES`."""
    job_id: str | None
    reason: str
    cost: Cost | None


@dataclass(frozen=True, slots=True)
class SweepStatus:
    """One sweep."""

    name: str
    executor: str
    wanted: int
    """Trials that the sweep asks for."""
    wanted_text: str
    """The same for people, with the points if each has several trials."""
    repeats: int
    """Trials of each point."""
    scheduler_error: str | None
    """Why the scheduler could not be asked; None: it answered, or there was nothing to ask."""
    paused: str | None
    """Why the sweep is paused; None: it is not."""
    next_reconciliation: NextReconciliation
    cost: Cost | None
    uses_gpus: bool
    limit: LimitStatus | None
    """None: the sweep has no limit."""
    pruner_problem: str | None
    """Why its pruner cannot prune anything; None: it can, or it is not known."""
    trials: tuple[TrialStatus, ...]
    actions: tuple[Action, ...]
    """What a submit would do now."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many trials are in each state."""
        return Counter(trial.state for trial in self.trials)

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "sweep": self.name,
            "executor": self.executor,
            "wanted": self.wanted,
            **({"repeats": self.repeats} if self.repeats > 1 else {}),
            "scheduler_error": self.scheduler_error,
            "counts": dict(self.counts),
            "paused": self.paused,
            "next_reconciliation": {
                "by": self.next_reconciliation.by.value,
                "reconciler_job": self.next_reconciliation.job_id,
                "problem": self.next_reconciliation.problem,
            },
            "cost": cost_as_json(self.cost),
            **({} if self.limit is None else {"limit": self.limit.as_json()}),
            **({} if self.pruner_problem is None else {"pruner_problem": self.pruner_problem}),
            "trials": [
                {
                    "trial": trial.number,
                    "state": trial.state,
                    "job_id": trial.job_id,
                    "reason": trial.reason,
                    "cost": cost_as_json(trial.cost),
                }
                for trial in self.trials
            ],
        }


def status(directory: SweepDir) -> SweepStatus:
    """The state of a sweep and of its trials, by its files and one query to the scheduler."""
    context = context_of(directory)
    observation, decided = _observed(directory, context)
    if (
        decided.next_reconciliation.by is ReconciledBy.NOBODY
    ):  # a reconciliation may have ended during the first observation
        observation, decided = _observed(directory, context)
    record = with_costs(read_sweep_record(directory.root), directory)
    return SweepStatus(
        name=directory.name,
        executor=directory.executor,
        wanted=trials_wanted(context.spec),
        wanted_text=describe_wanted(context.spec),
        repeats=context.spec.study.repeats,
        scheduler_error=observation.scheduler_error,
        paused=decided.paused,
        next_reconciliation=decided.next_reconciliation,
        cost=record.cost,
        uses_gpus=bool(context.spec.slurm.gpus),
        limit=limit_status(context.spec.study.limits, observation.spending, decided.limit),
        pruner_problem=pruner_problem(record),
        trials=tuple(trial_statuses(record.trials, decided)),
        actions=decided.actions,
    )


def _observed(directory: SweepDir, context: SweepContext) -> tuple[Observation, Plan]:
    """The sweep, and what a submit would do now."""
    observation = observe(context)
    if context.spending is not None:
        observation = replace(observation, spending=context.spending(observation, context.clock.now()))
    decided = plan_now(context, observation)
    if _is_reconciled(directory, decided.next_reconciliation):
        decided = replace(decided, next_reconciliation=NextReconciliation(ReconciledBy.COMMAND))
    return observation, decided


def _is_reconciled(directory: SweepDir, found: NextReconciliation) -> bool:
    """Whether a process reconciles now, or is about to, although the plan does not know of one."""
    if found.is_certain:
        return False
    is_job = found.by is ReconciledBy.NOBODY and executor_of(directory).is_reconciling(directory.root)
    return is_job or Lease(directory.root / paths.LEASE).seems_held()


def plan_now(context: SweepContext, observation: Observation) -> Plan:
    """What a reconciliation would do now. If the scheduler's limits are not known, it is planned without them."""
    capacity, now = context.capacity(), context.clock.now()
    try:
        return plan_within_limits(context, observation, capacity, now)
    except SchedulerError:
        return plan(context.spec, observation, capacity, now)


def trial_statuses(records: Iterable[TrialRecord], decided: Plan) -> Iterable[TrialStatus]:
    """Each trial as its files show it. The plan knows more of an open one, because the scheduler was asked for it."""
    waits = {wait.trial: wait for wait in decided.waits} | _waits_for_submission(decided)
    for record in records:
        found = TrialStatus(record.number, record.state, record.job_id, record.reason, record.cost)
        wait = waits.get(record.number)
        yield found if wait is None or record.result is not None else _with_wait(found, wait)


def _waits_for_submission(decided: Plan) -> dict[int, Wait]:
    submits = [action for action in decided.actions if isinstance(action, Submit)]
    what = "the next reconciliation" if decided.next_reconciliation.is_certain else "`unetsweep submit`"
    return {
        trial: Wait(trial, f"{what} submits it: {action.reason}")
        for action in submits
        for element in action.elements
        for trial, _ in element.trials
    }


def _with_wait(trial: TrialStatus, wait: Wait) -> TrialStatus:
    state = "running" if wait.running else ("submitted" if wait.job_id else "waiting")
    reason = trial.reason if wait.running and trial.reason else wait.reason
    return replace(trial, state=state, job_id=wait.job_id or trial.job_id, reason=reason)
