"""`retry`: train trials again that ended without a result."""

from collections.abc import Iterable, Mapping, Sequence

from unetsweep.app.events import Notify, TrialsReopened, WarningEvent
from unetsweep.app.reconcile import alone
from unetsweep.app.start import SubmitResult, start_or_resume
from unetsweep.core import paths
from unetsweep.core.run_sharing import trains_past
from unetsweep.errors import UsageError
from unetsweep.store.observation import read_run
from unetsweep.store.retries import reopen, reset_open_retries, restarts_from_scratch
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import read_trial


def retry(directory: SweepDir, named: Sequence[int], notify: Notify, *, failed: bool = False) -> SubmitResult:
    """Open trials again and resume the sweep: the `named` ones, and with `failed`, or if none is named, all failed and
    diverged ones.

    UsageError if a named trial cannot be trained again. Earlier attempts of all open trials no longer count towards
    the retry limits, and a paused or cancelled sweep resumes.
    """
    trials = _choose(directory, named, failed=failed)
    trials = _leave_out_passed(directory, trials, named, notify)
    reopened: list[int] = []
    alone(directory, lambda: reopened.extend(reopen(directory.root, trials)))
    reset_open_retries(directory.root)
    directory.resume()
    from_scratch = _from_scratch(directory, reopened)
    notify(TrialsReopened(directory.name, tuple(reopened), from_scratch))
    return start_or_resume(directory, notify)


def _choose(directory: SweepDir, named: Sequence[int], *, failed: bool) -> list[int]:
    """The trials to open again; UsageError if a named one does not exist or is complete."""
    states = _states(directory)
    for trial in named:
        if trial not in states:
            raise UsageError(f"sweep {directory.name} has no trial {trial}; it has {len(states)} (from 0)")
        if states[trial] == "complete":
            raise UsageError(f"trial {trial} of {directory.name} is complete; a trial with a result is not retried")
    chosen = [trial for trial in named if states[trial] is not None]
    if failed or not named:
        chosen += [trial for trial, state in states.items() if state in ("failed", "diverged") and trial not in chosen]
    return chosen


def _states(directory: SweepDir) -> Mapping[int, str | None]:
    """The state of each trial; None: it is open."""
    return {trial.number: trial.result.state if trial.result is not None else None for trial in directory.trials()}


def _leave_out_passed(directory: SweepDir, trials: Iterable[int], named: Sequence[int], notify: Notify) -> list[int]:
    """The trials whose run has not trained past their last epoch: a run that others share never goes back.

    UsageError if a named trial is left out, else a warning.
    """
    kept = []
    for trial in trials:
        known = read_trial(directory.root / paths.trial_dir(trial))
        run = read_run(directory.root, known.run)
        if not trains_past(run, known.epochs):
            kept.append(trial)
            continue
        message = (
            f"trial {trial} shares run {known.run:04d}, which has reached epoch {run.epochs_done} and continues past "
            f"epoch {known.epochs}; train it separately: "
            f"unetsweep train {directory.config_path(trial)} --out FOLDER"
        )
        if trial in named:
            raise UsageError(message)
        notify(WarningEvent(message))
    return kept


def _from_scratch(directory: SweepDir, trials: Iterable[int]) -> tuple[int, ...]:
    """The trials without a checkpoint to resume from. A trainer command has checkpoints of its own."""
    if directory.spec().trainer.command is not None:
        return ()
    return tuple(trial for trial in trials if restarts_from_scratch(directory.root, trial))
