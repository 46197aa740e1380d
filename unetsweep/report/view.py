"""Selects the trials of a report, their order and their columns.

Rule 1: a value that is missing or not finite is sorted last, in either direction.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from unetsweep.analysis.rows import PointRecord, SweepRecord, TrialRecord, best, ranked, ranked_points
from unetsweep.errors import UsageError
from unetsweep.report import confirmed
from unetsweep.report import points as of_points
from unetsweep.report.columns import COSTS, Column, Value, columns_of
from unetsweep.report.scores import own_columns


@dataclass(frozen=True, slots=True)
class View:
    """What a report shows of a sweep."""

    sweep: SweepRecord
    columns: tuple[Column, ...]
    rows: tuple[TrialRecord, ...]
    best: TrialRecord | None
    """The best trial of the whole sweep, which may not be among the rows; None: no trial is complete."""
    points: Mapping[int, PointRecord] = field(default_factory=dict)
    """With `study.repeats` each row is a point (`report.points`): the points by the numbers of their rows."""

    def is_best(self, row: TrialRecord) -> bool:
        """Whether this is the row of the best trial, or of its point."""
        return self.best is not None and self.best is (self.points[row.number].best if self.points else row)

    @property
    def best_point(self) -> PointRecord | None:
        """The point of the best trial; None without repeats, and if no trial is complete."""
        return next((point for point in self.points.values() if point.best is self.best), None)


def make_view(sweep: SweepRecord, columns: Sequence[str], sort: str | None = None, top: int | None = None) -> View:
    """A view of the `top` best trials (None: of all), sorted by the column `sort` (descending if `-` precedes it).

    Without `sort` the order is best first if `top` is given, else by job, then by trial. Raises UsageError if there is
    no such column.
    """
    points = of_points.by_number(sweep)
    known = row_columns(sweep, points)
    chosen = tuple(column(name, known) for name in columns)
    rows: Iterable[TrialRecord] = _rows(sweep, points) if top is None else _best_rows(sweep)[:top]
    if sort is not None:
        rows = ordered(rows, column(sort.removeprefix("-"), known), descending=sort.startswith("-"))
    elif top is None:
        rows = sorted(rows, key=_by_job)
    return View(sweep, chosen, tuple(rows), best(sweep), points)


def _rows(sweep: SweepRecord, points: Mapping[int, PointRecord]) -> Sequence[TrialRecord]:
    """A row for each trial, or with repeats for each point."""
    return [of_points.row(point) for point in points.values()] if points else sweep.trials


def _best_rows(sweep: SweepRecord) -> list[TrialRecord]:
    """The rows with a complete training, best first."""
    has_repeats = sweep.spec.study.repeats > 1
    return [of_points.row(point) for point in ranked_points(sweep)] if has_repeats else ranked(sweep)


def row_columns(sweep: SweepRecord, points: Mapping[int, PointRecord] | None = None) -> dict[str, Column]:
    """Every column of the rows: that of a trial, or with repeats that of a point. `points`: as in `View`."""
    known = known_columns(sweep)
    if sweep.spec.study.repeats == 1:
        return known
    return of_points.columns(sweep, known, of_points.by_number(sweep) if points is None else points)


def known_columns(sweep: SweepRecord) -> dict[str, Column]:
    """Every column of a trial that a report of this sweep can show, in order."""
    found = columns_of(sweep) | confirmed.columns(sweep)
    return found | own_columns(sweep, [*found, *COSTS]) | COSTS


def machine_columns(sweep: SweepRecord, known: Mapping[str, Column] | None = None) -> dict[str, Column]:
    """The columns that CSV and JSON show by default: all that are known, but costs only if they were read.

    `known`: those of the rows; None: those of trials.
    """
    every = known_columns(sweep) if known is None else known
    return {name: each for name, each in every.items() if name not in COSTS or sweep.cost is not None}


def column(name: str, known: Mapping[str, Column]) -> Column:
    """The column of that name, in upper or lower case. The UsageError for an unknown name lists all columns."""
    wanted = _normalise(name)
    found = known.get(name) or next((each for key, each in known.items() if key.lower() == wanted), None)
    found = found or next((each for each in known.values() if each.heading == wanted), None)
    if found is None:
        near = difflib.get_close_matches(name.lower(), list(known), 1)
        hint = f"did you mean {near[0]!r}? Allowed" if near else "allowed"
        raise UsageError(f"there is no column {name!r}; {hint} are {', '.join(known)}")
    return found


def _normalise(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def is_cost(name: str) -> bool:
    """Whether this is the name of a cost column; `-` may precede it, as in a sort order."""
    return _normalise(name.removeprefix("-")) in COSTS


def ordered(trials: Iterable[TrialRecord], chosen: Column, *, descending: bool) -> list[TrialRecord]:
    """The trials sorted by one column, then by number."""
    present: list[tuple[Value, TrialRecord]] = []
    missing: list[TrialRecord] = []
    for trial in sorted(trials, key=lambda trial: trial.number):
        value = chosen.value(trial)
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            missing.append(trial)
        else:
            present.append((value, trial))
    if chosen.name == "job_id":
        present.sort(key=lambda pair: _natural(str(pair[1].job_id or pair[0])), reverse=descending)
    else:
        present.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]), reverse=descending)  # texts after numbers
    return [trial for _, trial in present] + missing


_JobKey = tuple[int, int, int, str]
_MAX_DIGITS = 40
"""A longer id is no job's."""


def _by_job(trial: TrialRecord) -> tuple[_JobKey, int]:
    return (_natural(trial.job_id) if trial.job_id else _NO_JOB), trial.number


_NO_JOB: _JobKey = (2, 0, 0, "")


def _natural(job_id: str) -> _JobKey:
    """Sorts job ids as numbers, and any other text after them: a trainer may write anything as its job's id.

    >>> sorted(["18808_10", "18808_9", "elsewhere", "18808", "9999", "9999.2"], key=_natural)
    ['9999', '9999.2', '18808', '18808_9', '18808_10', 'elsewhere']
    >>> _natural("9" * 5000)[0]
    1
    """
    job, _, element = job_id.replace(".", "_").partition("_")
    if job.isdecimal() and (element.isdecimal() or not element) and len(job_id) <= _MAX_DIGITS:
        return 0, int(job), int(element) if element else -1, ""
    return 1, 0, 0, job_id
