"""The plan: what a reconciliation does about everything it observed. `run_decision` decides on each run.

Rule 1: pure: the same observation and the same time give the same plan.
Rule 2: while the scheduler cannot be queried, nothing is submitted.
Rule 3: never more trainings at once than `parallel`, whoever submitted them.
Rule 4: a plan does not assume that its actions succeed; the next iteration observes what they did.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from unetsweep.core import checkpoint_gc, reconciler_job, retry_policy
from unetsweep.core.actions import (
    Action,
    Cancel,
    CollectCheckpoints,
    FinishTrial,
    MarkLost,
    Propose,
    Prune,
    RecordJob,
    SetThrottle,
    Submit,
    SubmitReconciler,
    Terminate,
    Wait,
)
from unetsweep.core.attempt_state import DecisionContext, decision_context
from unetsweep.core.capacity import (
    QUEUE_FULL,
    Capacity,
    allowed_training_jobs,
    allows_reconciler,
    may_replace_reconciler,
    schedule,
    throttle_changes,
)
from unetsweep.core.missing_points import describe_wanted, trials_wanted
from unetsweep.core.observation import Attempt, Observation, Run, Trial
from unetsweep.core.reconciler_job import NextReconciliation
from unetsweep.core.run_decision import RunDecision, decide_run
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.core.spending import affordable_trainings, describe_reached, is_reached
from unetsweep.errors import UnsafePlan

ADAPTIVE_PARALLEL = 4
"""Most open runs of a sweep whose sampler learns from results, if `run.parallel` is not set; with repeats so many open
points. With more, new points would be proposed without the results of earlier ones."""
MAX_VANISHED = 20
"""If this many jobs vanish from the queue at once, squeue's answer is more likely wrong than the jobs lost."""
MAX_BACKOFF = timedelta(hours=1)
"""A refused submission is tried again after 1, 2, 4, ... minutes, and at least once in this time."""
NO_NEXT_TRY = "nobody tries again by itself: run `unetsweep submit` again"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reconciliation decided."""

    actions: tuple[Action, ...] = ()
    waits: tuple[Wait, ...] = ()
    active: int = 0
    """Attempts that may still be running."""
    vanished: int = 0
    """Attempts whose job disappeared from the queue, and neither a file nor we say that it ended."""
    paused: str | None = None
    """Why the sweep paused itself."""
    limit: str | None = None
    """Why no more trials are proposed, although the sweep asks for more; None: they are, or it does not."""
    next_reconciliation: NextReconciliation = reconciler_job.NOT_OBSERVED
    """What reconciles next, as observed: without what this plan submits."""

    @property
    def is_queue_full(self) -> bool:
        """Whether a run waits because the cluster accepts no more jobs now."""
        return any(wait.reason == QUEUE_FULL for wait in self.waits)

    def raise_if_unsafe(self) -> None:
        """Raise UnsafePlan if so many jobs have vanished at once that the queue's answer is probably wrong."""
        if self.vanished >= max(MAX_VANISHED, self.active):
            raise UnsafePlan(
                f"{self.vanished} submitted runs vanished from the queue at once. Check that squeue answers "
                "correctly, then run the command again with --force to resubmit them"
            )


def plan(spec: SweepSpec, observation: Observation, capacity: Capacity, now: datetime) -> Plan:
    """Return what to do now."""
    context = decision_context(observation, capacity, now, spec.study.repeats)
    decisions = _decide_runs(spec, observation, context)
    actions = _run_actions(decisions)
    waits = [wait for decision in decisions for wait in decision.waits]
    active = [decision.active for decision in decisions if decision.active is not None]
    following = reconciler_job.next_reconciliation(
        spec, observation, active, capacity, now, paused=context.paused is not None
    )
    if observation.scheduler_error is not None:
        waits += _all_wait(decisions, f"the queue does not answer: {observation.scheduler_error}")
    elif context.paused is not None:
        waits += _all_wait(decisions, f"paused: {context.paused}")
    else:
        wants_reconciler = reconciler_job.wants_reconciler(spec, observation, capacity, now)
        submits, held = _submissions(
            decisions, active, observation, context, wants_reconciler=wants_reconciler, is_kept=following.is_certain
        )
        actions += [*throttle_changes(active, capacity), *submits]
        waits += held
        if may_replace_reconciler(capacity) and not submits and any(wait.reason == QUEUE_FULL for wait in held):
            actions += reconciler_job.give_up_place(observation)
        actions += _proposals(spec, observation, capacity, actions)
    may_propose = _defers_proposals(spec, observation, actions) or any(isinstance(each, Propose) for each in actions)
    if not may_propose:  # else the next iteration knows which jobs to wait for, and which checkpoints a trial continues
        actions += _reconciler_actions(spec, observation, decisions, actions, context)
        actions += checkpoint_gc.collect(spec, observation, now)
    waits.sort(key=lambda wait: wait.trial)
    vanished = sum(decision.has_vanished for decision in decisions)
    limit = why_no_more(spec, observation)
    planned = Plan(tuple(actions), tuple(waits), len(active), vanished, context.paused, limit, following)
    return planned if not _has_only_place(planned) else replace(planned, next_reconciliation=reconciler_job.ONLY_PLACE)


