"""`unetsweep exit-hook`: what each job runs when its training is over. Called by jobs only."""

from pathlib import Path

import click

from unetsweep.app.exit_hook import JobEnd, Requeue, run_exit_hook
from unetsweep.cli.echo import echo
from unetsweep.core.describe import describe


@click.command("exit-hook", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.argument("token")
@click.option("--index", type=int, default=0)
@click.option("--task", type=int)
@click.option("--restart", type=int, default=0)
@click.option("--status", type=int, default=0)
@click.option("--alive", is_flag=True)
@click.option("--setup-from", type=int)
@click.option("--no-reconcile", is_flag=True)
def command(
    root: Path,
    token: str,
    index: int,
    task: int | None,
    restart: int,
    status: int,
    alive: bool,
    setup_from: int | None,
    no_reconcile: bool,
) -> None:
    """Record how the processes of element --index of submission TOKEN ended, then reconcile the sweep in ROOT.

    With --alive one of them may still run, so no end is recorded. --setup-from: the training never began, and its setup
    began to print at this byte of the job's log. A packed job passes --task instead, and has recorded the end of its
    trainings itself. A job with a training that stopped at a checkpoint and wants to continue is requeued instead.
    """
    run_exit_hook(
        root,
        JobEnd(token, index, task, restart, status, is_alive=alive, setup_from=setup_from),
        reconcile=not no_reconcile,
        on_requeue=_print_requeue,
        on_action=lambda action: echo(f"reconciled: {describe(action)}"),
    )


def _print_requeue(requeue: Requeue) -> None:
    if requeue.error is None:
        echo(f"job {requeue.job_id} is requeued; its training continues from the last checkpoint")
    else:
        echo(f"job {requeue.job_id} was not requeued: {requeue.error}")
