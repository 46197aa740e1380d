"""Reopens ended trials for another try. Earlier results are kept, and earlier attempts no longer count.

Rule 1: the result of a trial is moved last. If the process is killed before, the trial has still ended.
"""

import contextlib
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.core.observation import Run
from unetsweep.record_files import link_record, read_record, write_record
from unetsweep.records import MarkFile, PruneFile
from unetsweep.store import observation
from unetsweep.store.trials import read_trial


def reopen(root: Path, trials: Collection[int]) -> list[int]:
    """Reopen ended trials, and return them. Their results are kept under other names."""
    open_runs = {trial.run for trial in observation.observe(root).trials}
    return [trial for trial in trials if _reopen(root, trial, open_runs)]


def _reopen(root: Path, trial: int, open_runs: set[int]) -> bool:
    """Reopen a trial, and return whether this call did. `open_runs`: the runs that have an open trial."""
    folder = root / paths.trial_dir(trial)
    if not (folder / paths.RESULT).exists():  # it is open already
        return False
    known = read_trial(folder)
    _reset_run_retries(root, known.run, is_shared=known.run in open_runs)
    open_runs.add(known.run)
    run = root / paths.run_dir(known.run)
    _remove_milestone(root / paths.prune_file(known.run), known.epochs)
    (run / paths.milestone(known.epochs)).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # a trainer command with a result would not run again
        published = sum(name.startswith("result-") for name in os.listdir(run))
        os.rename(run / paths.RESULT, run / f"result-{published + 1}.json")
    (folder / paths.CANCELLED).unlink(missing_ok=True)
    # Optuna cannot reopen an ended trial, so the journal is deleted, and the next export creates it
    (root / f"{paths.STUDY}.outdated").touch()
    (root / paths.STUDY).unlink(missing_ok=True)
    earlier = sum(name.startswith("result-") for name in os.listdir(folder))
    try:
        os.rename(folder / paths.RESULT, folder / f"result-{earlier + 1}.json")
    except FileNotFoundError:
        return False
    return True


def _remove_milestone(path: Path, epochs: int) -> None:
    """Remove a milestone from what is pruned. An empty list means that the user revoked the decision."""
    if path.exists():
        prune = read_record(PruneFile, path)
        if epochs in prune.milestones:
            write_record(path, replace(prune, milestones=tuple(each for each in prune.milestones if each != epochs)))


def restarts_from_scratch(root: Path, trial: int) -> bool:
    """Whether the trial's run had checkpoints, but lacks the one to resume from."""
    folder = root / paths.run_dir(read_trial(root / paths.trial_dir(trial)).run) / "checkpoints"
    return bool(observation.list_names(folder)) and not (folder / "last.ckpt").exists()


def reset_retries(root: Path, run: int) -> None:
    """Record that none of a run's attempts so far counts any more."""
    names = observation.list_names(root / paths.run_dir(run) / "attempts")
    _reset_retries(root, run, max(paths.numbers_of(names), default=0))


def _reset_run_retries(root: Path, number: int, *, is_shared: bool) -> None:
    """Reset the retries of a run. If other open trials share it, an attempt that may be running continues."""
    run = observation.read_run(root, number) if is_shared else None
    if run is None or run.last is None or run.last.lost is not None:
        reset_retries(root, number)
    else:
        _reset_open_retries(root, run)


def reset_open_retries(root: Path) -> None:
    """Reset the retries of every run with an open trial.

    An attempt that may be running continues. If it is lost, because it started before the user fixed the cause, that
    does not count either.
    """
    for run in observation.observe(root).runs.values():
        _reset_open_retries(root, run)


def _reset_open_retries(root: Path, run: Run) -> None:
    last = run.last
    if last is None:
        return
    if last.lost is None:
        link_record(root / paths.retry_exempt(run.number, last.number), MarkFile(utc_now()))
    _reset_retries(root, run.number, last.number - (last.lost is None))


def _reset_retries(root: Path, run: int, number: int) -> None:
    if number:
        link_record(root / paths.retries_reset_at(run, number), MarkFile(utc_now()))
