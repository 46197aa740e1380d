"""One reconciliation: observe the files and the scheduler, plan, guard and apply. Then read the files again and repeat,
until nothing is left to do now.

It may be killed at any point, and any process may repeat it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from unetsweep.core.actions import Action, Submit, SubmitReconciler
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan, plan
from unetsweep.core.reconciler_job import is_unconfirmed
from unetsweep.errors import RefusedError
from unetsweep.reconcile.apply import apply, export_journal
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
    unconfirmed: bool = False
    """The newest reconciler job is only an intent: the process that wrote it may have died before it submitted."""

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
        found.plan = plan(context.spec, found.observation, capacity, queried_at)
        if capacity.remaining_submissions is None and _submits(found.plan):
            # the scheduler's limits take queries, so they are asked for only if something is to be submitted
            scheduler = context.scheduler
            limits = replace(
                capacity, max_elements=scheduler.max_elements(), remaining_submissions=scheduler.remaining_submissions()
            )
            found.plan = plan(context.spec, found.observation, limits, queried_at)
        if not force:
            found.plan.raise_if_unsafe()
        found.plan = with_prunes(found.plan, context, found.observation)
        try:
            has_more = apply(found.plan.actions, context, found.done, notify)
        except RefusedError as error:
            context.directory.note(action="Submit", trouble=str(error))
            if context.interactive:  # the user is told, and corrects the request
                raise
            found.refusal, has_more = error, False
        if not has_more:
            if not _submits(found.plan):
                break
            # nothing more can be submitted now: it was refused, or another reconciliation was first. Repeat once more,
            # since running jobs may still need a reconciler job
            capacity = replace(capacity, remaining_submissions=0)
        files = context.directory.observe()
    is_wanted = context.interactive or not found.observation.trials  # otherwise a large journal may be behind
    if is_wanted and context.study.is_stale():
        export_journal(context)
    found.unconfirmed = is_unconfirmed(found.observation.last_reconciler_job, capacity, queried_at)
    return found


def _submits(plan: Plan) -> bool:
    return any(isinstance(action, Submit) for action in plan.actions)
