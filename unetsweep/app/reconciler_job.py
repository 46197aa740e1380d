"""The work of a reconciler job: reconcile the sweep, which also submits the next reconciler job."""

import time
from collections.abc import Callable
from pathlib import Path

from unetsweep.app.executors import executor_of
from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.core.actions import Action
from unetsweep.errors import SchedulerError
from unetsweep.reconcile.loop import Reconciliation
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir

PATIENCE_S = 120.0
"""How long it waits for another reconciliation: longer than other callers do, because no other job takes its place."""
REQUEUE_TRIES = 3
"""How often it requeues itself, if that is refused."""
REQUEUE_PAUSE_S = 10.0


def run_reconciler_job(root: Path, token: str, on_action: Callable[[Action], None]) -> Reconciliation:
    """Reconcile the sweep in `root` as the reconciler job `token`.

    If the next reconciler job is refused, this one is requeued in its place, so that it holds no CPU while it waits.
    Raises SchedulerError if the next reconciler job may be missing for another reason, or the requeue was refused. The
    job's script then tries again.
    """
    directory = SweepDir(root)
    context = context_of(directory, own_reconciler_token=token)
    reconciliation = reconcile_sweep(root, context, on_action, patience_s=PATIENCE_S)
    if reconciliation is None:
        raise SchedulerError("another reconciliation holds the lease; this reconciler job will try again")
    if reconciliation.observation.scheduler_error is not None:
        raise SchedulerError(f"{reconciliation.observation.scheduler_error}; this reconciler job will try again")
    if not reconciliation.lacks_reconciler:
        return reconciliation
    last = ReconcilerJobs(root).last()
    if last is None or last.refusal is None:
        raise SchedulerError("the next reconciler job is not queued yet; this one will try again")
    _continue_later(directory, last.refusal)
    return reconciliation


def _continue_later(directory: SweepDir, refusal: str) -> None:
    """Requeue the job that this process runs in. If that is refused again and again, the job ends: it could submit
    nothing, and would hold a CPU for that."""
    executor = executor_of(directory)
    job_id = executor.own_job()
    if job_id is None:
        raise SchedulerError(f"the next reconciler job was refused: {refusal}; this one will try again")
    for _ in range(REQUEUE_TRIES):
        try:
            executor.requeue(job_id)
            return
        except SchedulerError as error:
            directory.note(
                action="requeue", job_id=job_id, trouble=f"the next one was refused, and so is this: {error}"
            )
        time.sleep(REQUEUE_PAUSE_S)
