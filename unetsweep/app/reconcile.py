"""One reconciliation under the lease, for every command that makes one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.core import paths
from unetsweep.errors import UsageError

if TYPE_CHECKING:
    from unetsweep.core.actions import Action
    from unetsweep.reconcile.context import SweepContext
    from unetsweep.reconcile.loop import Reconciliation
    from unetsweep.store.sweep_dir import SweepDir


PATIENCE_S = 60.0
"""How long a person waits for another reconciliation to end."""
REPORT_S = 30.0
"""A report on disk is at most this much older than the last ending, while the sweep goes on."""


def reconcile_sweep(
    root: Path,
    context: "SweepContext",
    notify: "Callable[[Action], None]",
    *,
    force: bool = False,
    patience_s: float = 0.0,
) -> "Reconciliation | None":
    """What came of it; None when another reconciliation is at work (which has been told to look again)."""
    from unetsweep.core.actions import FinishTrial
    from unetsweep.reconcile.loop import reconcile
    from unetsweep.store.lease import Lease
    from unetsweep.store.permissions import nobody_else_writes

    reconciliations: list[Reconciliation] = []

    def turn() -> None:
        with nobody_else_writes():
            reconciliations.append(reconcile(context, force=force, notify=notify))

    Lease(root / paths.LEASE).run(turn, patience_s=patience_s)
    if any(isinstance(action, FinishTrial) for reconciliation in reconciliations for action in reconciliation.done):
        _refresh_report(root, is_over=not reconciliations[-1].observation.trials)
    return reconciliations[-1] if reconciliations else None


def alone(directory: "SweepDir", deed: "Callable[[], None]") -> None:
    """Do this while no reconciliation is at work. UsageError where one does not let go."""
    from unetsweep.store.lease import Lease

    if not Lease(directory.root / paths.LEASE).run(deed, patience_s=PATIENCE_S):
        raise UsageError(f"another reconciliation holds the lease of {directory.name}; try again in a minute")


def _refresh_report(root: Path, *, is_over: bool) -> None:
    """Bring `report/` up to date; of many endings in a row only some, and always the last, pay for it."""
    from unetsweep.analysis.records import records
    from unetsweep.app.report import refresh_report

    written = root / paths.REPORT / "results.md"
    if is_over or not written.exists() or time.time() - written.stat().st_mtime > REPORT_S:
        refresh_report(records(root), root)
        if root.name == paths.CONFIRM and (root.parent / paths.SPEC).is_file():
            refresh_report(records(root.parent), root.parent)  # its report tells of these trainings
