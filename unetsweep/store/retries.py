"""Taking the end of trials back: what was tried is kept, and counts no more.

Rule 1: the order survives a kill: while a trial's result is there, the trial has ended.
"""

import contextlib
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.core.observation import Run
from unetsweep.records import MarkFile, StopFile, link_record, read_record, write_record
from unetsweep.store import observation
from unetsweep.store.trials import read_trial


def reopen(root: Path, trials: Collection[int]) -> list[int]:
    """Take the end of trials back; their results are kept under other names. Those that had one."""
    at_work = {trial.run for trial in observation.observe(root).trials}
    return [trial for trial in trials if _reopen(root, trial, at_work)]


def _reopen(root: Path, trial: int, at_work: set[int]) -> bool:
    """`at_work`: runs that have an open trial, which this one's joins."""
    folder = root / paths.trial_dir(trial)
    if not (folder / paths.RESULT).exists():  # open again, and perhaps sent again
        return False
    known = read_trial(folder)
    _reset_run_retries(root, known.run, is_shared=known.run in at_work)
    at_work.add(known.run)
    run = root / paths.run_dir(known.run)
    _unstop(root / paths.stop(known.run), known.epochs)
    (run / paths.milestone(known.epochs)).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # what a trainer command published: it would not be run again
        published = sum(name.startswith("result-") for name in os.listdir(run))
        os.rename(run / paths.RESULT, run / f"result-{published + 1}.json")
    (folder / paths.CANCELLED).unlink(missing_ok=True)
    # Optuna does not reopen an ended trial, so the journal is made anew
    (root / f"{paths.STUDY}.outdated").touch()
    (root / paths.STUDY).unlink(missing_ok=True)
    earlier = sum(name.startswith("result-") for name in os.listdir(folder))
    try:
        os.rename(folder / paths.RESULT, folder / f"result-{earlier + 1}.json")
    except FileNotFoundError:
        return False
    return True


def _unstop(path: Path, epochs: int) -> None:
    """Its milestone is pruned no more. An empty stop says that verdicts up to its epoch were taken back."""
    if path.exists():
        stop = read_record(StopFile, path)
        if epochs in stop.milestones:
            write_record(path, replace(stop, milestones=tuple(each for each in stop.milestones if each != epochs)))


def restarts_from_scratch(root: Path, trial: int) -> bool:
    """Whether its run has had checkpoints and lacks the one that it could go on from."""
    folder = root / paths.run_dir(read_trial(root / paths.trial_dir(trial)).run) / "checkpoints"
    return bool(observation.list_names(folder)) and not (folder / "last.ckpt").exists()


def reset_retries(root: Path, run: int) -> None:
    """What became of a run's attempts so far counts no more."""
    names = observation.list_names(root / paths.run_dir(run) / "attempts")
    _reset_retries(root, run, max((int(name[:-5]) for name in names if name[:-5].isdecimal()), default=0))


def _reset_run_retries(root: Path, number: int, *, is_shared: bool) -> None:
    """Of a run that other open trials share: what may be at work for them goes on."""
    run = observation.read_run(root, number) if is_shared else None
    if run is None or run.last is None or run.last.lost is not None:
        reset_retries(root, number)
    else:
        _reset_open_retries(root, run)


def reset_open_retries(root: Path) -> None:
    """The same for every open trial. What may be at work goes on; should it die of what the user has mended
    meanwhile, that does not count either."""
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
