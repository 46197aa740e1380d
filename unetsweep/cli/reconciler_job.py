"""`unetsweep reconciler-job`: what a reconciler job runs. Called by jobs only."""

from pathlib import Path

import click

from unetsweep.app.reconciler_job import run_reconciler_job
from unetsweep.cli.echo import echo
from unetsweep.core.describe import describe


@click.command("reconciler-job", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.argument("token")
def command(root: Path, token: str) -> None:
    """Reconcile the sweep in ROOT as the reconciler job TOKEN, and submit the next reconciler job."""
    run_reconciler_job(root, token, lambda action: echo(f"reconciler: {describe(action)}"))
