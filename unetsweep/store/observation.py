"""Reading a sweep's directory: what is in it, as facts. Nothing is written here.

Rule 1: of ended trials nothing is opened; their folders are only counted.
Rule 2: trials are numbered without a gap, and a run exists only after its trial. So a number without a folder, below
        the highest of trials/ and runs/, is a trial that was lost: it keeps its number, and is named. So does one that
        lacks trial.json. Where trials/ itself cannot be read nothing is said of any of them.
Rule 3: an unreadable file of a run stops that run's trials, one of a trial that trial, and no other's.
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
from unetsweep.store.progress import read_progress, read_stopped
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.trials import check_config, read_open_trial, read_result, read_trial, with_repair_advice

FEW = 50
"""So many ended trials are still looked into, to see whether all of them fail of one thing."""


def observe(root: Path) -> Observation:
    """Everything but the jobs."""
    ended, trials = [], []
    for number, folder in _trials(root):
        if os.path.lexists(f"{folder}/{paths.RESULT}"):  # one question a trial: there may be a hundred thousand
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
        cancelled=(root / paths.STOPPED).exists(),
        failures=_failures(root, ended),
        reconciler=ReconcilerJobs(root).last(),
    )


def _open_trial(number: int, folder: Path) -> Trial:
    """A trial without a result."""
    return read_open_trial(number, folder, cancelled=os.path.lexists(f"{folder}/{paths.CANCELLED}"))


def trial_folders(root: Path) -> Iterator[tuple[int, Path]]:
    """Number and folder of every trial, also of one whose files are lost. StateError: nobody can say which there
    are."""
    return ((number, Path(name)) for number, name in _trials(root))


def _trials(root: Path) -> Iterator[tuple[int, str]]:
    folder = root / paths.TRIALS
    with damage_named(folder):
        if not folder.is_dir() and (root / paths.SPEC).exists():  # a sweep has it before its YAML file
            raise StateError(f"{folder}: this folder is missing, and with it every trial; put it back from a backup")
        there = list(_named(folder))
    highest = max((number for number, _ in _named(root / paths.RUNS)), default=-1)
    while there and there[-1][0] > highest and _is_empty(there[-1][1]):  # of a reconciliation that died
        there.pop()
    for number in range(max(highest, there[-1][0] if there else -1) + 1):
        yield number, f"{folder}/{number:04d}"


def _is_empty(folder: str) -> bool:
    try:
        return not os.listdir(folder)
    except OSError:
        return False


def numbered_folders(folder: Path) -> Iterator[tuple[int, Path]]:
    """Sub-folders named by a number, in its order."""
    return ((number, Path(name)) for number, name in _named(folder))


def _named(folder: Path) -> Iterator[tuple[int, str]]:
    """The same as text: making a Path of each takes longer than asking the file system."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for number in sorted(int(name) for name in names if name.isdecimal() and name == f"{int(name):04d}"):
        yield number, f"{folder}/{number:04d}"


def read_run(root: Path, number: int, configs: Mapping[int, str] = {}) -> Run:
    """One run's milestones and attempts; where a file of it is unreadable, that, and the attempts where they are not:
    what a trainer wrote must not keep its job from being cancelled. `configs`: the digest of the config that each of
    its milestones must be of."""
    folder = root / paths.run_dir(number)
    try:
        return _read_run(root, number, list_names(folder), configs)
    except StateError as error:
        why = with_repair_advice(error, root)
    except _NOT_AS_IT_SHOULD_BE as error:
        why = with_repair_advice(f"{folder}: a file in it is not what it should be ({error!r})", root)
    for names in ({"claims"}, set[str]()):  # without what trainers write, then without what they can reach
        try:
            marks = list_names(f"{folder}/attempts")
            return Run(
                number, {}, read_attempts(root, number, names, marks), why, retries_reset_at=retries_reset_at(marks)
            )
        except (StateError, FileNotFoundError, *_NOT_AS_IT_SHOULD_BE):
            continue
    return Run(number, unreadable=why)


_NOT_AS_IT_SHOULD_BE = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, NotADirectoryError)
"""From a file that is JSON of our schema with other content, or a file in a folder's place."""


def _read_run(root: Path, number: int, names: set[str], configs: Mapping[int, str]) -> Run:
    if not names:
        return Run(number)
    folder = root / paths.run_dir(number)
    published = _jsons(folder / "milestones") if "milestones" in names else ()
    milestones = {int(name.removesuffix(".json")): folder / "milestones" / name for name in published}
    states: dict[int, str] = {}
    for epochs, path in milestones.items():
        result = result_from(read_json(path), str(path))
        check_config(result, configs.get(epochs), str(path))
        states[epochs] = str(result.state)
    marks = list_names(f"{folder}/attempts")
    attempts = read_attempts(root, number, names, marks)
    progress, stopped = read_progress(folder, names), read_stopped(folder, names, marks)
    return Run(number, states, attempts, None, progress.points, progress.last_at, stopped, retries_reset_at(marks))


def _failures(root: Path, ended: list[int]) -> tuple[Failure, ...]:
    """The ended trials, where they are few and every one of them failed by an error."""
    found: list[Failure] = []
    for number in ended if len(ended) <= FEW else ():
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
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def _jsons(folder: Path) -> list[str]:
    return [name for name in list_names(folder) if name.endswith(".json") and name[:-5].isdecimal()]
