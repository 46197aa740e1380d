"""Estimate: what the open trainings will take, from finished ones.

Rule 1: a training is compared with the finished ones of the same settings. Where there are none, or its settings are
        not known yet, it takes anything from the fastest to the slowest of all finished ones.
Rule 2: no guesses. Without a finished training the estimate is unknown.
Rule 3: nothing is assumed to be pruned or to fail.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from unetsweep.core.cost import JobResources
from unetsweep.texts import counted
from unetsweep.trial_config import ParameterValue

Settings = tuple[tuple[str, ParameterValue], ...]
"""What the time of an epoch depends on, by path."""
_SAME_WORK = frozenset(("epochs", "learning_rate", "seed", "trainer.weight_decay", "trainer.momentum", "model.dropout"))
"""Parameters whose values do not change the time of an epoch."""
_MOST_GROUPS = 3
"""How many groups of finished trainings an estimate names."""


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """What one finished training took."""

    settings: Settings
    epoch_seconds: float
    other_seconds: float
    """What its job took besides the epochs, to start and to end."""
    disk_bytes: int
    """Size of its checkpoints."""


@dataclass(frozen=True, slots=True)
class OpenTraining:
    """One training that has not started, or is not complete."""

    settings: Settings | None
    """None: not proposed yet, or not readable."""
    epochs: tuple[int, int] | None
    """The fewest and the most epochs that are left; None: not readable."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What all open trainings will take, if it is known."""

    gpu_hours: float | None
    """By the medians of the finished trainings; None: unknown."""
    cpu_hours: float | None
    disk_bytes: int | None
    estimated_from: str
    """Which finished trainings it rests on, or why it is unknown."""
    gpu_hours_range: tuple[float, float] | None = None
    """By the fastest and by the slowest of the finished trainings; None: unknown, or nothing is left to train."""
    cpu_hours_range: tuple[float, float] | None = None
    needs_finished: bool = False
    """Whether it is unknown only because no training has finished."""

    def as_json(self) -> dict[str, Any]:
        """Return the keys of `submit --dry-run --json`: those of the ranges only if there are any."""
        found = asdict(self)
        del found["needs_finished"]
        return {name: value for name, value in found.items() if value is not None or not name.endswith("_range")}


def changes_work(path: str) -> bool:
    """Return whether the time of an epoch may depend on this parameter."""
    return path not in _SAME_WORK


def settings_of(params: Mapping[str, ParameterValue], batch_size: int) -> Settings:
    """Return what the time of an epoch depends on.

    >>> settings_of({"epochs": 8, "model.base": 32, "learning_rate": 1e-3}, 4)
    (('batch_size', 4), ('model.base', 32))
    """
    found = {"batch_size": batch_size, **params}
    return tuple(sorted((path, value) for path, value in found.items() if changes_work(path)))


@dataclass(frozen=True, slots=True)
class _Seconds:
    low: float = 0.0
    middle: float = 0.0
    high: float = 0.0

    def __add__(self, other: "_Seconds") -> "_Seconds":
        return _Seconds(self.low + other.low, self.middle + other.middle, self.high + other.high)


def estimate(
    samples: Iterable[TrainingSample],
    trainings: Sequence[OpenTraining],
    resources: JobResources,
    *,
    names_batch: bool = True,
) -> Estimate:
    """Return the estimate for all open trainings together. `names_batch`: the sweep has batch sizes.

    >>> times, batch = ((2.0, 10.0), (4.0, 10.0), (3.0, 40.0)), settings_of({}, 4)
    >>> samples = [TrainingSample(batch, epoch, other, 3000) for epoch, other in times]
    >>> open_trainings = [OpenTraining(batch, (100, 100)), OpenTraining(batch, (20, 20))]
    >>> found = estimate(samples, open_trainings, JobResources(gpus=2, cpus=3))
    >>> found.gpu_hours, found.gpu_hours_range
    (0.2111111111111111, (0.14444444444444443, 0.2833333333333333))
    """
    if not trainings:
        return Estimate(0.0, 0.0, 0, "nothing is left to train")
    every = list(samples)
    if not every:
        return Estimate(None, None, None, _why_unknown(trainings[0], names_batch=names_batch), needs_finished=True)
    groups: dict[Settings, list[TrainingSample]] = {}
    for sample in every:
        groups.setdefault(sample.settings, []).append(sample)
    seconds, disk_bytes = _Seconds(), 0
    for training in trainings:
        if training.epochs is None:
            return Estimate(None, None, None, "the files of a trial cannot be read")
        similar = every if training.settings is None else groups.get(training.settings, every)
        seconds += _seconds(similar, *training.epochs)
        disk_bytes += round(_median(similar, "disk_bytes"))
    low, middle, high = (each / 3600 for each in (seconds.low, seconds.middle, seconds.high))
    return Estimate(
        middle * resources.gpus,
        middle * resources.cpus,
        disk_bytes,
        _describe_sources(every, groups, trainings, names_batch=names_batch),
        (low * resources.gpus, high * resources.gpus),
        (low * resources.cpus, high * resources.cpus),
    )


