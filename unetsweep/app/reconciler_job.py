"""The work of a reconciler job: reconcile the sweep, which also submits the next reconciler job."""

from collections.abc import Callable
from pathlib import Path

from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.core.actions import Action
from unetsweep.errors import SchedulerError
from unetsweep.reconcile.loop import Reconciliation
from unetsweep.store.sweep_dir import SweepDir

PATIENCE_S = 120.0
"""How long it waits for another reconciliation: longer than other callers do, because no other job takes its place."""


def run_reconciler_job(root: Path, token: str, on_action: Callable[[Action], None]) -> Reconciliation:
    """Reconcile the sweep in `root` as the reconciler job `token`.

    Raises SchedulerError if the next reconciler job may be missing; the job's script then tries again.
    """
    context = context_of(SweepDir(root), own_reconciler_token=token)
    reconciliation = reconcile_sweep(root, context, on_action, patience_s=PATIENCE_S)
    if reconciliation is None:
        raise SchedulerError("another reconciliation holds the lease; this reconciler job will try again")
    if reconciliation.observation.scheduler_error is not None:
        raise SchedulerError(f"{reconciliation.observation.scheduler_error}; this reconciler job will try again")
    if reconciliation.lacks_reconciler:
        raise SchedulerError("the next reconciler job was refused or is not queued yet; this one will try again")
    return reconciliation
