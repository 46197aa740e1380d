"""`unetsweep periodic`: a reconciliation beside a training, when the last one is old. Not for people."""

import random
import time
from pathlib import Path

import click


@click.command("periodic", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.option("--now", is_flag=True)
def command(root: Path, now: bool) -> None:
    """Reconcile the sweep in ROOT. Without --now, only if the last reconciliation began at least
    `run.reconcile_interval` seconds ago by the file server's clock."""
    from unetsweep.app.reconcile import reconcile_sweep
    from unetsweep.app.sweeps import context_of
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(root)
    context = context_of(directory)
    if not now:
        time.sleep(random.uniform(0, 1))  # noqa: S311  # all jobs of an array see the same age at once
    age = directory.looked_ago()
    if now or age is None or age >= context.spec.run.reconcile_interval:
        reconcile_sweep(root, context, lambda action: click.echo(f"periodic: {action}"))
