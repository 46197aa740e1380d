"""Measures finished trainings by the files of their runs, to estimate the open ones."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from unetsweep.contract import Result
from unetsweep.core import paths
from unetsweep.core.estimate import Settings, TrainingSample, settings_of
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import StateError
from unetsweep.store.observation import list_names
from unetsweep.store.progress import read_progress
from unetsweep.store.timelines import read_timeline

SAMPLES = 20
"""How many trainings of the same settings are measured, the newest first. Their median hardly changes with more."""
MAX_SAMPLES = 200
"""How many trainings are measured, the newest first: each takes some milliseconds."""


def measure_finished_runs(root: Path, trials: Sequence[StoredTrial]) -> Iterator[TrainingSample]:
    """Yield a sample for each run of the complete and pruned trials, the newest first."""
    measured: set[int] = set()
    counts: Counter[Settings] = Counter()
    for trial in reversed(trials):
        result, run = trial.result, trial.run
        if trial.params is None or result is None or result.state not in ("complete", "pruned") or run in measured:
            continue
        measured.add(run)
        settings = settings_of(trial.params, trial.batch_size)
        if counts[settings] >= SAMPLES:
            continue
        found = _measure(root / paths.run_dir(run), settings, trial.epochs, result)
        if found is not None:
            counts[settings] += 1
            yield found
        if counts.total() >= MAX_SAMPLES:
            return


def _measure(folder: Path, settings: Settings, epochs: int, result: Result) -> TrainingSample | None:
    """Measure one run; return None if no file shows how long its training took."""
    try:
        points = read_progress(folder, list_names(folder)).points
    except StateError:
        points = ()
    times = [point.seconds for point in points if point.seconds is not None]
    held, size = _job_seconds(folder), disk_bytes(folder)
    if times:
        epoch = median(times)
        return TrainingSample(settings, epoch, max(0.0, held - epoch * len(points)) if held is not None else 0.0, size)
    whole = result.seconds if held is None else held  # a trainer command may record neither
    epochs = result.epochs_run or epochs
    return TrainingSample(settings, whole / epochs, 0.0, size) if whole is not None and epochs else None


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
