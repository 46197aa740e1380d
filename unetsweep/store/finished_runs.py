"""Measures finished trainings by the files of their runs, to estimate the open ones."""

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

SAMPLES = 20
"""How many trainings of each batch size are measured, the newest first. Their median hardly changes with more."""


def measure_finished_runs(root: Path, trials: Sequence[StoredTrial]) -> Iterator[TrainingSample]:
    """Yield a sample for each run of the complete and pruned trials, the newest first."""
    measured: set[int] = set()
    counts: dict[int, int] = {}
    for trial in reversed(trials):
        result, run, batch = trial.result, trial.run, trial.batch_size
        if trial.params is None or result is None or result.state not in ("complete", "pruned") or run in measured:
            continue
        measured.add(run)
        folder = root / paths.run_dir(run)
        if counts.get(batch, 0) < SAMPLES and (found := _measure(folder, batch, trial.epochs, result)) is not None:
            counts[batch] = counts.get(batch, 0) + 1
            yield found


def _measure(folder: Path, batch: int, epochs: int, result: Result) -> TrainingSample | None:
    """Measure one run; return None if no file shows how long its training took."""
    try:
        points = read_progress(folder, list_names(folder)).points
    except StateError:
        points = ()
    times = [point.seconds for point in points if point.seconds is not None]
    held, size = _job_seconds(folder), disk_bytes(folder)
    if times:
        epoch = median(times)
        return TrainingSample(batch, epoch, max(0.0, held - epoch * len(points)) if held is not None else 0.0, size)
    whole = result.seconds if held is None else held  # a trainer command may record neither
    epochs = result.epochs_run or epochs
    return TrainingSample(batch, whole / epochs, 0.0, size) if whole is not None and epochs else None


def _job_seconds(folder: Path) -> float | None:
    """How long its job ran, if it was one start with a recorded end."""
    timeline = read_timeline(folder, is_open=False)
    if timeline is None or len(timeline.starts) != 1 or timeline.starts[0].end is None:
        return None
    return timeline.starts[0].end - timeline.starts[0].begin


def disk_bytes(folder: Path) -> int:
    """Return the size of a run's checkpoints. A file with two names counts once."""
    try:
        with os.scandir(folder / "checkpoints") as found:
            stats = [each.stat(follow_symlinks=False) for each in found]
    except OSError:  # there is none, or something else is in its place
        return 0
    return sum({(stat.st_dev, stat.st_ino): stat.st_size for stat in stats}.values())
