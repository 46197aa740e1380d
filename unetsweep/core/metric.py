"""The metric that a sweep optimises: a number in result.json, and whether more or less of it is better.

Rule 1: everything that depends on `study.metric` asks the `Metric` of the sweep, also the checkpoint of the built-in
        trainer.
Rule 2: a complete result counts for a sweep only if it has the metric, with a value that is possible.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from unetsweep.contract import Result
from unetsweep.core.failures import ResultProblem
from unetsweep.core.observation import EpochReport
from unetsweep.trial_config import MINIMIZED_METRICS


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that a sweep can optimise."""

    name: str
    """Its name in `study.metric`, in result.json and in a line of progress."""
    label: str
    """Its name in text and tables for people."""
    per_image: str
    """The key of its value in each row of `Result.val_per_image`."""
    minimize: bool
    """Whether a lower value is better."""
    has_gap: bool = False
    """Whether its difference to `test_iou` is meaningful, because it is an IoU too."""
    score: str = ""
    """The key of its value in `Result.val_scores`; empty: it has none."""
    range: tuple[float, float] | None = None
    """Its smallest and its largest value; None: any number."""

    @property
    def sign(self) -> int:
        """1 if a higher value is better, else -1. Of the values multiplied by it, the largest is the best."""
        return -1 if self.minimize else 1

    @property
    def direction(self) -> str:
        return "minimize" if self.minimize else "maximize"

    def of_result(self, result: Result) -> float | None:
        """Return the value of this metric in a result; None: it has none."""
        value = getattr(result, self.name) if self.name in NUMBERS else result.val_scores.get(self.score)
        return _number(result.extra.get(self.name) if value is None else value)

    def of_epoch(self, report: EpochReport) -> float | None:
        """Return the value of this metric at an epoch; None: it has none."""
        return report.values.get(self.name)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("val_iou", "val_IoU", "iou", minimize=False, has_gap=True, range=(0, 1)),
        Metric("val_loss", "val_loss", "loss", minimize="val_loss" in MINIMIZED_METRICS),
        Metric("val_dice", "val_dice", "dice", minimize=False, score="dice", range=(0, 1)),
        Metric("val_precision", "val_precision", "precision", minimize=False, score="precision", range=(0, 1)),
        Metric("val_sensitivity", "val_sensitivity", "sensitivity", minimize=False, score="sensitivity", range=(0, 1)),
        Metric("val_iou_mean", "val_IoU_mean", "iou", minimize=False, score="image_iou_mean", range=(0, 1)),
    )
}
"""The metrics that the built-in trainer reports (`BUILT_IN_METRICS`), by name. Their directions are known."""
NUMBERS = ("val_iou", "val_loss", "test_iou", "test_loss", "seconds", "gpu_seconds", "peak_memory_mb")
"""The fields of a result that a trainer command may have as its metric; other names are keys of its own."""
_NO_METRIC = frozenset(
    {"state", "trial", "job_id", "config_id", "epochs", "epochs_run", "best_epoch", "checkpoint", "host", "threads"}
    | {"weights_sha256", "micro_batch", "message", "schema", "extra"}
)
"""The fields of a result that are no score."""
MAX_NAME = 60
_NEAR = 0.7
"""How similar two names are, of which one may be a slip of the other."""


def metric_of(name: str, direction: str | None) -> Metric:
    """Return the metric of this name. `direction` must be given if the name is not in METRICS."""
    known = METRICS.get(name)
    return known if known is not None else Metric(name, name, name, minimize=direction == "minimize")


def name_problem(name: str, *, is_built_in: bool) -> str | None:
    """Return why no sweep can optimise this; None: it can. `is_built_in`: the built-in trainer trains.

    >>> name_problem("rmse", is_built_in=False)
    >>> name_problem("val_iuo", is_built_in=True)
    "found 'val_iuo'; did you mean 'val_iou'?"
    """
    if name in METRICS:
        return None
    if is_built_in:
        near = difflib.get_close_matches(name, METRICS, 1, _NEAR)
        allowed = f"did you mean {near[0]!r}?" if near else f"the built-in trainer reports {', '.join(METRICS)}"
        return f"found {name!r}; {allowed}"
    if name in _NO_METRIC:
        return f"found {name!r}, which is no score in result.json; name a number that the trainer writes there"
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or any(each in name for each in " ,"):
        return f"found {name!r}; 1 to {MAX_NAME} printable characters without spaces and commas"[:200]
    return None


def direction_problem(name: str, direction: str | None) -> str | None:
    """Return why this direction does not fit the metric; None: it does, or nothing is to be said."""
    known = METRICS.get(name)
    if known is None and direction is None:
        return f"is missing: it is not known whether more or less {name} is better; allowed: minimize, maximize"
    if known is not None and direction not in (None, known.direction):
        return f"found {direction!r}; {name} has {known.direction!r}, so leave it out"
    return None


def result_problem(metric: Metric, result: Result) -> ResultProblem | None:
    """Return why a result does not count for a sweep with this metric; None: it does, or it is not complete."""
    if result.state != "complete":
        return None
    value = metric.of_result(result)
    if value is None:
        why = f"no number {metric.name}, which study.metric names; {_found(metric, result)}; let the program write "
        why += "it, or correct study.metric in a copy of the file with another name: a sweep keeps its metric"
        return ResultProblem(f"no {metric.name}", why)
    if metric.range is not None and not metric.range[0] <= value <= metric.range[1]:
        low, high = metric.range
        return ResultProblem(f"range of {metric.name}", f"found {metric.name} {value}; {low} to {high}")
    return None


def _found(metric: Metric, result: Result) -> str:
    """What a result has instead of the metric."""
    if isinstance(result.extra.get(metric.name), str):
        return f"found the text {result.extra[metric.name]!r}"[:120]
    names = dict.fromkeys(_scores(result))
    near = difflib.get_close_matches(metric.name, names, 1, _NEAR)
    if near and near[0] not in METRICS:
        return f"it has {near[0]}: did you mean that?"
    listed = ", ".join([*names][:8]) + (", …" if len(names) > 8 else "")
    return f"it has {listed}" if listed else "it has no score"


def _scores(result: Result) -> Iterator[str]:
    """The names of the scores in a result."""
    yield from (name for name in NUMBERS[:4] if getattr(result, name) is not None)
    yield from (name for name, metric in METRICS.items() if metric.score and metric.of_result(result) is not None)
    yield from (name for name, value in result.extra.items() if _number(value) is not None)


def _number(value: object) -> float | None:
    """The value, if it is a number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
