"""The metrics that a sweep can optimise: their direction, where their values are, and how a report words them.

Rule 1: everything that depends on `study.metric` asks the `Metric` of the sweep. Only the checkpoint does not depend on
        it: see CHECKPOINT.
"""

from dataclasses import dataclass
from typing import Literal

from unetsweep.contract import Result
from unetsweep.core.observation import EpochReport

MetricName = Literal["val_iou", "val_loss"]
"""The names in METRICS."""
CHECKPOINT: MetricName = "val_iou"
"""The metric whose best epoch becomes the checkpoint, whatever the sweep optimises: the trainer chooses by it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A validation metric that a sweep can optimise."""

    name: str
    """Its name in `study.metric`. `Result` and `Progress` have a field of this name."""
    label: str
    """Its name in text and tables for people."""
    per_image: str
    """The key of its value in each row of `Result.val_per_image`."""
    minimize: bool
    """Whether a lower value is better."""
    has_gap: bool
    """Whether its difference to `test_iou` has a meaning."""

    @property
    def sign(self) -> int:
        """1 if more is better, else -1: times the sign, the best value is the largest."""
        return -1 if self.minimize else 1

    def of_result(self, result: Result) -> float | None:
        """Its value of a training's result; None: it has none."""
        value: float | None = getattr(result, self.name)
        return value

    def of_epoch(self, report: EpochReport) -> float | None:
        """Its value of an epoch; None: it has none."""
        return report.values.get(self.name)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("val_iou", "val_IoU", "iou", minimize=False, has_gap=True),
        Metric("val_loss", "val_loss", "loss", minimize=True, has_gap=False),
    )
}
"""Every metric by its name."""