def _has_only_place(planned: Plan) -> bool:
    """Whether the sweep has one job in a full queue, and it is a training: it counts until after its exit hook, which
    then cannot submit the next one."""
    has_reconciler = planned.next_reconciliation.job_id is not None or any(
        isinstance(action, SubmitReconciler) for action in planned.actions
    )
    return planned.is_queue_full and planned.active == 1 and not has_reconciler


def _decide_runs(spec: SweepSpec, observation: Observation, context: DecisionContext) -> list[RunDecision]:
    trials_of: dict[int, list[Trial]] = defaultdict(list)
    for trial in observation.trials:
        trials_of[trial.run].append(trial)
    return [decide_run(spec, observation.runs.get(run, Run(run)), trials, context) for run, trials in trials_of.items()]


def _run_actions(decisions: Sequence[RunDecision]) -> list[Action]:
    """The actions that were decided on for the runs, in the order in which they are applied."""
    actions = [action for decision in decisions for action in decision.actions]
    cancelled = tuple(decision.cancel_job for decision in decisions if decision.cancel_job is not None)
    obsolete = tuple(decision.obsolete_job for decision in decisions if decision.obsolete_job is not None)
    if cancelled:
        actions.append(Cancel(cancelled, "you cancelled their trials"))
    if obsolete:
        actions.append(Cancel(obsolete, "their trials have ended"))
    return sorted(actions, key=_order)


def _order(action: Action) -> tuple[int, int]:
    """Sort key: what is known of runs and trials is recorded before new submissions; by number within each kind."""
    match action:
        case Prune(run=run) | RecordJob(run=run):
            return 0, run
        case MarkLost(run=run):
            return 1, run
        case FinishTrial(trial=trial):
            return 2, trial
        case Terminate(run=run):
            return 3, run
        case Cancel():
            return 4, 0
        case SetThrottle() | Submit() | Propose() | SubmitReconciler() | CollectCheckpoints():
            return 5, 0


def _all_wait(decisions: Sequence[RunDecision], reason: str) -> list[Wait]:
    """A wait with this reason for each trial that is ready."""
    ready = (decision.ready for decision in decisions if decision.ready is not None)
    return [Wait(trial, reason) for element in ready for trial, _ in element.trials]


def _submissions(
    decisions: Sequence[RunDecision],
    active: Sequence[Attempt],
    observation: Observation,
    context: DecisionContext,
    *,
    wants_reconciler: bool,
    is_kept: bool,
) -> tuple[list[Submit], list[Wait]]:
    """The submissions of the runs that are ready, and why the others wait.

    `is_kept`: something reconciles without the user, so it tries a refused submission again.
    """
    capacity = context.capacity
    refused = [decision.refused for decision in decisions if decision.refused is not None]
    jobs = allowed_training_jobs(capacity, len(active), wants_reconciler=wants_reconciler, backoff=bool(refused))
    ready, waits = [], []
    for element, last in sorted(
        ((decision.ready, decision.refused) for decision in decisions if decision.ready is not None),
        key=lambda pair: pair[0].run,
    ):
        until = _backoff_until(last, context, is_active=bool(active))
        if last is None or until is None:
            ready.append(element)
        else:
            later = f"the next try is at {until:%H:%M} UTC, or with `unetsweep submit`" if is_kept else NO_NEXT_TRY
            why = f"{last.lost}; {later}"
            waits += [Wait(trial, why) for trial, _ in element.trials]
    exclude = _suspects(decisions, observation, context)
    submits, why = schedule(ready, active, capacity, jobs=jobs, backoff=bool(refused), exclude=exclude)
    sent = {element.run for submit in submits for element in submit.elements}
    waits += [Wait(trial, why) for element in ready if element.run not in sent for trial, _ in element.trials]
    return submits, waits


