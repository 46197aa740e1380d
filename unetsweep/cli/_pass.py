"""One reconciliation under the lease, for every command that makes one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.core import layout
from unetsweep.errors import UsageError

if TYPE_CHECKING:
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.core.actions import Action
    from unetsweep.shell.reconcile import Outcome
    from unetsweep.shell.world import World


PATIENCE_S = 60.0
"""How long a person waits for another reconciliation to end."""
REPORT_S = 30.0
"""A report on disk is at most this much older than the last ending, while the sweep goes on."""


def reconcile_sweep(
    root: Path, world: "World", told: "Callable[[Action], None]", *, force: bool = False, patience_s: float = 0.0
) -> "Outcome | None":
    """What came of it; None when another reconciliation is at work (which has been told to look again)."""
    from unetsweep.adapters.lease import Lease
    from unetsweep.adapters.private import nobody_else_writes
    from unetsweep.core.actions import FinishTrial
    from unetsweep.shell.reconcile import reconcile

    outcomes: list[Outcome] = []

    def turn() -> None:
        with nobody_else_writes():
            outcomes.append(reconcile(world, force=force, told=told))

    Lease(root / layout.LEASE).run(turn, patience_s=patience_s)
    if any(isinstance(action, FinishTrial) for outcome in outcomes for action in outcome.done):
        _refresh_report(root, is_over=not outcomes[-1].seen.trials)
    return outcomes[-1] if outcomes else None


def alone(directory: "SweepDir", deed: "Callable[[], None]") -> None:
    """Do this while no reconciliation is at work. UsageError where one does not let go."""
    from unetsweep.adapters.lease import Lease

    if not Lease(directory.root / layout.LEASE).run(deed, patience_s=PATIENCE_S):
        raise UsageError(f"another reconciliation holds the lease of {directory.name}; try again in a minute")


def _refresh_report(root: Path, *, is_over: bool) -> None:
    """Bring `report/` up to date; of many endings in a row only some, and always the last, pay for it."""
    from unetsweep.cli._records import records
    from unetsweep.cli.report import refresh

    written = root / layout.REPORT / "results.md"
    if is_over or not written.exists() or time.time() - written.stat().st_mtime > REPORT_S:
        refresh(records(root), root)
        if root.name == layout.CONFIRM and (root.parent / layout.SPEC).is_file():
            refresh(records(root.parent), root.parent)  # its report tells of these trainings
