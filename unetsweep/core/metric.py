"""The metrics that a sweep can optimise: their direction, where their values are, and their names in reports.

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
"""The metric whose best epoch becomes the checkpoint. The trainer uses it, even if the sweep optimises another one."""


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
    """Whether its difference to `test_iou` is meaningful, because it is an IoU too."""

    @property
    def sign(self) -> int:
        """1 if a higher value is better, else -1. Of the values multiplied by it, the largest is the best."""
        return -1 if self.minimize else 1

    def of_result(self, result: Result) -> float | None:
        """Return the value of this metric in a result; None: it has none."""
        value: float | None = getattr(result, self.name)
        return value

    def of_epoch(self, report: EpochReport) -> float | None:
        """Return the value of this metric at an epoch; None: it has none."""
        return report.values.get(self.name)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("val_iou", "val_IoU", "iou", minimize=False, has_gap=True),
        Metric("val_loss", "val_loss", "loss", minimize=True, has_gap=False),
    )
}
"""Every metric by its name."""
