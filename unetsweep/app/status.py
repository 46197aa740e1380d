"""`status`: the state of every trial, and why. It changes nothing."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from unetsweep.analysis.records import pruner_problem, read_sweep_record
from unetsweep.app.costs import cost_as_json, with_costs
from unetsweep.app.executors import executor_of
from unetsweep.app.live import Observed, held_seconds, live_sweep
from unetsweep.app.spending import LimitStatus, limit_status
from unetsweep.app.sweeps import context_of
from unetsweep.app.trial_states import TrialStatus, plan_now, trial_statuses
from unetsweep.core import paths
from unetsweep.core.actions import Action
from unetsweep.core.cost import Cost
from unetsweep.core.live import LiveSweep, LiveTrial
from unetsweep.core.missing_points import describe_wanted, trials_wanted
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan
from unetsweep.core.reconciler_job import NextReconciliation, ReconciledBy
from unetsweep.process import without_gc
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.evidence import observe
from unetsweep.store.lease import Lease
from unetsweep.store.sweep_dir import SweepDir


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
    live: LiveSweep
    """Its progress, as `watch` shows it."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many trials are in each state."""
        return Counter(trial.state for trial in self.trials)

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        live, best = self.live, self.live.best
        open_trials = {trial.number: trial for trial in live.open_trials}
        return {
            "sweep": self.name,
            "executor": self.executor,
            "wanted": self.wanted,
            **({"repeats": self.repeats} if self.repeats > 1 else {}),
            "scheduler_error": self.scheduler_error,
            "counts": dict(self.counts),
            "metric": live.metric,
            "best": None if best is None else {"trial": best.number, "score": best.score},
            "failures": [{"reason": each.reason, "trials": list(each.trials)} for each in live.failures],
            "end": live.end.as_json(),
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
                    **_progress_as_json(open_trials.get(trial.number)),
                }
                for trial in self.trials
            ],
        }


def _progress_as_json(trial: LiveTrial | None) -> dict[str, Any]:
    """The keys of an open trial. None: it has ended."""
    if trial is None:
        return {}
    return {
        "node": trial.node,
        "epoch": trial.epoch,
        "epochs": trial.epochs or None,
        "score": trial.latest,
        "best_score": trial.best,
        "reported_at": None if trial.reported_at is None else trial.reported_at.isoformat(),
        "starts_at": None if trial.starts_at is None else trial.starts_at.isoformat(),
    }


@without_gc()
def status(directory: SweepDir) -> SweepStatus:
    """The state of a sweep and of its trials, by its files and one query to the scheduler."""
    context = context_of(directory)
    observation, decided = observe_and_plan(directory, context, plan_now)
    if (
        decided.next_reconciliation.by is ReconciledBy.NOBODY
    ):  # a reconciliation may have ended during the first observation
        observation, decided = observe_and_plan(directory, context, plan_now)
    record = with_costs(read_sweep_record(directory.root, observation), directory, observation.runs)
    open_numbers = {trial.number for trial in observation.trials}
    ended = [trial for trial in record.trials if trial.number not in open_numbers]
    observed = Observed(observation, decided, context.clock.now(), ended, held_seconds(ended))
    answered = observation.scheduler_error is None
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
        trials=tuple(trial_statuses(record.trials, decided, answered=answered)),
        actions=decided.actions,
        live=live_sweep(directory, context, observed),
    )


def observe_and_plan(
    directory: SweepDir, context: SweepContext, decide: Callable[[SweepContext, Observation], Plan]
) -> tuple[Observation, Plan]:
    """The sweep, and what a submit would do now. One query to the scheduler, and those of `decide`."""
    observation = observe(context)
    if context.spending is not None:
        observation = replace(observation, spending=context.spending(observation, context.clock.now()))
    decided = decide(context, observation)
    if _is_reconciled(directory, decided.next_reconciliation):
        decided = replace(decided, next_reconciliation=NextReconciliation(ReconciledBy.COMMAND))
    return observation, decided


def _is_reconciled(directory: SweepDir, found: NextReconciliation) -> bool:
    """Whether a process reconciles now, or is about to, although the plan does not know of one."""
    if found.is_certain:
        return False
    is_job = found.by is ReconciledBy.NOBODY and executor_of(directory).is_reconciling(directory.root)
    return is_job or Lease(directory.root / paths.LEASE).seems_held()
