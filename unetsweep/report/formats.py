"""The formats of a report by name, with the columns that each shows by default."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import assert_never

from unetsweep.analysis.rows import SweepRecord
from unetsweep.report import latex, markdown, plain, table
from unetsweep.report.columns import also_columns, table_columns
from unetsweep.report.page.content import PageContent
from unetsweep.report.points import by_number, shows_trainings, trainings_column
from unetsweep.report.scores import with_scores
from unetsweep.report.view import View, known_columns, machine_columns, make_view, row_columns


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
    LATEX = "latex"
    HTML = "html"


def _default_columns(form: Format, sweep: SweepRecord) -> tuple[str, ...]:
    """The columns that a format shows unless the user names others."""
    also, chosen = tuple(also_columns(sweep.spec.data)), table_columns(sweep.spec.reported_space)
    known = known_columns(sweep)
    trainings = (trainings_column(known),) if shows_trainings(by_number(sweep)) else ()
    match form:
        case Format.TABLE:
            chosen = ("trial", "state", *trainings, *chosen, *also)
        case Format.MARKDOWN | Format.HTML:
            state = ("state",) if any(trial.state == "pruned" for trial in sweep.trials) else ()
            chosen = (chosen[0], *state, *trainings, *chosen[1:], *also)
        case Format.LATEX:
            chosen = (chosen[0], "state", *trainings, *chosen[1:], *also)
        case Format.CSV | Format.JSON:
            return tuple(machine_columns(sweep, row_columns(sweep)))
        case _:
            assert_never(form)
    if "epochs" in chosen and any(trial.state == "pruned" for trial in sweep.trials):
        at = chosen.index("epochs") + 1
        chosen = (*chosen[:at], "epochs_run", *chosen[at:])
    own = [name for name, column in known.items() if column.is_own]
    return with_scores(sweep, chosen, own)


def render(
    sweep: SweepRecord,
    form: Format,
    *,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
    top: int | None = None,
    base: str = "",
    colour: bool = False,
    page: PageContent | None = None,
) -> str:
    """The text of a report, with a newline at its end.

    `columns`: None for the defaults of the format. `sort` and `top`: as in `make_view`. `base`: paths in texts for
    people are relative to this folder (empty: absolute). `colour`: only for `table`, on a terminal. `page`: what a page
    shows beside the record. Raises UsageError if there is no such column.
    """
    chosen = list(columns or _default_columns(form, sweep))
    if form is Format.CSV and sweep.leak and "leak" not in chosen:
        chosen.append("leak")  # the column names do not change, so only this column shows the leak
    view = make_view(sweep, chosen, sort, top)
    match form:
        case Format.TABLE:
            return table.render(view, base, colour)
        case Format.MARKDOWN:
            return markdown.render(view, base)
        case Format.CSV:
            return plain.render_csv(view, plain.cells(view))
        case Format.JSON:
            return plain.render_json(view, plain.cells(view))
        case Format.LATEX:
            return latex.render(view)
        case Format.HTML:
            return _page(view, page, base)
        case _:
            assert_never(form)


def _page(view: View, page: PageContent | None, base: str) -> str:
    from unetsweep.report.page.render import render as render_page  # with jinja2: other formats start faster without it

    return render_page(view, page or PageContent(), base)


def files(sweep: SweepRecord) -> dict[str, str]:
    """Names and texts of the files in the sweep's `report/` folder."""
    view = make_view(sweep, _default_columns(Format.MARKDOWN, sweep))
    columns = tuple(machine_columns(sweep, row_columns(sweep, view.points)).values())
    everything = replace(view, columns=columns)  # thousands of rows are sorted only once
    rows = plain.cells(everything)
    return {
        "results.md": markdown.render(view),
        "results.csv": plain.render_csv(everything, rows),
        "results.json": plain.render_json(everything, rows),
    }
