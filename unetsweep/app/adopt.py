"""Adopt a sweep: record that it belongs to its present folder and to the cluster of this machine."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.app.executors import executor_of, is_other_cluster
from unetsweep.app.reconcile import alone
from unetsweep.config.load import is_name
from unetsweep.core import paths
from unetsweep.core.causes import Cause
from unetsweep.core.observation import JobState, Observation
from unetsweep.errors import SchedulerError
from unetsweep.reconcile.evidence import ask
from unetsweep.schedulers.packed.slot_table import SlotTableDir, list_packed_tokens
from unetsweep.store import home
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class AdoptionResult:
    """What had changed about a sweep's folder or cluster, and what was done about it."""

    sweep: str
    root: Path
    relocation: home.Relocation | None
    """Whether the folder was copied or moved; None: neither."""
    old_folder: str
    old_cluster: str | None
    """None: the sweep was on this cluster already, or on none."""
    cluster: str | None
    """The cluster here; None: none, or not known."""
    unfinished: int = 0
    """Trainings to continue here."""
    cancelled: tuple[str, ...] = ()
    """Jobs that were cancelled."""
    unreachable: tuple[str, ...] = ()
    """Jobs that may still run elsewhere and cannot be cancelled from here."""

    @property
    def is_needed(self) -> bool:
        """Whether the folder or the cluster had changed, so that there was something to do."""
        return self.relocation is not None or self.old_cluster is not None


def adopt(directory: SweepDir) -> AdoptionResult:
    """Record the sweep's folder and cluster as they are now, and cancel the jobs of a moved sweep. It submits nothing.

    Jobs of a copy's original and jobs on another cluster are left alone. SchedulerError if the jobs of a moved sweep
    are not known; nothing is changed then.
    """
    done: list[AdoptionResult] = []
    alone(directory, lambda: None if done else done.append(_adopt(directory)))  # the lease may call this twice
    return done[0]


def _adopt(directory: SweepDir) -> AdoptionResult:
    """Adopt the sweep and its confirmation. The new folder is recorded last, so a killed call can be repeated."""
    change = _find_change(directory)
    inner = directory.root / paths.CONFIRM
    confirmation = _adopt(SweepDir(inner)) if (inner / paths.SWEEP).is_file() else None
    if not change.is_needed:
        return change
    spec_text = _renamed_spec(directory)  # if the file is unreadable, this fails before anything is changed
    observation = directory.observe()
    done = replace(change, unfinished=len(observation.runs))
    if change.old_cluster is not None:
        last = [attempt for run in observation.runs.values() for attempt in run.attempts[-1:]]
        done = replace(done, unreachable=tuple(sorted({attempt.job_id for attempt in last if attempt.job_id})))
    elif change.relocation == "moved":
        cancelled, unreachable = _cancel_jobs(directory)
        done = replace(done, cancelled=cancelled, unreachable=unreachable)
    _mark_lost(directory, observation, change)
    if confirmation is not None:
        done = replace(
            done,
            unfinished=done.unfinished + confirmation.unfinished,
            cancelled=done.cancelled + confirmation.cancelled,
            unreachable=done.unreachable + confirmation.unreachable,
        )
    if spec_text is not None:
        directory.replace_spec(spec_text)
    home.record_adoption(directory.root, change.cluster)
    return done


def _find_change(directory: SweepDir) -> AdoptionResult:
    """What has changed. If the cluster here is not known, the recorded one stays."""
    recorded = home.read_sweep_file(directory.root)
    here, known = executor_of(directory).current_cluster(), recorded.cluster
    return AdoptionResult(
        directory.name,
        directory.root,
        home.detect_relocation(directory.root),
        recorded.folder,
        known if is_other_cluster(known, here) else None,
        here or known,
    )


def _mark_lost(directory: SweepDir, observation: Observation, change: AdoptionResult) -> None:
    """Mark attempts, reconciler job and packed jobs as lost: they belong to the old folder or cluster."""
    reason = f"the sweep belongs to {directory.root} now" + (f", on {change.cluster}" if change.cluster else "")
    for run in observation.runs.values():
        last = run.last
        if last is not None and last.lost is None and not (last.ending is not None and last.ending.is_final):
            directory.mark_lost(last.run, last.number, reason, cause=Cause.PAUSED.name)
    reconciler_job = observation.last_reconciler_job
    if reconciler_job is not None and not reconciler_job.lost:
        ReconcilerJobs(directory.root).mark_lost(reconciler_job.number, reason)
    for token in list_packed_tokens(directory.root):
        SlotTableDir(directory.root, token).abandon()


def _cancel_jobs(directory: SweepDir) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cancel the jobs of the open trainings and the reconciler job; return the cancelled and the unreachable ones."""
    executor = executor_of(directory)
    jobs = executor.scheduler(directory.root)
    found, scheduler_error = ask(jobs, directory.observe())
    if scheduler_error is not None:
        raise SchedulerError(
            f"the sweep was moved, but its jobs are not known: {scheduler_error}. Nothing was changed; "
            "run this again when the scheduler answers"
        )
    live = [job for job in found.values() if job.state.is_live]
    unrecognised = {job.job_id for job in live if job.state is JobState.UNRECOGNISED}
    unreachable = set() if executor.cancels_unrecognised else unrecognised
    cancelled = sorted({job.job_id for job in live} - unreachable)
    if cancelled:
        jobs.cancel(cancelled)
    return tuple(cancelled), tuple(sorted(unreachable))


def _renamed_spec(directory: SweepDir) -> str | None:
    """The text of sweep.yaml with the folder's name as the sweep's name. None if that is its name already, or if the
    folder's name is not allowed for a sweep."""
    name = directory.root.name
    if directory.spec().name == name or name == paths.CONFIRM or not is_name(name):
        return None
    return re.sub(r"^name: .*$", f"name: {name}", directory.spec_text().decode(), count=1, flags=re.MULTILINE)
