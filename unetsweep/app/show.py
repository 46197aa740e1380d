"""`show`: everything about one trial. The scheduler is asked only if the trial is open, as `status` does."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unetsweep.analysis.records import read_trials
from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.app.log_files import log_of
from unetsweep.app.sweeps import check_access, context_of
from unetsweep.app.trial_commands import fitting_commands
from unetsweep.app.trial_states import plan_now, trial_statuses
from unetsweep.core import paths
from unetsweep.core.attempt_summary import AttemptSummary, summarise_attempt
from unetsweep.core.cost import RunTimeline, Start
from unetsweep.core.observation import Attempt, Run
from unetsweep.core.run_sharing import why_not_shared
from unetsweep.core.space import Choices
from unetsweep.core.spec import SweepSpec
from unetsweep.core.sweep_state import OPEN
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import StateError, UnetsweepError
from unetsweep.reconcile.evidence import observe
from unetsweep.report.columns import checkpoint
from unetsweep.report.trial_texts import known_scores
from unetsweep.report.view import known_columns
from unetsweep.store.home import relocation_warning
from unetsweep.store.observation import read_run, trial_folders
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.timelines import read_timeline
from unetsweep.store.trials import read_stored_trial, read_trial
from unetsweep.trial_config import ParameterValue


@dataclass(frozen=True, slots=True)
class AttemptDetails:
    """One attempt of the trial's run."""

    number: int
    summary: AttemptSummary
    job_id: str | None
    node: str | None
    submitted: datetime
    started: datetime | None
    ended: datetime | None
    """None: it has not ended, or no file says when."""
    starts: int
    """How often its job has started: more than once if it was requeued."""


@dataclass(frozen=True, slots=True)
class SharingTrial:
    """Another trial of the same run."""

    number: int
    epochs: int
    state: str


@dataclass(frozen=True, slots=True)
class TrialDetails:
    """Everything about one trial."""

    sweep: str
    number: int
    state: str
    """A word of `analysis.rows.STATES`."""
    reason: str
    """Why it failed, was pruned or waits; may be empty."""
    params: Mapping[str, ParameterValue]
    """By path; empty: not known."""
    seed: int | None
    epochs: int
    """Its milestone; 0: not known, or the sweep does not say how many epochs its program trains."""
    epochs_done: int
    run: int
    shares_with: tuple[SharingTrial, ...]
    attempts: tuple[AttemptDetails, ...]
    metric: str
    curve: tuple[tuple[int, float], ...]
    """(epoch, metric) of each epoch that reported it, up to its milestone."""
    best_epoch: int | None
    scores: Mapping[str, tuple[str, str, float]]
    """Heading, text and value of each score of its result, by the name of its column."""
    checkpoint: Path | None
    """None: it has none (yet), or it was deleted."""
    missing_checkpoint: Path | None
    """The checkpoint that its result names and that does not exist; None: it exists, or none is named."""
    config: Path
    run_folder: Path
    log: Path | None
    """That of its last job; None: it had none."""
    warnings: tuple[str, ...]
    commands: tuple[str, ...]
    """What fits its state, ready to be typed."""

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "sweep": self.sweep,
            "trial": self.number,
            "state": self.state,
            "reason": self.reason,
            "params": dict(self.params),
            "seed": self.seed,
            "epochs": self.epochs,
            "epochs_done": self.epochs_done,
            "run": self.run,
            "shares_with": [
                {"trial": each.number, "epochs": each.epochs, "state": each.state} for each in self.shares_with
            ],
            "attempts": [_attempt_as_json(each) for each in self.attempts],
            "metric": self.metric,
            "curve": [list(point) for point in self.curve],
            "best_epoch": self.best_epoch,
            "scores": {name: value for name, (_, _, value) in self.scores.items()},
            "checkpoint": _text(self.checkpoint),
            "config": str(self.config),
            "run_folder": str(self.run_folder),
            "log": _text(self.log),
            "warnings": list(self.warnings),
            "commands": list(self.commands),
        }


