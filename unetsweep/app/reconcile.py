"""One reconciliation of a sweep, under its lease."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from unetsweep.analysis.records import read_sweep_record
from unetsweep.analysis.rows import SweepRecord
from unetsweep.app.overview import summarise
from unetsweep.core import paths
from unetsweep.core.actions import Action, FinishTrial
from unetsweep.errors import LeaseError, UnetsweepError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.loop import Reconciliation, reconcile
from unetsweep.store.lease import Lease
from unetsweep.store.permissions import owner_only_writes
from unetsweep.store.sweep_dir import SweepDir

PATIENCE_S = 60.0
"""How long a command that a person started waits for the lease; a reconciliation rarely takes longer."""
SUMMARISED = 2000
"""The summary of a sweep with more trials is left to `unetsweep list`: the job that ends the sweep would hold its GPUs
for longer than some seconds."""
PAGED = 500
"""The page of a sweep with more trials is left to `unetsweep report --format html`, for the same reason."""
REPORT_S = 30.0
"""Least time between two updates of `report/` while trials are open: in a large sweep one takes seconds."""


def reconcile_sweep(
    root: Path,
    context: SweepContext,
    notify: Callable[[Action], None] = lambda _: None,
    *,
    force: bool = False,
    patience_s: float = 0.0,
) -> Reconciliation | None:
    """Reconcile the sweep in `root` and return the last reconciliation.

    None: another process held the lease for `patience_s`. It has been asked to reconcile once more.
    """
    reconciliations: list[Reconciliation] = []

    def reconcile_once() -> None:
        with owner_only_writes():
            reconciliations.append(reconcile(context, force=force, notify=notify))

    Lease(root / paths.LEASE).run(reconcile_once, patience_s=patience_s)
    if any(isinstance(action, FinishTrial) for each in reconciliations for action in each.done):
        _refresh_report(root, is_over=not reconciliations[-1].observation.trials)
    return reconciliations[-1] if reconciliations else None


def alone(directory: SweepDir, work: Callable[[], None]) -> None:
    """Do `work` under the sweep's lease, perhaps more than once. LeaseError if another process keeps it."""
    if not Lease(directory.root / paths.LEASE).run(work, patience_s=PATIENCE_S):
        raise LeaseError(f"another process holds the lease of {directory.name}; try again in a minute")


def _refresh_report(root: Path, *, is_over: bool) -> None:
    """Write `report/` if it is old, missing, or the sweep has ended."""
    from unetsweep.app.report import refresh_report  # slow to import, and not needed while nothing ends

    written = root / paths.REPORT / "results.md"
    if is_over or not written.exists() or abs(time.time() - written.stat().st_mtime) > REPORT_S:
        record = read_sweep_record(root)
        refresh_report(record, root)
        if is_over and len(record.trials) <= SUMMARISED:
            with contextlib.suppress(UnetsweepError, OSError):  # `list` makes it again, or says what is damaged
                summarise(root)
        if is_over:
            _refresh_page(record, root)
        if root.name == paths.CONFIRM and (root.parent / paths.SPEC).is_file():
            outer = read_sweep_record(root.parent)  # its report includes the confirmation runs
            refresh_report(outer, root.parent)
            if is_over:
                _refresh_page(outer, root.parent)


def _refresh_page(record: SweepRecord, root: Path) -> None:
    from unetsweep.app.report import refresh_page  # as above

    if len(record.trials) <= PAGED:
        refresh_page(record, root)
