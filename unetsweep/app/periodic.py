"""The periodic reconciliation: while its training runs, each job of a sweep reconciles if that is due."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.core.actions import Action
from unetsweep.reconcile.loop import Reconciliation
from unetsweep.store.sweep_dir import SweepDir


def reconcile_if_due(root: Path, on_action: Callable[[Action], None], *, now: bool = False) -> Reconciliation | None:
    """Reconcile the sweep in `root` if the last reconciliation began `run.reconcile_interval` seconds ago, or `now`.

    None: it was not due, or another reconciliation is running. Ages are measured with the file server's clock.
    """
    directory = SweepDir(root)
    context = context_of(directory)
    if not now:
        time.sleep(random.uniform(0, 1))  # noqa: S311  # otherwise all jobs of an array would find it due at once
    age = directory.seconds_since_reconciliation()
    if now or age is None or age >= context.spec.run.reconcile_interval:
        found = reconcile_sweep(root, context, on_action)
        if found is not None and found.refusal is not None:
            raise found.refusal
        return found
    return None
