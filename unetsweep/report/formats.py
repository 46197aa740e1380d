"""The five formats by name, each with the columns that it shows unless others are asked for."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import assert_never

from unetsweep.analysis.rows import SweepRecord
from unetsweep.report import latex, markdown, plain, table
from unetsweep.report.columns import EIGHT, also_columns
from unetsweep.report.view import own_columns, view


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
    LATEX = "latex"


def _own(form: Format, sweep: SweepRecord) -> tuple[str, ...]:
    """The columns that a format shows unless others are asked for."""
    also = tuple(also_columns(sweep.spec.data))
    match form:
        case Format.TABLE:
            return ("trial", "state", *EIGHT, *also)
        case Format.MARKDOWN:
            return (*EIGHT, *also)
        case Format.LATEX:
            return (EIGHT[0], "state", *EIGHT[1:], *also)
        case _:
            return tuple(own_columns(sweep))


def render(
    sweep: SweepRecord,
    form: Format,
    *,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
    top: int | None = None,
    base: str = "",
    colour: bool = False,
) -> str:
    """The report as text that ends with a line end.

    `columns`: None for the format's own; `sort`, `top`: as `view.view` takes them; `base`: folder to
    which the paths in texts for people are relative (empty: absolute); `colour`: for `table` on a
    terminal. Raises UsageError for a column that there is not.
    """
    chosen = list(columns or _own(form, sweep))
    if form is Format.CSV and sweep.leak and "leak" not in chosen:
        chosen.append("leak")  # its keys stay as they are, so this alone says it
    shown = view(sweep, chosen, sort, top)
    match form:
        case Format.TABLE:
            return table.render(shown, base, colour)
        case Format.MARKDOWN:
            return markdown.render(shown, base)
        case Format.CSV:
            return plain.render_csv(shown)
        case Format.JSON:
            return plain.render_json(shown)
        case Format.LATEX:
            return latex.render(shown)
        case _:
            assert_never(form)


def files(sweep: SweepRecord) -> dict[str, str]:
    """Names and texts of what lies in the sweep's `report/` folder, for people and programs that look there."""
    table = view(sweep, _own(Format.MARKDOWN, sweep))
    known = tuple(own_columns(sweep).values())
    everything = replace(table, columns=known)  # ordered once: there may be thousands of rows
    return {
        "results.md": markdown.render(table),
        "results.csv": plain.render_csv(everything),
        "results.json": plain.render_json(everything),
    }