def _seconds(samples: Sequence[TrainingSample], fewest: int, most: int) -> _Seconds:
    """How long one training takes: by the fastest, by the medians, and by the slowest of the samples."""

    def taken(sample: TrainingSample, epochs: int) -> float:
        return epochs * sample.epoch_seconds + sample.other_seconds

    middle = (fewest + most) / 2 * _median(samples, "epoch_seconds") + _median(samples, "other_seconds")
    low, high = min(taken(each, fewest) for each in samples), max(taken(each, most) for each in samples)
    return _Seconds(min(low, middle), middle, max(high, middle))  # a mixture of two medians may be outside


def _why_unknown(first: OpenTraining, *, names_batch: bool) -> str:
    batch = dict(first.settings or ()).get("batch_size")
    return f"no trial{f' with batch size {batch}' if names_batch and batch is not None else ''} has finished"


def _median(samples: Sequence[TrainingSample], name: str) -> float:
    return float(median(getattr(sample, name) for sample in samples))


def _describe_sources(
    every: Sequence[TrainingSample],
    groups: Mapping[Settings, Sequence[TrainingSample]],
    trainings: Sequence[OpenTraining],
    *,
    names_batch: bool,
) -> str:
    """Which finished trainings an estimate rests on."""
    compared = [each.settings for each in trainings if each.settings is not None and each.settings in groups]
    used = sorted(set(compared), key=repr)
    texts = [_describe_samples(groups[each], _names(each, names_batch=names_batch)) for each in used[:_MOST_GROUPS]]
    texts += [f"and {counted(len(used) - _MOST_GROUPS, 'more group')}"] if len(used) > _MOST_GROUPS else []
    parts = [f"fastest to slowest of finished trials with the same settings: {'; '.join(texts)}"] if texts else []
    others = len(trainings) - len(compared)
    if others:
        which = f"{counted(others, 'training')} without a finished trial of the same settings"
        parts.append(f"for {which}, fastest to slowest of all finished trials: {_describe_samples(every)}")
    return "; ".join(parts)


def _names(settings: Settings, *, names_batch: bool) -> str:
    """The settings as a text: ` with batch size 4, model.base 32`."""
    named = [f"{'batch size' if path == 'batch_size' else path} {value}" for path, value in settings]
    texts = [text for text, (path, _) in zip(named, settings, strict=True) if names_batch or path != "batch_size"]
    return f" with {', '.join(texts)}" if texts else ""


def _describe_samples(samples: Sequence[TrainingSample], which: str = "") -> str:
    epoch, other = _median(samples, "epoch_seconds"), _median(samples, "other_seconds")
    size = format_size(round(_median(samples, "disk_bytes")))
    return f"{len(samples)}{which}, {epoch:.3g} s per epoch plus {other:.3g} s, {size} each"


def format_estimate(found: Estimate, *, gpus: bool) -> str:
    """Return the estimate with what it rests on as one line for the user.

    >>> format_estimate(Estimate(None, None, None, "no trial has finished", needs_finished=True), gpus=True)
    'GPU-hours and disk unknown until one has ended (no trial has finished)'
    >>> format_estimate(Estimate(0.0, 0.5, 1_234_567_890, "…", cpu_hours_range=(0.4, 0.75)), gpus=False)
    'CPU-hours 0.40 to 0.75 (about 0.50), disk 1.2 GB (…)'
    """
    return f"{format_hours(found, gpus=gpus)} ({found.estimated_from})"


def format_hours(found: Estimate, *, gpus: bool) -> str:
    """Return the estimate without what it rests on: `CPU-hours 0.40 to 0.75 (about 0.50), disk 1.2 GB`."""
    hours, ends = (found.gpu_hours, found.gpu_hours_range) if gpus else (found.cpu_hours, found.cpu_hours_range)
    unit = "GPU" if gpus else "CPU"
    if hours is None or found.disk_bytes is None:
        until = " until one has ended" if found.needs_finished else ""
        return f"{unit}-hours and disk unknown{until}"
    middle, low, high = (f"{each:.2f}" for each in (hours, *(ends or (hours, hours))))
    time = f"{low} to {high} (about {middle})" if low != high else middle
    return f"{unit}-hours {time}, disk {format_size(found.disk_bytes)}"


def format_size(size: int) -> str:
    """Return a number of bytes in MB or GB.

    >>> format_size(0), format_size(1_234_567), format_size(31_000_000_000)
    ('0.0 MB', '1.2 MB', '31.0 GB')
    """
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