def _attempt_as_json(attempt: AttemptDetails) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "state": attempt.summary.state,
        "cause": attempt.summary.cause,
        "reason": attempt.summary.why,
        "job_id": attempt.job_id,
        "node": attempt.node,
        "submitted": attempt.submitted.isoformat(),
        "started": None if attempt.started is None else attempt.started.isoformat(),
        "ended": None if attempt.ended is None else attempt.ended.isoformat(),
        "starts": attempt.starts,
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def show(directory: SweepDir, number: int, results: Path) -> TrialDetails:
    """Everything about a trial of the sweep. `results`: the folder that the user named, for the commands."""
    root = directory.root
    record = read_trials(root, [number])
    stored = read_stored_trial(number, root / paths.trial_dir(number))
    run = read_run(root, stored.run)
    others = tuple(_sharing(directory, record, stored))
    trial, live_warnings = _live(directory, record.trials[0])
    is_open = trial.state in OPEN or any(each.state in OPEN for each in others)
    named = checkpoint(trial) or (f"{root}/{paths.run_dir(stored.run)}/{paths.LAST_CHECKPOINT}" if is_open else None)
    found = Path(named) if named is not None and os.path.exists(named) else None
    columns, log = known_columns(record), _log(directory, run)
    metric = record.spec.metric
    hidden = () if _names_epochs(record.spec) else ("epochs",)
    epochs = 0 if hidden else stored.epochs
    last_epoch = epochs or run.epochs_done
    curve = [(each.epoch, metric.of_epoch(each)) for each in run.progress if each.epoch <= last_epoch]
    moved, damaged = relocation_warning(root), run.unreadable
    warnings = (
        *(record.warnings if trial.result is not None else ()),
        *live_warnings,
        *([moved] if moved and not live_warnings else []),
        *([damaged] if damaged and damaged not in trial.reason else []),
    )
    return TrialDetails(
        sweep=directory.name,
        number=number,
        state=trial.state,
        reason=trial.reason,
        params={path: value for path, value in trial.params.items() if path not in hidden},
        seed=trial.seed,
        epochs=epochs,
        epochs_done=min(run.current_epoch, last_epoch),
        run=stored.run,
        shares_with=others,
        attempts=tuple(_attempts(root, run, is_open=is_open)),
        metric=metric.label,
        curve=tuple((epoch, value) for epoch, value in curve if value is not None),
        best_epoch=None if trial.result is None else trial.result.best_epoch,
        scores=known_scores(columns, trial),
        checkpoint=found,
        missing_checkpoint=Path(named) if named is not None and found is None and not is_open else None,
        config=directory.config_path(number),
        run_folder=root / paths.run_dir(stored.run),
        log=log,
        warnings=warnings,
        commands=tuple(fitting_commands(directory, trial, run, stored.epochs, results, found, log)),
    )


def _names_epochs(spec: SweepSpec) -> bool:
    """Whether the sweep says how many epochs a training has. For a program that has none by it, 1 stands for them."""
    return spec.trainer.command is None or spec.space.domain("epochs") != Choices((1,))


def _live(directory: SweepDir, trial: TrialRecord) -> tuple[TrialRecord, tuple[str, ...]]:
    """The trial as the scheduler shows it if it is open, and why that is not known."""
    if trial.state not in OPEN or trial.problem is not None:
        return trial, ()
    try:
        check_access(directory.root)
        context = context_of(directory)
        observation = observe(context)
    except UnetsweepError as error:
        return trial, (f"the state is that of its files: {str(error).splitlines()[0]}",)
    why = observation.scheduler_error
    (found,) = trial_statuses([trial], plan_now(context, observation), answered=why is None)
    warnings = [f"the queue does not answer: {why}"] if why is not None and why not in found.reason else []
    return replace(trial, state=found.state, reason=found.reason, job_id=found.job_id), tuple(warnings)


def _sharing(directory: SweepDir, record: SweepRecord, stored: StoredTrial) -> Iterator[SharingTrial]:
    """The other trials of the run. They are searched only if trials of the sweep may share runs."""
    if why_not_shared(record.spec) is not None:
        return
    epochs: dict[int, int] = {}
    for number, folder in trial_folders(directory.root):
        if number != stored.number and number >= stored.run:
            try:
                other = read_trial(folder)
            except (StateError, OSError):
                continue
            if other.run == stored.run:
                epochs[number] = other.epochs
    for trial in read_trials(directory.root, epochs.keys()).trials if epochs else ():
        yield SharingTrial(trial.number, epochs[trial.number], trial.state)


def _attempts(root: Path, run: Run, *, is_open: bool) -> Iterator[AttemptDetails]:
    timeline = read_timeline(root / paths.run_dir(run.number), is_open=is_open) or RunTimeline({})
    for attempt in run.attempts:
        starts = [start for start in timeline.starts if start.attempt == attempt.number]
        summary = summarise_attempt(attempt, run, is_open=is_open)
        yield _attempt(attempt, summary, starts)


def _attempt(attempt: Attempt, summary: AttemptSummary, starts: Sequence[Start]) -> AttemptDetails:
    ended = _time(starts[-1].end) if starts else None
    return AttemptDetails(
        attempt.number,
        summary,
        attempt.claimed_by or attempt.job_id,
        attempt.node,
        attempt.at,
        _time(starts[0].begin) if starts else None,
        attempt.lost_at if ended is None else ended,
        len(starts),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _log(directory: SweepDir, run: Run) -> Path | None:
    try:
        log = log_of(directory, run.number, run.last.number) if run.last is not None else None
    except (StateError, OSError):
        return None
    return log if log is not None and log.exists() else None
