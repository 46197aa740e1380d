"""Reads the state of a sweep from its directory. Nothing is written here.

Rule 1: ended trials are only counted. Their files are opened only while there are few of them (MAX_FAILURES).
Rule 2: trials are numbered without a gap, and a run exists only after its trial. So a missing folder with a number
        below the highest of trials/ and runs/ is a trial that was lost. It keeps its number, and is reported as
        unreadable, like one without trial.json. If trials/ itself is unreadable, nothing is reported.
Rule 3: an unreadable file of a run stops only the trials of that run, an unreadable file of a trial only that trial.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from unetsweep.bounded_json import damage_named, read_json
from unetsweep.contract import result_from
from unetsweep.core import paths
from unetsweep.core.observation import Failure, Observation, Run, Trial
from unetsweep.errors import StateError
from unetsweep.store.attempts import read_attempts, read_errors, retries_reset_at, signature_of
from unetsweep.store.progress import read_progress, read_prune_decision
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.trials import check_config, read_open_trial, read_result, read_trial, with_repair_advice

MAX_FAILURES = 50
"""Up to this number of ended trials, their errors are read, to find out whether all failed for the same reason. With
more trials that is unlikely, and reading them takes long."""


def observe(root: Path) -> Observation:
    """Observe everything except the jobs."""
    ended, trials = [], []
    for number, folder in _trials(root):
        if os.path.lexists(f"{folder}/{paths.RESULT}"):  # one system call each, for up to 100,000 trials
            ended.append(number)
        else:
            trials.append(_open_trial(number, Path(folder)))
    wanted: dict[int, dict[int, str]] = {trial.run: {} for trial in trials}
    for trial in trials:
        wanted[trial.run][trial.epochs] = trial.config_id
    runs = {number: read_run(root, number, configs) for number, configs in wanted.items()}
    return Observation(
        len(ended),
        tuple(trials),
        runs,
        cancelled=(root / paths.CANCELLED).exists(),
        failures=_failures(root, ended),
        last_reconciler_job=ReconcilerJobs(root).last(),
    )


def _open_trial(number: int, folder: Path) -> Trial:
    """Read a trial that has no result."""
    return read_open_trial(number, folder, cancelled=os.path.lexists(f"{folder}/{paths.CANCELLED}"))


def trial_folders(root: Path) -> Iterator[tuple[int, Path]]:
    """Yield number and folder of every trial, even if its files are lost.

    Raises StateError if the folder of trials is missing or unreadable.
    """
    return ((number, Path(name)) for number, name in _trials(root))


def _trials(root: Path) -> Iterator[tuple[int, str]]:
    folder = root / paths.TRIALS
    with damage_named(folder):
        if not folder.is_dir() and (root / paths.SPEC).exists():  # it is created before the YAML file
            raise StateError(f"{folder}: this folder is missing, and with it every trial; put it back from a backup")
        there = list(_named(folder))
    highest = max((number for number, _ in _named(root / paths.RUNS)), default=-1)
    while there and there[-1][0] > highest and _is_empty(there[-1][1]):  # left by a reconciliation that was killed
        there.pop()
    for number in range(max(highest, there[-1][0] if there else -1) + 1):
        yield number, f"{folder}/{number:04d}"


def _is_empty(folder: str) -> bool:
    try:
        return not os.listdir(folder)
    except OSError:
        return False


def numbered_folders(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield the sub-folders that are named by a number, in order."""
    return ((number, Path(name)) for number, name in _named(folder))


def _named(folder: Path) -> Iterator[tuple[int, str]]:
    """Yield the same sub-folders with paths as text: creating a Path takes longer than the query of the file system."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for number in sorted(int(name) for name in names if name.isdecimal() and name == f"{int(name):04d}"):
        yield number, f"{folder}/{number:04d}"


def read_run(root: Path, number: int, configs: Mapping[int, str] = {}) -> Run:
    """Read the milestones, attempts and progress of a run.

    If a file is unreadable, `Run.unreadable` says which one, and the run has only its attempts, if those are readable.
    So its job can still be cancelled, even if a trainer wrote a bad file. `configs` has the digest of the config of
    each milestone.
    """
    folder = root / paths.run_dir(number)
    try:
        return _read_run(root, number, list_names(folder), configs)
    except StateError as error:
        why = with_repair_advice(error, root)
    except _UNEXPECTED_CONTENT as error:
        why = with_repair_advice(f"{folder}: a file in it has unexpected content ({error!r})", root)
    for names in ({"claims"}, set[str]()):  # without the files of trainers, then also without claims
        try:
            marks = list_names(f"{folder}/attempts")
            return Run(
                number, {}, read_attempts(root, number, names, marks), why, retries_reset_at=retries_reset_at(marks)
            )
        except (StateError, FileNotFoundError, *_UNEXPECTED_CONTENT):
            continue
    return Run(number, unreadable=why)


_UNEXPECTED_CONTENT = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, NotADirectoryError)
"""Errors from a JSON file of our schema with other content, or from a file where a folder should be."""


def _read_run(root: Path, number: int, names: set[str], configs: Mapping[int, str]) -> Run:
    if not names:
        return Run(number)
    folder = root / paths.run_dir(number)
    published = _jsons(folder / "milestones") if "milestones" in names else ()
    states: dict[int, str] = {}
    for name in published:
        epochs, path = int(name.removesuffix(".json")), folder / "milestones" / name
        result = result_from(read_json(path), str(path))
        check_config(result, configs.get(epochs), str(path))
        states[epochs] = str(result.state)
    marks = list_names(f"{folder}/attempts")
    attempts = read_attempts(root, number, names, marks)
    progress, prune = read_progress(folder, names), read_prune_decision(folder, names, marks)
    return Run(number, states, attempts, None, progress.points, progress.last_at, prune, retries_reset_at(marks))


def _failures(root: Path, ended: list[int]) -> tuple[Failure, ...]:
    """Return the failures of all ended trials, if they are few and every one of them failed with an error."""
    found: list[Failure] = []
    for number in ended if len(ended) <= MAX_FAILURES else ():
        failure = _failure(root, number)
        if failure is None:
            return ()
        found.append(failure)
    return tuple(found)


def _failure(root: Path, number: int) -> Failure | None:
    try:
        folder = root / paths.trial_dir(number)
        result = read_result(folder)
        if result is None or result.state != "failed":
            return None
        run_number = read_trial(folder).run
        run = root / paths.run_dir(run_number)
        found = [each for each in read_errors(run, list_names(run)) if not each.error.echo]
        marks = list_names(run / "attempts")
    except (StateError, FileNotFoundError):
        return None
    newest = max((each.error.attempt for each in found), default=0)
    if newest <= retries_reset_at(marks) or f"{newest}.retry-exempt.json" in marks:
        return None
    first = min((each for each in found if each.error.attempt == newest), key=lambda each: each.time)
    return Failure(number, run_number, signature_of(first.error), f"{first.error.message} (see {first.path})")


def list_names(folder: Path | str) -> set[str]:
    """Return the names in a folder; empty if it does not exist."""
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def _jsons(folder: Path) -> list[str]:
    return [name for name in list_names(folder) if name.endswith(".json") and name[:-5].isdecimal()]
