"""Reads the state of a sweep from its directory. Nothing is written here.

Rule 1: ended trials are only counted. Their files are opened only while there are few of them (MAX_FAILURES).
Rule 2: trials are numbered without a gap, and a run exists only after its trial. So a missing folder with a number
        below the highest of trials/ and runs/ is a trial that was lost. It keeps its number, and is reported as
        unreadable, like one without trial.json. If trials/ itself is unreadable, nothing is reported.
Rule 3: an unreadable file of a run stops only the trials of that run, an unreadable file of a trial only that trial.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from unetsweep.bounded_json import read_json
from unetsweep.contract import Result, result_from
from unetsweep.core import paths
from unetsweep.core.failures import ResultProblem
from unetsweep.core.metric import Metric, result_problem
from unetsweep.core.observation import Attempt, Failure, Observation, Run, Trial
from unetsweep.errors import StateError
from unetsweep.process import without_gc
from unetsweep.regular_files import damage_named
from unetsweep.store.attempts import read_attempts, read_errors, retries_reset_at, signature_of
from unetsweep.store.progress import read_progress, read_prune_decision
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.trials import check_config, read_open_trial, read_result, read_trial, with_repair_advice

_FOLDER = re.compile(r"[0-9]{4}|[1-9][0-9]{4,8}")
"""The name of the folder of a trial or run."""
_ERROR_FILE = re.compile(r"error-[0-9]+\.json")
MAX_LOST = 10_000
"""A number so far above the number of trials was not given by us: a listing of all lost trials would never end."""
MAX_FAILURES = 50
"""Up to this number of ended trials, their errors are read, to find out whether all failed for the same reason. With
more trials that is unlikely, and reading them takes long."""


@without_gc()
def observe(root: Path, metric: Metric | None = None) -> Observation:
    """Observe everything except the jobs. Published results count if they have the `metric`; None: all do."""
    ended, trials = [], []
    for number, folder in _trials(root):
        if os.path.lexists(f"{folder}/{paths.RESULT}"):  # one system call each, for up to 100,000 trials
            ended.append(number)
        else:
            trials.append(_open_trial(number, Path(folder)))
    wanted: dict[int, dict[int, str]] = {trial.run: {} for trial in trials}
    for trial in trials:
        wanted[trial.run][trial.epochs] = trial.config_id
    runs = {number: read_run(root, number, configs, metric) for number, configs in wanted.items()}
    failures, unjudged = _failures(root, ended, metric)
    return Observation(
        len(ended),
        tuple(trials),
        runs,
        cancelled=os.path.lexists(root / paths.CANCELLED),
        failures=failures,
        unjudged=unjudged,
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
    runs = [number for number, _ in _named(root / paths.RUNS)]
    highest = max(runs, default=-1)
    while there and there[-1][0] > highest and _is_empty(there[-1][1]):  # left by a reconciliation that was killed
        there.pop()
    last = max(highest, there[-1][0] if there else -1)
    if last > MAX_LOST + 2 * (known := len({*runs, *(number for number, _ in there)})):
        name = paths.trial_dir(last) if there and there[-1][0] == last else paths.run_dir(last)
        raise StateError(
            f"{root}/{name}: there are only {known} of them; move this folder away (`unetsweep repair` does not)"
        )
    for number in range(last + 1):
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
    with damage_named(folder):
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return
    for number in sorted(int(name) for name in names if _FOLDER.fullmatch(name)):
        yield number, f"{folder}/{number:04d}"


def read_run(root: Path, number: int, configs: Mapping[int, str] = {}, metric: Metric | None = None) -> Run:
    """Read the milestones, attempts and progress of a run.

    If a file is unreadable, `Run.unreadable` says which one, and the run has only its attempts, if those are readable.
    So its job can still be cancelled, even if a trainer wrote a bad file. `configs` has the digest of the config of
    each milestone, `metric` that of the sweep.
    """
    folder = root / paths.run_dir(number)
    why = ""
    for _ in range(2):  # a file may be removed after its folder was listed
        try:
            return _read_run(root, number, list_names(folder), configs, metric)
        except StateError as error:
            why = with_repair_advice(error, root)
            break
        except FileNotFoundError as error:
            why = with_repair_advice(f"{error.filename}: a link to a file that is missing", root)
    attempts, reset_at = _attempts_to_cancel(root, number)
    return Run(number, {}, attempts, why, retries_reset_at=reset_at)


def _attempts_to_cancel(root: Path, number: int) -> tuple[tuple[Attempt, ...], int]:
    """What can be read of the attempts of a run with an unreadable file: enough to cancel its job. And the number of
    the last attempt before the user's retry."""
    try:
        marks = list_names(root / paths.run_dir(number) / "attempts")
    except StateError:
        return (), 0
    last = max(paths.numbers_of(marks), default=0)
    # without the files of trainers; also without claims; then only the first file of the last attempt
    for names, read in (({"claims"}, marks), (set[str](), marks), (set[str](), {f"{last}.json"})):
        try:
            return read_attempts(root, number, names, read), retries_reset_at(marks)
        except (StateError, FileNotFoundError):
            continue
    return (), 0


