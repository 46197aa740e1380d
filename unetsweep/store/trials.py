"""Reads the files of one trial, even if some of them are unreadable.

Rule 1: an unreadable file stops its own trial and no other. The trial keeps its number.
Rule 2: each file names its trial. The file of another trial counts as unreadable.
"""

import contextlib
import os
from datetime import datetime
from pathlib import Path

from unetsweep import contract
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.config.load import load
from unetsweep.contract import Result, TrialConfig
from unetsweep.core import paths
from unetsweep.core.missing_points import LISTED
from unetsweep.core.observation import Trial
from unetsweep.core.space import Space
from unetsweep.core.trials import StoredTrial, is_value_of, params_of
from unetsweep.errors import ConfigError, StateError, UnetsweepError
from unetsweep.record_files import read_record
from unetsweep.records import AttemptFile, MarkFile, TrialFile


def read_trial(folder: Path) -> TrialFile:
    """Read the trial.json in a trial's folder; StateError if it is missing, unreadable or of another trial."""
    path = f"{folder}/{paths.TRIAL}"  # text, because creating thousands of Paths takes longer than their stat
    try:
        trial = read_record(TrialFile, path, quick=True)
    except FileNotFoundError:
        raise StateError(f"{path}: is missing") from None
    if trial.trial != (number := _number(folder)):
        raise StateError(f"{path}: found the file of trial {trial.trial} in the place of trial {number}'s")
    if problem := _problem_of(trial):
        raise StateError(f"{path}: {problem}")
    return trial


def _problem_of(trial: TrialFile) -> str | None:
    """Why the fields of a trial do not fit together; None: they do."""
    if trial.run > trial.trial:
        return f"run: found {trial.run}; a run has the number of its first trial, so at most {trial.trial} is possible"
    for path, value in trial.params.items():
        if not is_value_of(path, value):
            return f"params.{path}: found {value!r}"[:80] + "; no config has that"
    for path, value in (("epochs", trial.epochs), ("batch_size", trial.batch_size)):
        if trial.params.get(path, value) != value:
            return f"{path}: found {value}, but {trial.params[path]} in params"
    return None


def _number(folder: Path | str) -> int:
    return int(os.path.basename(folder))


def read_config(folder: Path) -> TrialConfig:
    """Read the config.json in a trial's folder; StateError if it is missing or unreadable."""
    path = folder / paths.CONFIG
    try:
        return contract.config_from(read_json(path), str(path))
    except (FileNotFoundError, ConfigError) as error:
        raise StateError(f"{path}: not a trial's config ({error})") from error


def read_result(folder: Path) -> Result | None:
    """Read the trial's result; None: it has not ended. StateError if it is unreadable."""
    path = f"{folder}/{paths.RESULT}"
    try:
        result = contract.stored_result_from(read_json(path, quick=True), path)
    except FileNotFoundError:
        return None
    if result.trial is not None and result.trial != (number := _number(folder)):
        raise StateError(f"{path}: found the result of trial {result.trial} in the place of trial {number}'s")
    return result


def check_config(result: Result, wanted: str | None, path: str) -> None:
    """StateError if the result belongs to another config than `wanted` (its digest; None: not known)."""
    if result.config_id is not None and wanted and result.config_id != wanted:
        raise StateError(
            f"{path}: found the result of another training, of config {result.config_id[:12]}, not {wanted[:12]}"
        )


def make_trial_file(number: int, config: TrialConfig, space: Space, at: datetime, run: int | None = None) -> TrialFile:
    """Return the trial.json for a config.

    `run`: the run that it shares; None: its own.
    """
    return TrialFile(
        number,
        params_of(config, space),
        contract.config_id(config),
        number if run is None else run,
        config.epochs,
        config.batch_size,
        contract.run_key(config),
        config.seed,
        at,
    )


def read_stored_trial(number: int, folder: Path) -> StoredTrial:
    """Read a trial. If trial.json is unreadable, its content is taken from config.json."""
    unreadable: str | None = None
    known: TrialFile | None = None
    try:
        known = read_trial(folder)
    except (StateError, FileNotFoundError) as error:
        unreadable = str(error)
        known = _from_config(number, folder)
    result: Result | None = None
    try:
        result = read_result(folder)
        if result is not None and known is not None:
            check_config(result, known.config_id, f"{folder}/{paths.RESULT}")
    except StateError as error:
        result, unreadable = None, unreadable or str(error)
    cancelled = os.path.exists(f"{folder}/{paths.CANCELLED}")
    if known is None:
        return StoredTrial(number, number, result=result, cancelled=cancelled, unreadable=unreadable)
    return StoredTrial(
        number,
        known.run,
        known.epochs,
        known.batch_size,
        known.params,
        known.config_id,
        known.run_key,
        known.training_seed,
        known.code,
        result,
        cancelled,
        known.sampler == LISTED,
        unreadable,
    )


def _from_config(number: int, folder: Path) -> TrialFile | None:
    """Make the record from config.json, with a run of its own: only trial.json says whether the trial shares one."""
    try:
        return make_trial_file(number, read_config(folder), space_of(folder.parents[1]), utc_now())
    except (StateError, FileNotFoundError):
        return None


def space_of(root: Path) -> Space:
    """Return the space of a sweep; if its sweep.yaml is unreadable, the parameters that every sweep has."""
    try:
        return load(root / paths.SPEC).space
    except (UnetsweepError, OSError):
        return Space.unknown()


def read_open_trial(number: int, folder: Path, *, cancelled: bool) -> Trial:
    """Read a trial that has not ended."""
    try:
        trial = read_trial(folder)
    except StateError as error:
        root = folder.parents[1]
        run, epochs = _find_attempted(root, number)
        return Trial(number, run, epochs, cancelled, unreadable=with_repair_advice(error, root))
    cancelled_at = _cancelled_at(folder) if cancelled else None
    known = (trial.batch_size, trial.config_id, trial.params)
    return Trial(number, trial.run, trial.epochs, cancelled, *known, cancelled_at)


def _cancelled_at(folder: Path) -> datetime | None:
    """When the user cancelled the trial; None if the file does not say so. That it exists is enough to end the job."""
    try:
        return read_record(MarkFile, folder / paths.CANCELLED).at
    except (StateError, OSError):
        return None


def _find_attempted(root: Path, number: int) -> tuple[int, int]:
    """The run and the milestone of a trial, by the attempts that were submitted for it, so that it can be cancelled.

    Without any the run is its own, and the milestone 0. Its run has its own number, or that of an earlier trial.
    """
    for run in range(number, -1, -1):
        with contextlib.suppress(StateError, OSError):
            folder = root / paths.run_dir(run) / "attempts"
            last = max(paths.numbers_of(os.listdir(folder)), default=0)
            for each in read_record(AttemptFile, folder / f"{last}.json").trials:
                if each.trial == number:
                    return run, each.epochs
    return number, 0


def sweep_name(root: Path) -> str:
    """Return the name of the sweep in this folder: `grid`, or `grid/confirm` for a confirmation within it."""
    inner = root.name == paths.CONFIRM and (root.parent / paths.SPEC).exists()
    return f"{root.parent.name}/{root.name}" if inner else root.name


def with_repair_advice(error: Exception | str, root: Path) -> str:
    """Return the error together with the command that repairs the sweep."""
    return f"{error}: run `unetsweep repair {sweep_name(root)}`"
