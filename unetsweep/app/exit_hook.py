"""The exit hook of a job: record how its training ended, then requeue the job or reconcile the sweep."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unetsweep.app.log_files import log_of
from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.core.actions import Action
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.packed.slot_table import requeue_marker
from unetsweep.schedulers.slurm.commands import requeue
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class JobEnd:
    """Which start of a job ended, and how."""

    token: str
    """Token of its submission."""
    index: int
    """Index of its element in the submission; meaningless for a packed job."""
    task: int | None
    """Array index of a packed job, which has recorded the end of its trainings itself; None: not a packed job."""
    restart: int
    status: int
    """Exit status of the training's processes."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """An attempt to have SLURM start a job again."""

    job_id: str
    error: str | None
    """Why SLURM refused; None: the job is requeued."""


def run_exit_hook(
    root: Path,
    end: JobEnd,
    *,
    reconcile: bool,
    on_requeue: Callable[[Requeue], None],
    on_action: Callable[[Action], None],
) -> None:
    """Record the end of a job's start, then requeue the job if its training wants to continue.

    If it is not requeued, reconcile the sweep in `root` (unless `reconcile` is False): a requeued job keeps its slot,
    but the slot of any other job is free now.
    """
    directory = SweepDir(root)
    directory.check_private()
    if end.task is None:
        wants_more = _record_exit(directory, end)
    else:
        wants_more = requeue_marker(root, end.token, end.task, end.restart).exists()
    if wants_more and _requeue(directory, on_requeue):
        return
    if reconcile:
        reconcile_sweep(root, context_of(directory), on_action)


def _record_exit(directory: SweepDir, end: JobEnd) -> bool:
    """Record the exit status of an element; return whether its training wants to continue."""
    run, attempt = directory.read_submission(end.token).elements[end.index]
    if not directory.is_owner(end.token, end.index):
        return False
    directory.record_exit(run, attempt, end.restart, end.status, log_of(directory, run, attempt))
    return directory.has_requeue_request(run, attempt, end.restart)


def _requeue(directory: SweepDir, on_requeue: Callable[[Requeue], None]) -> bool:
    """Requeue the SLURM job that this process runs in. False if SLURM refuses: a reconciliation resubmits the run."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job_id = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}" if array else os.environ.get("SLURM_JOB_ID")
    if job_id is None:  # a local training, which has no time limit
        return False
    try:
        requeue(job_id)
    except SchedulerError as error:
        directory.note(action="requeue", job_id=job_id, trouble=str(error))
        on_requeue(Requeue(job_id, str(error)))
        return False
    on_requeue(Requeue(job_id, None))
    return True
