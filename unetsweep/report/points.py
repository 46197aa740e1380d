"""A report of a sweep with `study.repeats`: a row for each point, with the means of its trainings.

Rule 1: a row is the record of the point's first trial, with the state of the point. Its columns find the point.
Rule 2: means are those of the complete trainings, or of all with a result if none is complete.
Rule 3: a mean has a standard deviation (n - 1) if two trainings or more have a value, and all are finite. Its column is
        `NAME_seed_sd`: `val_iou_sd` is the spread over the images of one training.
Rule 4: a column of points gives way to a parameter or a score of a trainer command with its name.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from unetsweep.analysis import rows
from unetsweep.analysis.rows import PointRecord, SweepRecord, TrialRecord
from unetsweep.config.parameters import SEED
from unetsweep.core.space import REQUIRED
from unetsweep.report import confirmed
from unetsweep.report.columns import COSTS, LEAK, Column, Value, column_name
from unetsweep.texts import score_text

_TRAININGS, _SEEDS, _SPREAD = "trainings", "seeds", "_seed_sd"
MOST_JOBS = 3
"""Job ids of a point in a table for people; CSV and JSON have all."""
_MEANS = ("best_epoch", "epochs_run", "micro_batch", "seconds", "gpu_seconds", "peak_memory_mb")
"""Numbers of a result that are averaged, but are no scores."""
_OF_BEST = ("checkpoint", "archive")
"""What a point has from its best training."""


def by_number(sweep: SweepRecord) -> dict[int, PointRecord]:
    """The points by the numbers of their first trials; none without repeats."""
    return {} if sweep.spec.study.repeats == 1 else {point.number: point for point in rows.points(sweep)}


def row(point: PointRecord) -> TrialRecord:
    """The row of a point: its parameters, its state and its first job."""
    return replace(point.trials[0], state=point.state)


def columns(sweep: SweepRecord, known: Mapping[str, Column], points: Mapping[int, PointRecord]) -> dict[str, Column]:
    """The columns of the points, in order. `known`: those of the trials."""
    trainings, seeds = trainings_column(known), _free_name(_SEEDS, known)
    of_first = {"trial", "state", LEAK, *REQUIRED, *map(column_name, sweep.spec.space.paths), *confirmed.columns(sweep)}
    found: dict[str, Column] = {}
    for name, column in known.items():
        if name == SEED:
            found[seeds] = Column(seeds, seeds, _joined(points, column), is_text=True)
        elif name == "job_id":
            found[name] = replace(column, value=_joined(points, column), text=_jobs_text)
            found[trainings] = _trainings(trainings, points, sweep.spec.study.repeats)
        elif name in of_first:
            found[name] = column
        elif name in _OF_BEST:
            found[name] = replace(column, value=_of_best(points, column))
        elif column.is_text:
            found[name] = replace(column, value=_joined(points, column, "; " if name == "reason" else " "))
        elif name in COSTS:
            found[name] = replace(column, value=_cost(points, column))
        elif name in _MEANS:
            found[name] = replace(column, value=_mean(points, column), text=_short)
        else:
            spread, of_spread = _sd(points, column), _free_name(name + _SPREAD, known)
            found[name] = replace(column, value=_mean(points, column), sd=spread)
            found[of_spread] = Column(of_spread, column.heading + _SPREAD, spread, column.text, is_own=column.is_own)
    return found


def trainings_column(known: Mapping[str, Column]) -> str:
    """The name of the column that says how many trainings of a point are complete."""
    return _free_name(_TRAININGS, known)


def _free_name(name: str, known: Mapping[str, Column]) -> str:
    return f"point.{name}" if name in known else name


def shows_trainings(points: Mapping[int, PointRecord]) -> bool:
    """Whether a table for people says how many trainings are complete: of some point not all are."""
    return any(len(point.complete) < point.wanted for point in points.values())


def mean_text(mean: float | None, sd: float | None) -> str:
    """A mean and its standard deviation for people.

    >>> mean_text(0.71234, 0.0101), mean_text(0.5, None)
    ('0.7123 ± 0.0101', '0.5000')
    """
    if mean is None:
        return "-"
    return score_text(mean) if sd is None else f"{score_text(mean)} ± {score_text(sd)}"


_ColumnValue = Callable[[TrialRecord], Value]


def _trainings(name: str, points: Mapping[int, PointRecord], wanted: int) -> Column:
    def value(trial: TrialRecord) -> Value:
        return len(points[trial.number].complete)

    def text(complete: int) -> str:
        return str(complete) if complete >= wanted else f"{complete} of {wanted}"

    return Column(name, name, value, text, is_identity=True)


def _joined(points: Mapping[int, PointRecord], column: Column, between: str = " ") -> _ColumnValue:
    """The different texts of all trainings; None if there is none."""

    def value(trial: TrialRecord) -> Value:
        found = dict.fromkeys(column.value(each) for each in points[trial.number].trials)
        return between.join(str(each) for each in found if each is not None) or None

    return value


def _jobs_text(ids: str) -> str:
    """The first jobs of a point: all of them may be many.

    >>> _jobs_text("18808_0 18808_1"), _jobs_text("1 2 3 4 5")
    ('18808_0 18808_1', '1 2 3 and 2 more')
    """
    found = ids.split(" ")
    return " ".join(found[:MOST_JOBS]) + (f" and {len(found) - MOST_JOBS} more" if len(found) > MOST_JOBS else "")


def _of_best(points: Mapping[int, PointRecord], column: Column) -> _ColumnValue:
    return lambda trial: column.value(points[trial.number].best)


def _cost(points: Mapping[int, PointRecord], column: Column) -> _ColumnValue:
    """What all trainings have cost together; of the memory the most that one had."""
    total = max if column.name == "job_memory_mb" else sum

    def value(trial: TrialRecord) -> Value:
        found = _numbers(column, points[trial.number].trials)
        return total(found) if found else None

    return value


def _mean(points: Mapping[int, PointRecord], column: Column) -> _ColumnValue:
    def value(trial: TrialRecord) -> Value:
        found = _numbers(column, points[trial.number].counted)
        return None if not found else found[0] if len({*found}) == 1 else statistics.fmean(found)

    return value


def _sd(points: Mapping[int, PointRecord], column: Column) -> _ColumnValue:
    def value(trial: TrialRecord) -> Value:
        found = _numbers(column, points[trial.number].counted)
        return statistics.stdev(found) if len(found) > 1 and all(map(math.isfinite, found)) else None

    return value


def _numbers(column: Column, trials: Sequence[TrialRecord]) -> list[float]:
    return [value for trial in trials if isinstance(value := column.value(trial), int | float)]


def _short(value: float) -> str:
    """A mean with at most one decimal.

    >>> _short(992), _short(12345.52), _short(7.0)
    ('992', '12345.5', '7')
    """
    return format(round(value, 1), "g") if abs(value) < 1e5 else f"{value:.0f}"
