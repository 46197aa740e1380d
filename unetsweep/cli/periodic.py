"""`unetsweep periodic`: the periodic reconciliation of a job. Called by jobs only."""

from pathlib import Path

import click

from unetsweep.app.periodic import reconcile_if_due
from unetsweep.cli.echo import echo
from unetsweep.core.describe import describe


@click.command("periodic", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.option("--now", is_flag=True, help="Reconcile in any case.")
def command(root: Path, now: bool) -> None:
    """Reconcile the sweep in ROOT if the last reconciliation began at least `run.reconcile_interval` seconds ago."""
    reconcile_if_due(root, lambda action: echo(f"periodic: {describe(action)}"), now=now)