def _suspects(decisions: Sequence[RunDecision], observation: Observation, context: DecisionContext) -> tuple[str, ...]:
    """The nodes that new jobs avoid."""
    lost_now = [action for decision in decisions for action in decision.actions if isinstance(action, MarkLost)]
    return retry_policy.suspects(observation, context.now, lost_now) if context.capacity.queues else ()


def _backoff_until(refused: Attempt | None, context: DecisionContext, *, is_active: bool) -> datetime | None:
    """When a refused run may be submitted again; None: now.

    A user's command does not wait. Neither does a run that was refused for a limit on queued jobs, while other jobs
    of the sweep are active: each of them makes room when it ends.
    """
    if refused is None or context.capacity.interactive or refused.lost_at is None or (refused.limit and is_active):
        return None
    until = refused.lost_at + min(MAX_BACKOFF, timedelta(minutes=1) * 2 ** min(refused.refusals, 10))
    return until if until > context.now else None


def _proposals(
    spec: SweepSpec, observation: Observation, capacity: Capacity, actions: Sequence[Action]
) -> list[Propose]:
    """New trials, as many as are missing and `study.limits` allows. Only as many as can run now, if the sampler learns
    from results, or if it is not known yet how many the limit allows.

    With repeats a free slot may take one training of a point, and the next slots take the others.
    """
    if observation.cancelled or why_no_more(spec, observation) is not None:
        return []
    if _defers_proposals(spec, observation, actions):
        return []
    missing, limits, spending = _missing(spec, observation), spec.study.limits, observation.spending
    allowed = None if spending is None else affordable_trainings(limits, spending)
    missing = missing if allowed is None else min(missing, allowed)
    is_unknown = limits.hours is not None and spending is not None and allowed is None
    if is_unknown or spec.study.sampler not in ("grid", NO_SAMPLER, "random"):
        slots = capacity.parallel or ADAPTIVE_PARALLEL * spec.study.repeats
        ending = {action.trial for action in actions if isinstance(action, FinishTrial)}
        missing = min(missing, slots - len({trial.run for trial in observation.trials if trial.number not in ending}))
    return [Propose(missing, f"the sweep asks for {describe_wanted(spec)}")] if missing > 0 else []


def _missing(spec: SweepSpec, observation: Observation) -> int:
    """How many trials the sweep asks for that do not exist."""
    return trials_wanted(spec) - observation.ended - len(observation.trials)


def _defers_proposals(spec: SweepSpec, observation: Observation, actions: Sequence[Action]) -> bool:
    """Whether the next iteration decides on new trials, because trials end in this one: a sweep with a limit needs to
    know what they have used."""
    is_limited = spec.study.limits.hours is not None and _missing(spec, observation) > 0 and not observation.cancelled
    return is_limited and any(isinstance(action, FinishTrial) for action in actions)


def why_no_more(spec: SweepSpec, observation: Observation) -> str | None:
    """Why no more trials are proposed, although the sweep asks for more; None: its limit does not prevent it."""
    limits, spending = spec.study.limits, observation.spending
    if spending is None or observation.cancelled or _missing(spec, observation) <= 0:
        return None
    return describe_reached(limits, spending) if is_reached(limits, spending) else None


def _reconciler_actions(
    spec: SweepSpec,
    observation: Observation,
    decisions: Sequence[RunDecision],
    actions: Sequence[Action],
    context: DecisionContext,
) -> list[Action]:
    """Submit a reconciler job while something runs or will be submitted later; cancel it when all trials have ended.

    Neither, if only a user can continue the sweep.
    """
    if any(isinstance(action, Submit) for action in actions):
        return []  # the next observation knows which jobs to wait for
    finished = sum(isinstance(action, FinishTrial) for action in actions)
    active = [decision.active for decision in decisions if decision.active is not None]
    is_ready = any(decision.ready is not None for decision in decisions)
    has_more = len(observation.trials) > finished and (active or (is_ready and context.paused is None))
    capacity = context.capacity
    if has_more and not allows_reconciler(capacity, len(active)):
        return []
    if has_more and reconciler_job.wants_reconciler(spec, observation, capacity, context.now):
        exclude = _suspects(decisions, observation, context)
        return [*reconciler_job.next_reconciler(observation, active, capacity, exclude)]
    if not has_more and len(observation.trials) == finished:
        return [*reconciler_job.obsolete_reconciler(observation, capacity)]
    return []
