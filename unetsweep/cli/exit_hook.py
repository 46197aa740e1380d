"""`unetsweep exit-hook`: what each job does when its training is over. Not for people."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from unetsweep.store.sweep_dir import SweepDir


@click.command("exit-hook", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.argument("token")
@click.option("--index", type=int, default=0)
@click.option("--task", type=int)
@click.option("--restart", type=int, default=0)
@click.option("--status", type=int, default=0)
@click.option("--no-reconcile", is_flag=True)
def command(
    root: Path, token: str, index: int, task: int | None, restart: int, status: int, no_reconcile: bool
) -> None:
    """Write down how the processes of (TOKEN, --index) ended, then reconcile the sweep. A packed job says its
    --task instead, and has written that down itself.

    A training that stopped in good order and wants to go on gets its job requeued instead: its place
    stays taken, so there is nothing to pass on.
    """
    from unetsweep.app.reconcile import reconcile_sweep
    from unetsweep.app.sweeps import context_of
    from unetsweep.schedulers.packed.slot_table import more
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(root)
    directory.check_private()
    if task is None:
        goes_on = _ended(directory, token, index, restart, status)
    else:
        goes_on = more(root, token, task, restart).exists()
    if goes_on and _is_requeued(directory):
        return
    if not no_reconcile:
        reconcile_sweep(root, context_of(directory), lambda action: click.echo(f"reconciled: {action}"))


def _ended(directory: "SweepDir", token: str, index: int, restart: int, status: int) -> bool:
    """Write down how an element ended; whether it wants to go on."""
    from unetsweep.app.log_files import log_of

    run, attempt = directory.intent(token)["elements"][index]
    if not directory.is_owner(token, index):
        return False
    directory.record_exit(run, attempt, restart, status, log_of(directory, run, attempt))
    return directory.wants_more(run, attempt, restart)


def _is_requeued(directory: "SweepDir") -> bool:
    """Whether SLURM starts this job again; where it may not, a reconciliation sends the run out anew."""
    import os

    from unetsweep.errors import SchedulerError
    from unetsweep.schedulers.slurm.commands import requeue

    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job_id = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}" if array else os.environ.get("SLURM_JOB_ID")
    if job_id is None:  # a local training has no time limit
        return False
    try:
        requeue(job_id)
    except SchedulerError as error:
        directory.note(action="requeue", job_id=job_id, trouble=str(error))
        click.echo(f"job {job_id} is not requeued: {error}")
        return False
    click.echo(f"job {job_id} is requeued: its training goes on from here")
    return True
