"""What the open trainings will take, from those that have finished with the same batch size.

Rule 1: no guess: a batch size of which nothing has finished, or a point that is not drawn yet, makes all of it unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from unetsweep.core.cost import JobResources


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One training that has ended."""

    batch_size: int
    epoch_seconds: float
    other_seconds: float
    """Its start and its end: what its job took besides the epochs."""
    disk_bytes: int
    """Its checkpoints."""


@dataclass(frozen=True, slots=True)
class Open:
    """One training that is still to come, or to go on."""

    batch_size: int | None
    """None: not drawn yet, or not readable. So for the epochs."""
    epochs: int | None
    """How many are left."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Keys of the JSON of `submit --dry-run`."""

    gpu_hours: float | None
    """None: unknown. So for the other numbers."""
    cpu_hours: float | None
    disk_bytes: int | None
    estimated_from: str


def estimate(finished: Iterable[TrainingSample], trainings: Sequence[Open], place: JobResources) -> Estimate:
    """Of all the open trainings together.

    >>> sizes = ((2.0, 10.0), (4.0, 10.0), (3.0, 40.0))
    >>> done = [TrainingSample(4, epoch, other, 3000) for epoch, other in sizes]
    >>> estimate(done, [Open(4, 100), Open(4, 20)], JobResources(gpus=2, cpus=3)).gpu_hours
    0.2111111111111111
    """
    if not trainings:
        return Estimate(0.0, 0.0, 0, "nothing is left to train")
    by_batch: dict[int, list[TrainingSample]] = {}
    for each in finished:
        by_batch.setdefault(each.batch_size, []).append(each)
    seconds, size = 0.0, 0
    for training in trainings:
        if training.batch_size is None or training.epochs is None:
            return _unknown("not every point is known before it is drawn")
        same = by_batch.get(training.batch_size)
        if same is None:
            return _unknown(f"no trial with batch size {training.batch_size} has finished")
        seconds += training.epochs * _median(same, "epoch_seconds") + _median(same, "other_seconds")
        size += round(_median(same, "disk_bytes"))
    used = {training.batch_size for training in trainings if training.batch_size is not None}
    told = "; ".join(_told(batch, by_batch[batch]) for batch in sorted(used))
    hours = seconds / 3600
    return Estimate(hours * place.gpus, hours * place.cpus, size, f"medians of finished trials: {told}")


def _unknown(why: str) -> Estimate:
    return Estimate(None, None, None, why)


def _median(same: Sequence[TrainingSample], name: str) -> float:
    return float(median(getattr(each, name) for each in same))


def _told(batch: int, same: Sequence[TrainingSample]) -> str:
    epoch, other = _median(same, "epoch_seconds"), _median(same, "other_seconds")
    size = size_text(round(_median(same, "disk_bytes")))
    return f"{len(same)} with batch size {batch}, {epoch:.3g} s an epoch and {other:.3g} s besides, {size} each"


def line(found: Estimate, *, gpus: bool) -> str:
    """For a person.

    >>> line(Estimate(None, None, None, "no trial with batch size 8 has finished"), gpus=True)
    'GPU-hours unknown, disk unknown (no trial with batch size 8 has finished)'
    >>> line(Estimate(0.0, 0.5, 1_234_567_890, "…"), gpus=False)
    'CPU-hours 0.50, disk 1.2 GB (…)'
    """
    hours, unit = (found.gpu_hours, "GPU") if gpus else (found.cpu_hours, "CPU")
    time = "unknown" if hours is None else f"{hours:.2f}"
    disk = "unknown" if found.disk_bytes is None else size_text(found.disk_bytes)
    return f"{unit}-hours {time}, disk {disk} ({found.estimated_from})"


def size_text(size: int) -> str:
    """
    >>> size_text(0), size_text(1_234_567), size_text(31_000_000_000)
    ('0.0 MB', '1.2 MB', '31.0 GB')
    """
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
