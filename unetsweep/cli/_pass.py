"""One pass under the lease, for every command that makes one."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.core import layout

if TYPE_CHECKING:
    from unetsweep.core.actions import Action
    from unetsweep.shell.reconcile import Outcome
    from unetsweep.shell.world import World


def make_pass(
    root: Path, world: "World", told: "Callable[[Action], None]", *, force: bool = False, patience_s: float = 0.0
) -> "Outcome | None":
    """What came of it; None when another pass is at work (which has been told to look again)."""
    from unetsweep.adapters.lease import Lease
    from unetsweep.shell.reconcile import reconcile

    outcomes: list[Outcome] = []
    Lease(root / layout.LEASE).run(
        lambda: outcomes.append(reconcile(world, force=force, told=told)), patience_s=patience_s
    )
    return outcomes[-1] if outcomes else None
