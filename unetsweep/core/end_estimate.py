"""When a sweep ends, as a range: from the epochs of its running trainings and from its finished trainings.

Rule 1: a running training is compared with itself: its own epochs took from a lower to an upper quartile.
Rule 2: one that has not started is compared with trainings of the same settings, finished or running; where there are
        none, with all. It takes anything from the fastest to the slowest of them.
Rule 3: no guesses. Where something is needed that is not known, the estimate says until when it is unknown.
Rule 4: nothing is assumed to be pruned or to fail, and the time that jobs wait in a queue is not counted.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import quantiles
from typing import Any

from unetsweep.core.estimate import OpenTraining, Settings, TrainingSample

RECENT = 20
"""Epochs of a running training that are compared: the newest, since a training may become slower or faster."""
MOST_SIMILAR = 20
"""Trainings of the same settings that are compared; a range hardly changes with more."""
MOST_SAMPLES = 200
"""Trainings that are compared if there is none of the same settings."""


@dataclass(frozen=True, slots=True)
class RunningTraining:
    """One training that runs."""

    settings: Settings | None
    """None: not readable."""
    epochs_left: int
    epoch_seconds: tuple[float, ...]
    """How long each of its epochs took, in order; empty: none is finished."""
    idle_seconds: float = 0.0
    """How long ago its last epoch ended, or without one, how long it has run."""


@dataclass(frozen=True, slots=True)
class EndEstimate:
    """When a sweep ends, if that is known."""

    seconds: tuple[float, float] | None
    """From now, at the earliest and at the latest; None: not known."""
    why: str
    """What it rests on, or until when it is unknown."""

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        low, high = self.seconds or (None, None)
        return {"earliest_seconds": low, "latest_seconds": high, "from": self.why}


UNKNOWN_END = EndEstimate(None, "unknown")


def estimate_end(
    running: Sequence[RunningTraining],
    waiting: Sequence[OpenTraining],
    samples: Sequence[TrainingSample],
    slots: int | None,
) -> EndEstimate:
    """Return when all of these trainings will have ended.

    `waiting`: those that have not started, also those that are not proposed yet. `samples`: of finished trainings, the
    newest first. `slots`: how many run at once at most; None: as many as run now.

    >>> running = [RunningTraining((), 10, (60.0,) * 5)]
    >>> estimate_end(running, [OpenTraining((), (20, 20))], [], 1).seconds
    (1800.0, 1800.0)
    >>> estimate_end([], [OpenTraining((), (20, 20))], [], 1).why
    'unknown until a training has finished an epoch'
    """
    if not running and not waiting:
        return EndEstimate((0.0, 0.0), "nothing is left to train")
    if any(training.epochs is None for training in waiting):
        return EndEstimate(None, "unknown until the files of all trials can be read")
    known = _Samples(chain(samples, _running_samples(running)))
    if not known.every:
        return EndEstimate(None, "unknown until a training has finished an epoch")
    at_once = slots or len(running)
    if not at_once:
        return EndEstimate(None, "unknown until a training runs")
    left = [_left(training, known) for training in running]
    new = [known.whole(training.settings, training.epochs or (0, 0)) for training in waiting]
    ends = tuple(_last_end([each[i] for each in left], [each[i] for each in new], at_once) for i in (0, 1))
    return EndEstimate((ends[0], max(ends)), _describe(len(running), len(samples), at_once if waiting else None))


def _running_samples(running: Sequence[RunningTraining]) -> Iterable[TrainingSample]:
    for training in running:
        if training.epoch_seconds and training.settings is not None:
            for seconds in _quartiles(training.epoch_seconds):
                yield TrainingSample(training.settings, seconds, 0.0, 0)


def _quartiles(seconds: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper quartile of the newest epochs. The first epoch is slow: it counts only if it is alone."""
    recent = seconds[1:][-RECENT:] or seconds
    if len(recent) == 1:
        return recent[0], recent[0]
    lower, _, upper = quantiles(recent, n=4, method="inclusive")
    return lower, upper


class _Samples:
    """Trainings that others are compared with, by their settings."""

    def __init__(self, samples: Iterable[TrainingSample]) -> None:
        self.every: list[TrainingSample] = []
        self._groups: dict[Settings, list[TrainingSample]] = defaultdict(list)
        self._known: dict[tuple[Settings | None, tuple[int, int]], tuple[float, float]] = {}
        for sample in samples:
            if len(self.every) < MOST_SAMPLES:
                self.every.append(sample)
            group = self._groups[sample.settings]
            if len(group) < MOST_SIMILAR:
                group.append(sample)

    def similar(self, settings: Settings | None) -> Sequence[TrainingSample]:
        """Those of the same settings; all if there is none."""
        found = self._groups.get(settings) if settings is not None else None
        return found or self.every

    def whole(self, settings: Settings | None, epochs: tuple[int, int]) -> tuple[float, float]:
        """How long a training takes from its start to its end: the least and the most."""
        key = (settings, epochs)
        if key not in self._known:
            found = self.similar(settings)
            low = min(epochs[0] * each.epoch_seconds + each.other_seconds for each in found)
            self._known[key] = low, max(epochs[1] * each.epoch_seconds + each.other_seconds for each in found)
        return self._known[key]


def _left(training: RunningTraining, known: _Samples) -> tuple[float, float]:
    """How long a running training still takes."""
    if not training.epoch_seconds:
        low, high = known.whole(training.settings, (training.epochs_left, training.epochs_left))
        return max(0.0, low - training.idle_seconds), max(0.0, high - training.idle_seconds)
    low, high = _quartiles(training.epoch_seconds)
    end = max(each.other_seconds for each in known.similar(training.settings))
    left = training.epochs_left
    latest = left * high - min(training.idle_seconds, high) + end
    return max(0.0, left * low - min(training.idle_seconds, low)), max(0.0, latest)


def _last_end(running: Sequence[float], waiting: Sequence[float], slots: int) -> float:
    """When the last training ends, if each of those that wait starts as soon as one of the slots is free."""
    ends = sorted([*running, *[0.0] * (slots - len(running))])[-slots:]
    for seconds in waiting:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def _describe(running: int, finished: int, slots: int | None) -> str:
    parts = [f"{running} running"] if running else []
    parts += [f"{finished} finished"] if finished else []
    text = f"from {' and '.join(parts)} {'training' if running + finished == 1 else 'trainings'}"
    return text if slots is None else f"{text}; {slots} at once, without time in the queue"
