"""What finished trainings took, from the files of their runs: for an estimate of the open ones."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from unetsweep.contract import Result
from unetsweep.core import paths
from unetsweep.core.estimate import TrainingSample
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import StateError
from unetsweep.store.observation import list_names
from unetsweep.store.progress import read_progress
from unetsweep.store.timelines import read_timeline

ENOUGH = 20
"""Trainings of one batch size that are looked into: the newest."""


def measure_finished_runs(root: Path, trials: Sequence[StoredTrial]) -> Iterator[TrainingSample]:
    """Of the complete and pruned ones of `SweepDir.trials`, each run once."""
    seen: set[int] = set()
    counts: dict[int, int] = {}
    for trial in reversed(trials):
        result, run, batch = trial.result, trial.run, trial.batch_size
        if trial.params is None or result is None or result.state not in ("complete", "pruned") or run in seen:
            continue
        seen.add(run)
        folder = root / paths.run_dir(run)
        if counts.get(batch, 0) < ENOUGH and (found := _finished(folder, batch, trial.epochs, result)) is not None:
            counts[batch] = counts.get(batch, 0) + 1
            yield found


def _finished(folder: Path, batch: int, epochs: int, result: Result) -> TrainingSample | None:
    """None where nothing tells how long it took."""
    try:
        points = read_progress(folder, list_names(folder)).points
    except StateError:
        points = ()
    times = [point.seconds for point in points if point.seconds is not None]
    held, size = _held(folder), disk_bytes(folder)
    if times:
        epoch = median(times)
        return TrainingSample(batch, epoch, max(0.0, held - epoch * len(points)) if held is not None else 0.0, size)
    whole = result.seconds if held is None else held  # a program of the user's may tell neither
    epochs = result.epochs_run or epochs
    return TrainingSample(batch, whole / epochs, 0.0, size) if whole is not None and epochs else None


def _held(folder: Path) -> float | None:
    """How long its job held its place, where it was one start and its end is known."""
    timeline = read_timeline(folder, is_open=False)
    if timeline is None or len(timeline.starts) != 1 or timeline.starts[0].end is None:
        return None
    return timeline.starts[0].end - timeline.starts[0].begin


def disk_bytes(folder: Path) -> int:
    """Of a run's checkpoints; two names of one file count once."""
    try:
        with os.scandir(folder / "checkpoints") as found:
            stats = {(stat.st_dev, stat.st_ino): stat.st_size for stat in (each.stat() for each in found)}
    except FileNotFoundError:
        return 0
    return sum(stats.values())
