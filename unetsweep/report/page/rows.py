"""The rows of the results, with the columns and texts of the Markdown report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unetsweep.analysis.rows import TrialRecord, ranked
from unetsweep.report.columns import Column, number_text
from unetsweep.report.view import View


@dataclass(frozen=True, slots=True)
class PageCell:
    """One cell."""

    text: str
    number: str = ""
    """What the cell is sorted by, if it is a finite number."""
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class PageRow:
    """One row: a trial, or with repeats a point."""

    trial: int
    name: str
    """The trial's number as in the name of its folder."""
    training: int
    """The trial whose pictures and curve belong to the row: of a point its best training."""
    state: str
    is_best: bool
    cells: tuple[PageCell, ...]


def page_rows(view: View) -> list[PageRow]:
    """The rows of a view, in its order."""
    return [
        PageRow(
            row.number,
            number_text(row.number),
            view.points[row.number].best.number if view.points else row.number,
            row.state,
            view.is_best(row),
            tuple(_cell(column, row) for column in view.columns),
        )
        for row in view.rows
    ]


def _cell(column: Column, trial: TrialRecord) -> PageCell:
    value = column.value(trial)
    if value is None:
        return PageCell("-", is_missing=True)
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return PageCell(column.format(trial, "-"), repr(value) if is_number else "")


def default_pair(view: View, with_pictures: Sequence[int | None] = ()) -> tuple[PageRow, PageRow] | None:
    """The rows that are compared at first: the best and the median; None: there are no two.

    `with_pictures`: the trials whose pictures are shown beside each other, which come first.
    """
    rows = {row.training: row for row in page_rows(view)}
    order = [trial.number for trial in ranked(view.sweep)]
    numbers = (*with_pictures, *order[:1], *order[len(order) // 2 :], *rows)
    different = [rows[number] for number in dict.fromkeys(numbers) if number in rows]
    return (different[0], different[1]) if len(different) > 1 else None
