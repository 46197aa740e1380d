"""`cancel`: end the jobs of trials."""

import contextlib
import errno
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.app.addresses import check_trial
from unetsweep.app.events import CheckpointsAwaited, Notify
from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.core import paths
from unetsweep.core.cancellation import CHECKPOINT_WAIT, SAVES_CHECKPOINT
from unetsweep.core.observation import Observation
from unetsweep.core.ports import Scheduler
from unetsweep.core.run_sharing import CONTINUES_FOR_OTHERS
from unetsweep.errors import NO_ROOM, SchedulerError, StateError, UnetsweepError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.evidence import observe
from unetsweep.reconcile.loop import Reconciliation
from unetsweep.store.observation import list_names
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import read_result
from unetsweep.texts import counted

PATIENCE_S = 15.0
"""How long `cancel` waits for cancelled jobs to end. Some clusters give them 30 s (KillWait): too long to wait at a
terminal."""
POLL_S = 1.0
"""Pause between two reconciliations: each asks the scheduler once."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What `cancel` has done."""

    trials: tuple[int, ...]
    """Trials that were open and are cancelled now."""
    shared: tuple[int, ...]
    """Those of them whose run continues for other trials."""
    unfinished: tuple[int, ...]
    """Those of them whose jobs have not ended yet."""
    unreadable: Mapping[int, str]
    """Those of them whose jobs may run on, because a file of the run is unreadable, and which one."""
    finished: tuple[int, ...] = ()
    """Trials that had results which were not recorded yet, and keep them."""


def cancel(directory: SweepDir, trials: Sequence[int], notify: Notify = lambda _: None) -> Cancelled:
    """Cancel these trials, or all open ones if none is named, and reconcile until their jobs have ended.

    A training that soon finishes an epoch saves a checkpoint first (`core.cancellation`); `notify` receives that once.
    UsageError if the sweep has no such trial. A trial that has a result keeps it. If the disk of the sweep is full or
    read-only, or the trials cannot be read and none is named, the jobs are cancelled all the same, and the
    UnetsweepError says that this could not be recorded.
    """
    context = context_of(directory)
    try:
        for trial in trials:
            check_trial(directory.root, trial)
        return _cancel_and_record(directory, context, trials, notify)
    except StateError as error:
        if trials:
            raise
        jobs = counted(_cancel_every_job(directory.root, context.scheduler), "job")
        raise StateError(f"{error}\ncancelled {jobs} of the sweep, but none of its trials") from error
    except OSError as error:
        if error.errno not in (*NO_ROOM, errno.EROFS):
            raise
        jobs = counted(_cancel_unrecorded(context, trials), "job")
        raise UnetsweepError(
            f"{error.filename}: {error.strerror}. Cancelled {jobs}, but that cannot be recorded, so their trials "
            "may be submitted again: "
            f"{'free some space' if error.errno in NO_ROOM else 'make it writable'} there, and run this again"
        ) from error


def _cancel_every_job(root: Path, scheduler: Scheduler) -> int:
    """Cancel every job that was submitted for the sweep, whatever it is for, and return how many these are."""
    tokens = [*list_names(root / paths.SUBMISSIONS), *ReconcilerJobs(root).tokens()]
    job_ids = [job.job_id for job in scheduler.jobs(tokens) if job.state.is_live]
    scheduler.cancel(job_ids)
    return len(job_ids)


def _cancel_unrecorded(context: SweepContext, trials: Sequence[int]) -> int:
    """Cancel the jobs of which no other trial needs anything, and return how many these are. Nothing is written."""
    observation = observe(context)
    if observation.scheduler_error is not None:
        raise SchedulerError(f"no job was cancelled: the queue does not answer: {observation.scheduler_error}")
    kept = {trial.run for trial in observation.trials if trials and trial.number not in trials}
    jobs = [run.last.job for number, run in observation.runs.items() if number not in kept and run.last is not None]
    reconciler = observation.last_reconciler_job
    if not trials and reconciler is not None:
        jobs.append(reconciler.job)
    job_ids = [job.job_id for job in jobs if job is not None and job.state.is_live]
    with contextlib.suppress(OSError):  # a packed training is cancelled by a file, but its job by SLURM
        context.scheduler.cancel(job_ids)
    return len(job_ids)


def _cancel_and_record(directory: SweepDir, context: SweepContext, trials: Sequence[int], notify: Notify) -> Cancelled:
    """Record the request, and reconcile until the jobs have ended."""
    if not trials:
        directory.cancel_sweep()
    cancelled: set[int] = set()
    is_notified = False
    until = time.monotonic() + PATIENCE_S
    latest = until + CHECKPOINT_WAIT.total_seconds()
    while True:
        still_open = _open(directory, trials)
        # a reconciliation that was already running may have proposed more trials after the sweep was cancelled
        for trial in still_open - cancelled:
            directory.cancel_trial(trial)
        cancelled |= still_open
        reconciliation = reconcile_sweep(directory.root, context, patience_s=PATIENCE_S)
        shared = _waiting(reconciliation, CONTINUES_FOR_OTHERS)
        still_open = _open(directory, trials)
        if still_open <= shared or time.monotonic() > until:
            break
        if saving := _waiting(reconciliation, SAVES_CHECKPOINT):
            until = min(latest, time.monotonic() + PATIENCE_S)  # their jobs are not cancelled yet
            if not is_notified:
                notify(CheckpointsAwaited(_sorted(saving), CHECKPOINT_WAIT.total_seconds()))
            is_notified = True
        time.sleep(POLL_S)
    unreadable = _unreadable(reconciliation, still_open)
    unfinished = _sorted(still_open - shared - unreadable.keys())
    finished = {trial for trial in cancelled - still_open if _has_result(directory, trial)}
    shared_trials = _sorted(still_open & shared)
    return Cancelled(_sorted(cancelled - finished), shared_trials, unfinished, unreadable, _sorted(finished))


def _has_result(directory: SweepDir, trial: int) -> bool:
    """Whether a trial has ended with a result that is not the cancellation."""
    with contextlib.suppress(StateError):
        result = read_result(directory.root / paths.trial_dir(trial))
        return result is not None and result.state != "cancelled"
    return False


def _open(directory: SweepDir, trials: Sequence[int]) -> set[int]:
    """Those of `trials` that have not ended; of all trials if `trials` is empty."""
    return {trial.number for trial in directory.observe().trials if not trials or trial.number in trials}


def _waiting(reconciliation: Reconciliation | None, reason: str) -> set[int]:
    """The trials that wait for this reason."""
    waits = reconciliation.plan.waits if reconciliation is not None else ()
    return {wait.trial for wait in waits if wait.reason == reason}


def _unreadable(reconciliation: Reconciliation | None, trials: set[int]) -> dict[int, str]:
    """Those of these trials whose jobs are not known, and which file of their run is unreadable."""
    observation = reconciliation.observation if reconciliation is not None else Observation()
    runs = {each.number: observation.runs[each.run] for each in observation.trials if each.number in trials}
    return {number: run.unreadable for number, run in runs.items() if run.unreadable and not run.attempts}


def _sorted(numbers: set[int]) -> tuple[int, ...]:
    return tuple(sorted(numbers))
