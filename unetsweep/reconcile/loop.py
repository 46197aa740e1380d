"""One reconciliation: observe the files and the scheduler, plan, guard and apply. Then read the files again and repeat,
until nothing is left to do now.

It may be killed at any point, and any process may repeat it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from unetsweep.core.actions import Action, Cancel, Propose, Submit, SubmitReconciler
from unetsweep.core.capacity import QUEUE_FULL, Capacity
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan, plan
from unetsweep.core.reconciler_job import is_unconfirmed
from unetsweep.errors import RefusedError
from unetsweep.reconcile.apply import Applied, apply, export_journal
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.evidence import collect, with_jobs
from unetsweep.reconcile.pruning import with_prunes

MAX_ITERATIONS = 50
"""A reconciliation ends after a few iterations. This bound only keeps a bug from looping forever."""


@dataclass(slots=True)
class Reconciliation:
    """What a reconciliation did, and what is left to wait for."""

    done: list[Action] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    """The plan of the last iteration."""
    observation: Observation = field(default_factory=Observation)
    """What the last iteration observed."""
    refusal: RefusedError | None = None
    """Why the scheduler refused trainings, not only for now; None: it did not."""
    limit: str | None = None
    """The scheduler's message, if it refused a submission for a limit on queued jobs; None: it did not."""
    unconfirmed: bool = False
    """The newest reconciler job is only an intent: the process that wrote it may have died before it submitted."""

    @property
    def why_not_queued(self) -> str | None:
        """Why no job of the sweep is in the queue although a run is ready; None: one is, or no limit keeps it out."""
        has_reconciler = self.plan.next_reconciliation.job_id is not None or any(
            isinstance(action, SubmitReconciler) for action in self.done
        )
        if not self.plan.is_queue_full or self.plan.active or has_reconciler:
            return None
        return self.limit or QUEUE_FULL

    @property
    def lacks_reconciler(self) -> bool:
        """Whether a reconciler job is needed, and it is not certain that there is one."""
        wanted = self.unconfirmed or any(isinstance(action, SubmitReconciler) for action in self.plan.actions)
        return wanted and not any(isinstance(action, SubmitReconciler) for action in self.done)


def reconcile(
    context: SweepContext, *, force: bool = False, notify: Callable[[Action], None] = lambda _: None
) -> Reconciliation:
    """Apply everything that can be done now, and return what was done. The caller holds the lease (app/reconcile.py).

    Raises UnsafePlan if the plan rests on an implausible answer of the scheduler, unless `force`. If the scheduler
    refuses trainings, it raises RefusedError if a person started the reconciliation, and returns it to other callers.
    """
    found = Reconciliation()
    context.directory.mark_reconciled()
    capacity = context.capacity()
    queried_at = context.clock.now()  # before the query, so that a job submitted after it is within its grace time
    files, jobs, scheduler_error = collect(context)
    for _ in range(MAX_ITERATIONS):
        found.observation = with_jobs(files, jobs, scheduler_error)
        found.plan = plan_within_limits(context, found.observation, capacity, queried_at)
        if not force:
            found.plan.raise_if_unsafe()
        found.plan = with_prunes(found.plan, context, found.observation)
        try:
            applied = apply(found.plan.actions, context, found.done, notify)
        except RefusedError as error:
            context.directory.note(action="Submit", trouble=str(error))
            if context.interactive:  # the user gets the error, and corrects the request
                raise
            found.refusal, applied = error, Applied()
        found.limit = applied.limit or found.limit
        if not applied.more and not _takes_or_leaves_a_place(found.plan, applied):
            if not _submits(found.plan):
                break
            # nothing more can be submitted now: it was refused, or another reconciliation was first. Repeat once more,
            # since running jobs may still need a reconciler job
            capacity = replace(capacity, is_full=True)
        if applied.has_restored:
            files, jobs, scheduler_error = collect(context)
        else:
            files = context.directory.observe(context.spec.metric)
    is_wanted = context.interactive or not found.observation.trials  # otherwise a large journal may be behind
    if is_wanted and context.study.is_stale():
        export_journal(context)
    found.unconfirmed = is_unconfirmed(found.observation.last_reconciler_job, capacity, queried_at)
    return found


def plan_within_limits(context: SweepContext, observation: Observation, capacity: Capacity, now: datetime) -> Plan:
    """The plan within `study.limits` and the limits of the scheduler.

    What the sweep has used is read only if the plan would propose something or a person waits for it, and the limits of
    the scheduler, which take queries, only if the plan would submit something.
    """
    found = plan(context.spec, observation, capacity, now)
    is_asked = context.interactive or any(isinstance(action, Propose) for action in found.actions)
    if context.spending is not None and observation.spending is None and is_asked:
        observation = replace(observation, spending=context.spending(observation, now))
        found = plan(context.spec, observation, capacity, now)
    if not any(isinstance(action, Submit | SubmitReconciler) for action in found.actions):
        return found
    scheduler = context.scheduler
    limits = replace(
        capacity,
        max_elements=scheduler.max_elements(),
        remaining_submissions=scheduler.remaining_submissions(context.spec.slurm),
    )
    return plan(context.spec, observation, limits, now)


def _submits(plan: Plan) -> bool:
    return any(isinstance(action, Submit) for action in plan.actions)


def _takes_or_leaves_a_place(plan: Plan, applied: Applied) -> bool:
    """Whether runs wait for a place in the queue, and a reconciler job has just taken or left one."""
    return plan.is_queue_full and any(
        isinstance(action, SubmitReconciler) or (isinstance(action, Cancel) and action.reconciler_number is not None)
        for action in applied.done
    )
