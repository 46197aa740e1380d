"""Start or resume a sweep: the reconciliation that a person starts, for `submit`, `retry` and `confirm`."""

import time
from dataclasses import dataclass, replace

from unetsweep.app.events import (
    ActionApplied,
    LeaseHeld,
    Notify,
    ReconciliationStarted,
    SubmissionsUnconfirmed,
    WarningEvent,
)
from unetsweep.app.reconcile import PATIENCE_S, reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.core.attempt_state import UNCONFIRMED
from unetsweep.core.capacity import QUEUE_FULL
from unetsweep.core.describe import describe_problem
from unetsweep.core.observation import Observation
from unetsweep.core.plan import NO_NEXT_TRY, plan
from unetsweep.core.reconciler_job import ONLY_PLACE, NextReconciliation, ReconciledBy
from unetsweep.errors import NO_ROOM, RefusedError, UsageError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.evidence import observe
from unetsweep.reconcile.loop import Reconciliation
from unetsweep.store.code_snapshot import pin, unpin
from unetsweep.store.permissions import owner_only_writes
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class SweepState:
    """A sweep after a reconciliation."""

    ended: int
    open: int
    job_ids: tuple[str, ...]
    """Jobs of the open trials, in the order of their numbers."""
    held: int
    """Open trials that wait because the cluster accepts no more jobs now."""
    why_not_queued: str | None
    """See `Reconciliation.why_not_queued`."""
    open_epochs: tuple[tuple[int, int], ...] = ()
    """Of each open trial its run, and its epochs."""
    limit: str | None = None
    """Why no more trials are proposed, although the sweep asks for more; None: its limit does not prevent it."""


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """What `start_or_resume` has done."""

    directory: SweepDir
    state: SweepState | None
    """None: another reconciliation holds the lease and takes care of this sweep."""


def start_or_resume(directory: SweepDir, notify: Notify, *, force: bool = False) -> SubmitResult:
    """Reconcile for a person: copy the package for new jobs, and submit again at once what was refused before.

    `force`: apply a plan even if it is unsafe.
    """
    _copy_package(directory, notify)
    context = context_of(directory, interactive=True)
    notify(ReconciliationStarted(directory.name, directory.executor, directory.root))
    while True:
        try:
            reconciliation = reconcile_sweep(
                directory.root,
                context,
                lambda action: notify(ActionApplied(action)),
                force=force,
                patience_s=PATIENCE_S,
            )
        except RefusedError as error:
            following = _next_reconciliation(context, observe(context))
            if following.by is ReconciledBy.NOBODY:
                raise type(error)(f"{error}; {NO_NEXT_TRY}") from error
            raise
        if reconciliation is None:
            notify(LeaseHeld())
            return SubmitResult(directory, None)
        unconfirmed = sum(wait.reason == UNCONFIRMED for wait in reconciliation.plan.waits)
        if not unconfirmed:
            last = ReconcilerJobs(directory.root).last()  # it may have been refused after the observation
            observed, following = reconciliation.observation, reconciliation.plan.next_reconciliation
            known = observed.last_reconciler_job
            if last != (known and replace(known, job=None)):
                following = _next_reconciliation(context, replace(observed, last_reconciler_job=last))
            if reconciliation.plan.next_reconciliation == ONLY_PLACE:  # only a plan within the limits knows that
                following = ONLY_PLACE
            if (following.problem is not None or following == ONLY_PLACE) and (
                message := describe_problem(following)
            ) is not None:
                notify(WarningEvent(message))
            return SubmitResult(directory, _state(reconciliation))
        notify(SubmissionsUnconfirmed(unconfirmed))
        time.sleep(context.timeouts.settle.total_seconds())


def _next_reconciliation(context: SweepContext, observation: Observation) -> NextReconciliation:
    return plan(context.spec, observation, context.capacity(), context.clock.now()).next_reconciliation


def _copy_package(directory: SweepDir, notify: Notify) -> None:
    """Copy the package for the jobs that are submitted from now on; if that fails they run the installed one."""
    try:
        with owner_only_writes():
            pin(directory.root)
    except (OSError, UsageError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise  # no other file could be written either
        unpin(directory.root)
        notify(WarningEvent(f"the package cannot be copied, so jobs run the installed one: {error}"))


def _state(reconciliation: Reconciliation) -> SweepState:
    job_ids = {wait.job_id for wait in reconciliation.plan.waits if wait.job_id}
    observation, plan = reconciliation.observation, reconciliation.plan
    return SweepState(
        observation.ended,
        len(observation.trials),
        tuple(sorted(job_ids, key=_numbers)),
        sum(wait.reason == QUEUE_FULL for wait in plan.waits),
        reconciliation.why_not_queued,
        tuple((trial.run, trial.epochs) for trial in observation.trials),
        plan.limit,
    )


def _numbers(job_id: str) -> list[int]:
    """The numbers in a job id, so that `9_10` sorts after `9_2`."""
    return [int(part) for part in job_id.replace(".", "_").split("_") if part.isdecimal()]
