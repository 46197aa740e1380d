"""Reads the record of a sweep from its files, without querying the scheduler or the study."""

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unetsweep import contract
from unetsweep.analysis.confirmation import collect_repeats
from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.bounded_json import read_json
from unetsweep.contract import Result
from unetsweep.core import paths
from unetsweep.core.metric import Metric
from unetsweep.core.observation import EpochReport, Run
from unetsweep.core.pruning import ENOUGH_EPOCHS, prune_reason, why_nothing_is_pruned, why_nothing_was_pruned
from unetsweep.core.run_sharing import why_not_in_attempt
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import StateError, UnetsweepError
from unetsweep.store import observation
from unetsweep.store.observation import list_names, read_run, refused_result
from unetsweep.store.progress import read_progress
from unetsweep.store.restored_attempts import were_deleted
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import check_config, read_result, read_stored_trial, with_repair_advice

NO_GROUPS = (
    "groups: none: images of one eye may be in training and validation at once, so val_IoU may look better than it is"
)

OBEYS_WITHIN = 2
"""Epochs after a decision to prune within which a trainer ends: the one in progress, and one more until it reads it."""

MAX_RUNS_READ = 10
"""How many runs are read to find out whether their progress has the metric. Nearly all programs report alike."""


def read_sweep_record(sweep_dir: Path, runs: Mapping[int, Run] = {}) -> SweepRecord:
    """Everything that a report shows of a sweep, with the confirmation of its leaders, if there is one.

    `runs`: those that the caller has read already, by their numbers; they are not read a second time.
    """
    record, inner = _read(sweep_dir, runs=runs), sweep_dir / paths.CONFIRM
    if not (inner / paths.SPEC).is_file():
        return record
    try:
        return replace(record, confirmed=collect_repeats(record, _read(inner)))
    except UnetsweepError as error:  # the sweep itself is readable, so it is shown
        why = str(error).splitlines()[0]
        warning = f"the confirmation cannot be read: {why}; run `unetsweep confirm {sweep_dir.name}`"
        return replace(record, warnings=(*record.warnings, warning))


def read_trials(sweep_dir: Path, numbers: Collection[int]) -> SweepRecord:
    """The record of a sweep with these trials only, and without its confirmation."""
    return _read(sweep_dir, numbers)


def _read(sweep_dir: Path, numbers: Collection[int] | None = None, runs: Mapping[int, Run] = {}) -> SweepRecord:
    """A sweep without its confirmation. `numbers`: only these trials; None: all. `runs`: those read already."""
    directory = SweepDir(sweep_dir)
    spec = directory.spec()
    trials = tuple(
        read_trial_record(directory, number, folder, spec.metric, runs)
        for number, folder in observation.trial_folders(sweep_dir)
        if numbers is None or number in numbers
    )
    may_leak = spec.data.split.groups == "none" and spec.trainer.command is None
    leak, val_groups, unreadable = _images(directory)
    warnings = [f"LEAKED: {text}: these scores reward memorisation" for text in leak.values()]
    warnings += [unreadable] if unreadable else [NO_GROUPS] if may_leak and not leak else []
    found = SweepRecord(directory.name, spec, trials, tuple(warnings), leak=leak, val_groups=val_groups)
    problem = pruner_problem(found)
    return found if problem is None else replace(found, warnings=(*found.warnings, problem))


def pruner_problem(sweep: SweepRecord) -> str | None:
    """Why the sweep's pruner cannot prune anything, or had no time to; None: it can, or it is not known."""
    return None if sweep.spec.study.pruner is None else _metric_is_missing(sweep) or _trainings_are_short(sweep)


def _metric_is_missing(sweep: SweepRecord) -> str | None:
    """Why a pruner has nothing to compare, by the progress of the newest trainings. The built-in trainer reports it."""
    if sweep.spec.trainer.command is None:
        return None
    runs = {trial.run_dir: trial.state in ("complete", "diverged") for trial in sweep.trials}
    progress = []
    for run_dir, has_ended in list(runs.items())[-MAX_RUNS_READ:]:
        points = _points(run_dir)
        progress += [points] if points is not None and (has_ended or len(points) >= ENOUGH_EPOCHS) else []
    return why_nothing_is_pruned(sweep.spec.study, sweep.spec.metric, progress)


def _trainings_are_short(sweep: SweepRecord) -> str | None:
    """Why a pruner came too late, by the complete trainings; the newest of those whose results have no time."""
    if any(trial.state == "pruned" for trial in sweep.trials):
        return None
    complete = [trial for trial in sweep.trials if trial.state == "complete" and trial.result is not None]
    runs = {trial.run_dir: trial.result.seconds for trial in complete if trial.result is not None}
    unknown = [run_dir for run_dir, seconds in runs.items() if seconds is None]
    known = [seconds for seconds in runs.values() if seconds is not None]
    read = [_seconds(_points(run_dir) or ()) for run_dir in unknown[-MAX_RUNS_READ:]]
    return why_nothing_was_pruned(sweep.spec.study, sweep.spec.run, [*known, *read])


