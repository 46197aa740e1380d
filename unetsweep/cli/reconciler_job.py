"""`unetsweep reconciler-job`: what a reconciler job does: a reconciliation, and the next reconciler job. Not for
people."""

from pathlib import Path

import click

PATIENCE_S = 120.0
"""How long it waits for another reconciliation: only its own leaves the next reconciler job."""


@click.command("reconciler-job", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.argument("token")
def command(root: Path, token: str) -> None:
    """Reconcile the sweep in ROOT as the reconciler job TOKEN; SchedulerError where the queue gave no answer."""
    from unetsweep.app.reconcile import reconcile_sweep
    from unetsweep.app.sweeps import context_of
    from unetsweep.errors import SchedulerError
    from unetsweep.store.sweep_dir import SweepDir

    context = context_of(SweepDir(root), reconciler=token)
    reconciliation = reconcile_sweep(
        root, context, lambda action: click.echo(f"reconciler: {action}"), patience_s=PATIENCE_S
    )
    if reconciliation is None:
        raise SchedulerError("another reconciliation is at work and did not let go; the reconciler job comes again")
    if reconciliation.observation.scheduler_error is not None:
        raise SchedulerError(f"{reconciliation.observation.scheduler_error}; the reconciler job comes again")
    if reconciliation.lacks_reconciler:
        raise SchedulerError("the next reconciler job was refused, or is not in the queue yet; this one comes again")
