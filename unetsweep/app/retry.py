"""`retry`: train trials again that ended without a result."""

from collections.abc import Collection, Iterable, Sequence

from unetsweep.app.events import Notify, TrialsLeft, TrialsReopened, WarningEvent
from unetsweep.app.reconcile import alone
from unetsweep.app.start import SubmitResult, start_or_resume
from unetsweep.core import paths
from unetsweep.core.run_sharing import trains_past
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import UsageError
from unetsweep.store.observation import read_run
from unetsweep.store.retries import reopen, reset_open_retries, restarts_from_scratch
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import read_trial


def retry(
    directory: SweepDir, named: Sequence[int], notify: Notify, *, failed: bool = False, cancelled: bool = False
) -> SubmitResult:
    """Open trials again and resume the sweep: the `named` ones, with `failed` all failed and diverged ones, with
    `cancelled` all cancelled ones; of nothing of that, the failed ones. `notify` receives which trials were not opened,
    too.

    UsageError if a named trial cannot be trained again. Earlier attempts of all open trials no longer count towards
    the retry limits, and a paused or cancelled sweep resumes.
    """
    known = directory.trials()
    wanted = _wanted(named, failed=failed, cancelled=cancelled)
    trials = _choose(directory.name, known, named, wanted)
    left = _left(known, trials, named, is_by_state=bool(wanted))
    trials = _leave_out_passed(directory, trials, named, notify)
    reopened: list[int] = []
    alone(directory, lambda: reopened.extend(reopen(directory.root, trials)))
    reset_open_retries(directory.root)
    directory.resume()
    from_scratch = _from_scratch(directory, reopened)
    notify(TrialsReopened(directory.name, tuple(reopened), from_scratch))
    if left:
        notify(TrialsLeft(directory.name, left))
    return start_or_resume(directory, notify)


def _wanted(named: Sequence[int], *, failed: bool, cancelled: bool) -> set[str]:
    """The states of which all trials are retried."""
    failed |= not named and not cancelled
    return {*(("failed", "diverged") if failed else ()), *(("cancelled",) if cancelled else ())}


def _choose(sweep: str, known: Sequence[StoredTrial], named: Sequence[int], wanted: Collection[str]) -> list[int]:
    """The trials to open again: the named ones, and those in the `wanted` states. UsageError if a named one does not
    exist or is complete."""
    states = {trial.number: _state(trial) for trial in known}
    for trial in named:
        if trial not in states:
            raise UsageError(f"sweep {sweep} has no trial {trial}; it has {len(states)} (from 0)")
        if states[trial] == "complete":
            raise UsageError(
                f"trial {trial} of {sweep} is complete; a trial with a result is not retried. To train it again: "
                f"`unetsweep reproduce {sweep} {trial}`, or the best ones with new seeds: `unetsweep confirm {sweep}`"
            )
    chosen = [trial for trial in dict.fromkeys(named) if states[trial] not in ("open", "stopping")]
    return chosen + [trial for trial, state in states.items() if state in wanted and trial not in chosen]


def _state(trial: StoredTrial) -> str:
    """How a trial ended; else `stopping` if the user cancelled it, or `open`."""
    if trial.result is not None:
        return trial.result.state
    return "stopping" if trial.cancelled else "open"


def _left(
    known: Sequence[StoredTrial], chosen: Sequence[int], named: Sequence[int], *, is_by_state: bool
) -> dict[str, tuple[int, ...]]:
    """The trials that are not opened, by state: of the named ones; with `is_by_state`, of all that have ended or are
    stopping."""
    left: dict[str, list[int]] = {}
    for trial in known:
        state = _state(trial)
        is_asked_for = trial.number in named if not is_by_state else state != "open" or trial.number in named
        if is_asked_for and trial.number not in chosen:
            left.setdefault(state, []).append(trial.number)
    return {state: tuple(numbers) for state, numbers in left.items()}


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