def _points(run_dir: str) -> Sequence[EpochReport] | None:
    """The finished epochs of a run; None: they cannot be read."""
    with contextlib.suppress(StateError, OSError):
        return read_progress(Path(run_dir), list_names(run_dir)).points
    return None


def _seconds(points: Sequence[EpochReport]) -> float | None:
    """How long the epochs took; None: that is not known."""
    times = [point.seconds for point in points if point.seconds is not None]
    return sum(times) if times and len(times) == len(points) else None


def _images(directory: SweepDir) -> tuple[Mapping[str, str], Mapping[str, str] | None, str | None]:
    """Leaks by part, the group of each validation image, and why both are unknown (None: they are known).

    If they are unknown, every part is shown as leaked.
    """
    try:
        data = directory.data
    except StateError as error:
        unknown = "it is not known whether these images have a copy in training"
        return dict.fromkeys(("val", "test"), unknown), None, with_repair_advice(error, directory.root)
    return (data.leak, data.val_groups, None) if data is not None else ({}, None, None)


def read_trial_record(
    directory: SweepDir, number: int, folder: Path, metric: Metric, runs: Mapping[int, Run] = {}
) -> TrialRecord:
    """One trial of a sweep with this metric. `runs`: those that are read already, by their numbers."""
    trial = read_stored_trial(number, folder)
    run_dir = f"{directory.root}/{paths.run_dir(trial.run)}"
    result, unread = (trial.result, None) if trial.result is not None else _result(trial, folder, run_dir)
    unreadable = trial.unreadable or unread
    state: str
    if unreadable is not None:
        unreadable = with_repair_advice(unreadable, directory.root)
        state, reason, job_id = "waiting", unreadable, None
    elif result is not None:
        refused = refused_result(metric, result, trial.run, trial.epochs) if trial.result is None else None
        state, reason, job_id = result.state, result.message or "", result.job_id
        if refused is not None:
            state, reason = "failed", refused.message
    else:
        run = runs.get(trial.run) or read_run(directory.root, trial.run)
        unreadable = run.unreadable
        state, reason, job_id = open_state(run, trial.epochs, trial.cancelled)
        if not run.attempts and not reason and were_deleted(directory.root, trial.run):
            reason = f"{run_dir}: its attempts were deleted; the next reconciliation restores them"
    return TrialRecord(
        number,
        trial.params or {},
        state,
        job_id,
        result,
        reason,
        run_dir,
        _archive(run_dir),
        trial.training_seed,
        problem=unreadable,
    )


def _result(trial: StoredTrial, folder: Path, run_dir: str) -> tuple[Result | None, str | None]:
    """The result that a trial has now, or that its run published for it; or why the file cannot be read."""
    path = f"{run_dir}/{paths.milestone(trial.epochs)}"
    try:
        result = read_result(folder)
        if result is None:
            result = contract.result_from(read_json(path), path)
        check_config(result, trial.config_id, path)
    except FileNotFoundError:
        return None, None
    except StateError as error:
        return None, str(error)
    return result, None


def open_state(run: Run, epochs: int, cancelled: bool) -> tuple[str, str, str | None]:
    """State, reason and job of a trial without a result."""
    last = run.last
    job_id = (last.claimed_by or last.job_id) if last else None
    if cancelled:
        return "cancelled", "you cancelled it", job_id
    if run.unreadable is not None:
        return "waiting", run.unreadable, None
    if last is None or last.lost is not None:
        return "waiting", (last.lost or "") if last else "", job_id
    if run.has_published_all:  # the trial joined a finished run: otherwise its milestone would have a result
        return "waiting", f"its run continues from epoch {last.milestones[-1]}", None
    if (later := why_not_in_attempt(run, last, epochs)) is not None:
        return "waiting", later, None
    if last.ending is not None and last.ending.is_final:
        return "failed", last.ending.message, job_id
    return ("running" if last.claimed_by else "submitted"), _pending_prune(run, epochs), job_id


def _pending_prune(run: Run, epochs: int) -> str:
    """Why the trial is about to be pruned, or that its trainer continues; empty if it is not pruned."""
    why, prune = prune_reason(run, epochs), run.prune_decision
    if why is None or prune is None:
        return ""
    if run.epochs_done > prune.epoch + OBEYS_WITHIN:
        return f"was to be pruned at epoch {prune.epoch}, but its trainer continues (epoch {run.epochs_done}): {why}"
    return f"to be pruned: {why}"


def _archive(run_dir: str) -> str | None:
    """Path of the run's Comet archive; the last by name if there are several."""
    try:
        found = sorted(name for name in os.listdir(f"{run_dir}/comet") if name.endswith(".zip"))
    except OSError:
        return None
    return f"{run_dir}/comet/{found[-1]}" if found else None
