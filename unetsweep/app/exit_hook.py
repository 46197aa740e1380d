"""The exit hook of a job: record how its training ended, then requeue the job or reconcile the sweep."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unetsweep.app.executors import executor_of
from unetsweep.app.log_files import log_of
from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.core import paths
from unetsweep.core.actions import Action
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.packed.slot_table import SlotTableDir, requeue_marker
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
    is_alive: bool = False
    """Whether one of them may still run: the job ends before it does."""
    setup_from: int | None = None
    """The training never began, and what the lines before it printed starts at this byte of the log; None: it began."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """A request to the scheduler to start a job again."""

    job_id: str
    error: str | None
    """Why it was refused; None: the job is requeued."""


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
        _record_failed_setup(directory, end, end.task)
        wants_more = requeue_marker(root, end.token, end.task, end.restart).exists()
    if wants_more and _requeue(directory, on_requeue):
        return
    if reconcile:
        found = reconcile_sweep(root, context_of(directory, job_ends=True), on_action)
        if found is not None and found.refusal is not None:
            raise found.refusal


def _record_exit(directory: SweepDir, end: JobEnd) -> bool:
    """Record the exit status of an element; return whether its training wants to continue."""
    run, attempt = directory.attempt_of(end.token, end.index)
    if not directory.is_owner(end.token, end.index):
        return False
    if not end.is_alive:
        log = log_of(directory, run, attempt)
        directory.record_exit(run, attempt, end.restart, end.status, log, end.setup_from)
    return directory.has_requeue_request(run, attempt, end.restart)


def _record_failed_setup(directory: SweepDir, end: JobEnd, task: int) -> None:
    """Record for the trainings of a packed job that the job ended before any of them began.

    Only if no other job of its array could train them.
    """
    slots = SlotTableDir(directory.root, end.token)
    table = slots.read()
    job_id = executor_of(directory).own_job()
    if end.setup_from is None or job_id is None or len(table.numbers) > table.pack:
        return
    log = directory.root / paths.job_log(end.token, job_id)
    for number in table.waiting:
        token, index = table.element(number)
        run, attempt = directory.read_submission(token).elements[index]
        if slots.take(number, task, end.restart) and directory.is_owner(token, index):
            directory.record_exit(run, attempt, 0, end.status, log, end.setup_from)


def _requeue(directory: SweepDir, on_requeue: Callable[[Requeue], None]) -> bool:
    """Requeue the job that this process runs in. False if that is refused: a reconciliation resubmits the run."""
    executor = executor_of(directory)
    job_id = executor.own_job()
    if job_id is None:  # a local training, which has no time limit
        return False
    try:
        executor.requeue(job_id)
    except SchedulerError as error:
        directory.note(action="requeue", job_id=job_id, trouble=str(error))
        on_requeue(Requeue(job_id, str(error)))
        return False
    on_requeue(Requeue(job_id, None))
    return True