def _read_run(root: Path, number: int, names: set[str], configs: Mapping[int, str], metric: Metric | None) -> Run:
    folder = root / paths.run_dir(number)
    states: dict[int, str] = {}
    refused: dict[int, ResultProblem] = {}
    for epochs in paths.numbers_of(list_names(folder / "milestones")) if "milestones" in names else ():
        path = root / paths.run_dir(number) / paths.milestone(epochs)
        result = result_from(read_json(path), str(path))
        check_config(result, configs.get(epochs), str(path))
        found = refused_result(metric, result, number, epochs)
        states[epochs] = str(result.state) if found is None else "failed"
        if found is not None:
            refused[epochs] = found
    marks = list_names(f"{folder}/attempts")
    attempts = read_attempts(root, number, names, marks)
    progress = read_progress(folder, names, None if metric is None else metric.name)
    prune = read_prune_decision(folder, names, marks)
    return Run(
        number,
        states,
        attempts,
        None,
        progress.points,
        progress.last_at,
        prune,
        retries_reset_at(marks),
        refused,
        progress.current_epoch,
    )


def refused_result(metric: Metric | None, result: Result, run: int, epochs: int) -> ResultProblem | None:
    """Return why a published result does not count for a sweep with this metric; None: it does."""
    problem = None if metric is None else result_problem(metric, result)
    if problem is None:
        return None
    return ResultProblem(problem.kind, f"{paths.run_dir(run)}/{paths.milestone(epochs)}: {problem.message}")


def _failures(root: Path, ended: list[int], metric: Metric | None) -> tuple[tuple[Failure, ...], int]:
    """Return the failures of all ended trials, if they are few and every one of them failed with an error; and how many
    are left out because they were cancelled, or their files are unreadable."""
    found: list[Failure] = []
    unjudged = 0
    for number in ended if len(ended) <= MAX_FAILURES else ():
        try:
            result = read_result(root / paths.trial_dir(number))
            if result is not None and result.state == "cancelled":
                unjudged += 1
                continue
            failure = None if result is None or result.state != "failed" else _failure(root, number, result, metric)
        except (StateError, FileNotFoundError):
            unjudged += 1
            continue
        if failure is None:
            return (), 0
        found.append(failure)
    return tuple(found), unjudged


def _failure(root: Path, number: int, result: Result, metric: Metric | None) -> Failure | None:
    trial = read_trial(root / paths.trial_dir(number))
    run_number = trial.run
    run = root / paths.run_dir(run_number)
    published = run / paths.milestone(trial.epochs)
    if os.path.lexists(published):
        refused = refused_result(metric, result_from(read_json(published), str(published)), run_number, trial.epochs)
        if refused is not None:
            return Failure(number, run_number, refused.kind, refused.message)
    names = list_names(run)
    if not names:
        raise StateError(f"{run}: is missing")
    if (named := _ERROR_FILE.search(result.message or "")) and named[0] not in names:
        raise StateError(f"{run}/{named[0]}: is missing, but the trial's result names it")
    found = [each for each in read_errors(run, names) if not each.error.echo]
    marks = list_names(run / "attempts")
    newest = max((each.error.attempt for each in found), default=0)
    if newest <= retries_reset_at(marks) or f"{newest}.retry-exempt.json" in marks:
        return None
    first = min((each for each in found if each.error.attempt == newest), key=lambda each: each.time)
    return Failure(number, run_number, signature_of(first.error), f"{first.error.message} (see {first.path})")


def list_names(folder: Path | str) -> set[str]:
    """Return the names in a folder; empty if it does not exist, StateError if something else is in its place."""
    with damage_named(folder):
        try:
            return set(os.listdir(folder))
        except FileNotFoundError:
            if os.path.islink(folder):
                raise StateError(f"{folder}: a link to a folder that is missing") from None
            return set()
