"""Estimate: what the open trainings will take, from finished ones with the same batch size.

Rule 1: no guesses. If a batch size has no finished training, or a trial is not proposed yet, the estimate is unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from unetsweep.core.cost import JobResources


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """What one finished training took."""

    batch_size: int
    epoch_seconds: float
    other_seconds: float
    """What its job took besides the epochs, to start and to end."""
    disk_bytes: int
    """Size of its checkpoints."""


@dataclass(frozen=True, slots=True)
class OpenTraining:
    """One training that has not started, or is not complete."""

    batch_size: int | None
    """None: not proposed yet, or not readable."""
    epochs: int | None
    """Epochs that are left; None: not proposed yet, or not readable."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What all open trainings will take. Each field is a key in the JSON of `submit --dry-run`; None: unknown."""

    gpu_hours: float | None
    cpu_hours: float | None
    disk_bytes: int | None
    estimated_from: str


def estimate(
    samples: Iterable[TrainingSample],
    trainings: Sequence[OpenTraining],
    resources: JobResources,
    *,
    names_batch: bool = True,
) -> Estimate:
    """Return the estimate for all open trainings together. `names_batch`: the sweep has batch sizes.

    >>> times = ((2.0, 10.0), (4.0, 10.0), (3.0, 40.0))
    >>> samples = [TrainingSample(4, epoch, other, 3000) for epoch, other in times]
    >>> estimate(samples, [OpenTraining(4, 100), OpenTraining(4, 20)], JobResources(gpus=2, cpus=3)).gpu_hours
    0.2111111111111111
    """
    if not trainings:
        return Estimate(0.0, 0.0, 0, "nothing is left to train")
    by_batch: dict[int, list[TrainingSample]] = {}
    for sample in samples:
        by_batch.setdefault(sample.batch_size, []).append(sample)
    seconds, disk_bytes = 0.0, 0
    for training in trainings:
        if training.batch_size is None or training.epochs is None:
            return _unknown("some trials are not proposed yet")
        similar = by_batch.get(training.batch_size)
        if similar is None:
            with_size = f" with batch size {training.batch_size}" if names_batch else ""
            return _unknown(f"no trial{with_size} has finished")
        seconds += training.epochs * _median(similar, "epoch_seconds") + _median(similar, "other_seconds")
        disk_bytes += round(_median(similar, "disk_bytes"))
    used = {training.batch_size for training in trainings if training.batch_size is not None}
    sources = "; ".join(
        _describe_samples(batch_size if names_batch else None, by_batch[batch_size]) for batch_size in sorted(used)
    )
    hours = seconds / 3600
    return Estimate(
        hours * resources.gpus, hours * resources.cpus, disk_bytes, f"medians of finished trials: {sources}"
    )


def _unknown(reason: str) -> Estimate:
    return Estimate(None, None, None, reason)


def _median(samples: Sequence[TrainingSample], name: str) -> float:
    return float(median(getattr(sample, name) for sample in samples))


def _describe_samples(batch_size: int | None, samples: Sequence[TrainingSample]) -> str:
    epoch, other = _median(samples, "epoch_seconds"), _median(samples, "other_seconds")
    size = format_size(round(_median(samples, "disk_bytes")))
    with_size = "" if batch_size is None else f" with batch size {batch_size}"
    return f"{len(samples)}{with_size}, {epoch:.3g} s per epoch plus {other:.3g} s, {size} each"


def format_estimate(found: Estimate, *, gpus: bool) -> str:
    """Return the estimate as one line for the user.

    >>> format_estimate(Estimate(None, None, None, "no trial with batch size 8 has finished"), gpus=True)
    'GPU-hours unknown, disk unknown (no trial with batch size 8 has finished)'
    >>> format_estimate(Estimate(0.0, 0.5, 1_234_567_890, "…"), gpus=False)
    'CPU-hours 0.50, disk 1.2 GB (…)'
    """
    hours, unit = (found.gpu_hours, "GPU") if gpus else (found.cpu_hours, "CPU")
    time = "unknown" if hours is None else f"{hours:.2f}"
    disk = "unknown" if found.disk_bytes is None else format_size(found.disk_bytes)
    return f"{unit}-hours {time}, disk {disk} ({found.estimated_from})"


def format_size(size: int) -> str:
    """Return a number of bytes in MB or GB.

    >>> format_size(0), format_size(1_234_567), format_size(31_000_000_000)
    ('0.0 MB', '1.2 MB', '31.0 GB')
    """
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
