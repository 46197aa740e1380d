"""Which trials a report shows, in which order, with which columns.

Rule 1: a value that is not there (or not finite) sorts last, in either direction.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unetsweep.analysis.rows import SweepRecord, TrialRecord, best, ranked
from unetsweep.errors import UsageError
from unetsweep.report import confirmed
from unetsweep.report.columns import COSTS, Column, Value, columns_of


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a sweep."""

    sweep: SweepRecord
    columns: tuple[Column, ...]
    rows: tuple[TrialRecord, ...]
    best: TrialRecord | None
    """Of the whole sweep, whether it is among the rows or not; None: no trial is complete."""


def view(sweep: SweepRecord, columns: Sequence[str], sort: str | None = None, top: int | None = None) -> View:
    """The `top` best trials (None: all), ordered by `sort`: a column, with `-` before it descending.

    Without `sort`: best first where `top` is given, else by job, then by trial. Raises UsageError for
    a column that there is not.
    """
    known = known_columns(sweep)
    chosen = tuple(column(name, known) for name in columns)
    rows: Iterable[TrialRecord] = sweep.trials if top is None else ranked(sweep)[:top]
    if sort is not None:
        rows = ordered(rows, column(sort.removeprefix("-"), known), falling=sort.startswith("-"))
    elif top is None:
        rows = sorted(rows, key=_by_job)
    return View(sweep, chosen, tuple(rows), best(sweep))


def known_columns(sweep: SweepRecord) -> dict[str, Column]:
    """Every column that can be shown of a sweep, in order."""
    return columns_of(sweep) | confirmed.columns(sweep) | COSTS


def own_columns(sweep: SweepRecord) -> dict[str, Column]:
    """Those of them that a format for programs shows unasked: of the costs none that were not read."""
    return {name: each for name, each in known_columns(sweep).items() if name not in COSTS or sweep.cost is not None}


def column(name: str, known: Mapping[str, Column]) -> Column:
    """The column of that name, in any case; raises UsageError that lists those that there are."""
    found = known.get(_typed(name))
    if found is None:
        near = difflib.get_close_matches(name.lower(), list(known), 1)
        hint = f"did you mean {near[0]!r}? Allowed" if near else "allowed"
        raise UsageError(f"there is no column {name!r}; {hint} are {', '.join(known)}")
    return found


def _typed(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def is_cost(name: str) -> bool:
    """Whether a user who types this (`-` before it for an order) wants to see what trials cost."""
    return _typed(name.removeprefix("-")) in COSTS


def ordered(trials: Iterable[TrialRecord], chosen: Column, *, falling: bool) -> list[TrialRecord]:
    """The trials by one column; equal ones by number."""
    there: list[tuple[Value, TrialRecord]] = []
    missing: list[TrialRecord] = []
    for trial in sorted(trials, key=lambda trial: trial.number):
        value = chosen.value(trial)
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            missing.append(trial)
        else:
            there.append((value, trial))
    if chosen.name == "job_id":
        there.sort(key=lambda pair: _natural(str(pair[0])), reverse=falling)
    else:
        there.sort(key=lambda pair: pair[0], reverse=falling)  # type: ignore[arg-type,return-value] # one type a column
    return [trial for _, trial in there] + missing


_JobKey = tuple[int, int, int, str]


def _by_job(trial: TrialRecord) -> tuple[_JobKey, int]:
    return (_natural(trial.job_id) if trial.job_id else _NO_JOB), trial.number


_NO_JOB: _JobKey = (2, 0, 0, "")


def _natural(job_id: str) -> _JobKey:
    """Job ids as the numbers that they are; any other text behind them.

    >>> sorted(["18808_10", "18808_9", "elsewhere", "18808", "9999", "9999.2"], key=_natural)
    ['9999', '9999.2', '18808', '18808_9', '18808_10', 'elsewhere']
    """
    job, _, element = job_id.replace(".", "_").partition("_")
    if job.isdecimal() and (element.isdecimal() or not element):
        return 0, int(job), int(element) if element else -1, ""
    return 1, 0, 0, job_id
