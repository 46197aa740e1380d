"""A comparison of sweeps in each format of a report.

Rule 1: CSV has the first table only, a line for each sweep; JSON has every table whole.
Rule 2: what comes from a file or a user is escaped as the format of a single sweep escapes it.
"""

import csv
import io
import json
from typing import assert_never

from unetsweep.report import latex, markdown
from unetsweep.report.comparison import Comparison, ComparisonTable
from unetsweep.report.formats import Format
from unetsweep.report.plain import SCHEMA, safe_text
from unetsweep.texts import one_line

MOST_ROWS = 40
"""Rows of a table for people; JSON has all."""
_BEST, _HEAD, _WARNING, _END = "\x1b[1;32m", "\x1b[1m", "\x1b[33m", "\x1b[0m"


def render(comparison: Comparison, form: Format, *, colour: bool = False) -> str:
    """The text of a comparison, with a newline at its end. `colour`: only for `table`, on a terminal."""
    match form:
        case Format.TABLE:
            return _render_table(comparison, colour)
        case Format.MARKDOWN:
            return _render_markdown(comparison)
        case Format.LATEX:
            return _render_latex(comparison)
        case Format.CSV:
            return _render_csv(comparison)
        case Format.JSON:
            return _render_json(comparison)
        case Format.HTML:
            from unetsweep.report.page import comparison as page  # with jinja2: other formats start faster without it

            return page.render(comparison)
        case _:
            assert_never(form)


def _first_rows(table: ComparisonTable) -> tuple[list[tuple[str, ...]], str | None]:
    """The rows for people, and what is said about those that are left out."""
    left = len(table.rows) - MOST_ROWS
    return list(table.rows[:MOST_ROWS]), f"… and {left} more; --format json has all" if left > 0 else None


def _render_table(comparison: Comparison, colour: bool) -> str:
    blocks = []
    for table in comparison.tables:
        rows, more = _first_rows(table)
        cells = [tuple(map(one_line, table.heading)), *rows]
        widths = [max(len(row[at]) for row in cells) for at in range(len(table.heading))]
        lines = [_row(row, widths, is_text=table.name == "settings") for row in cells]
        marked = [
            _coloured(f"{'* ' if at == table.best else '  '}{line}", _BEST if at == table.best else "", colour)
            for at, line in enumerate(lines[1:])
        ]
        title = one_line(table.title)
        below = [*([] if table.best is None else ["* has the best score"]), *([] if more is None else [f"  {more}"])]
        blocks.append([title, _coloured(f"  {lines[0]}", _HEAD, colour), *marked, *below])
    blocks.append(
        [
            *map(one_line, comparison.sentences),
            *(_coloured(f"warning: {one_line(each)}", _WARNING, colour) for each in comparison.warnings),
        ]
    )
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _row(cells: tuple[str, ...], widths: list[int], *, is_text: bool) -> str:
    """The first cell is a name, and on the left; numbers are on the right."""
    found = [
        cell.ljust(width) if at == 0 or is_text else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(found).rstrip()


def _coloured(line: str, code: str, colour: bool) -> str:
    return f"{code}{line}{_END}" if colour and code else line


def _render_markdown(comparison: Comparison) -> str:
    parts = []
    for table in comparison.tables:
        rows, more = _first_rows(table)
        heading = [markdown.escape(one_line(each)) for each in table.heading]
        rule = [":---" if at == 0 or table.name == "settings" else "---:" for at in range(len(heading))]
        lines = [heading, rule]
        for at, row in enumerate(rows):
            cells = [markdown.escape(cell) for cell in row]
            lines.append([f"**{cell}**" for cell in cells] if at == table.best else cells)
        parts += [
            f"**{markdown.escape(one_line(table.title))}**",
            "\n".join(f"| {' | '.join(each)} |" for each in lines),
        ]
        parts += [markdown.escape(more)] if more else []
    parts += [f"{markdown.escape(each)}." for each in comparison.sentences]
    parts += [f"Warning: {markdown.escape(one_line(each))}" for each in comparison.warnings]
    return "\n\n".join(parts) + "\n"


def _render_latex(comparison: Comparison) -> str:
    lines = [r"% \usepackage{booktabs}", *(f"% warning: {one_line(each)}" for each in comparison.warnings)]
    lines += [f"% {one_line(each)}" for each in comparison.sentences]
    for table in comparison.tables:
        rows, more = _first_rows(table)
        left = "l" * len(table.heading) if table.name == "settings" else "l" + "r" * (len(table.heading) - 1)
        body = []
        for at, row in enumerate(rows):
            cells = [latex.escape(cell).replace("±", r"$\pm$") for cell in row]
            body.append(" & ".join(rf"\textbf{{{cell}}}" for cell in cells) if at == table.best else " & ".join(cells))
        heading = " & ".join(latex.escape(one_line(each)) for each in table.heading)
        lines += [f"% {one_line(table.title)}" + (f" ({one_line(more)})" if more else "")]
        lines += [rf"\begin{{tabular}}{{{left}}}", r"\toprule", rf"{heading} \\", r"\midrule"]
        lines += [rf"{line} \\" for line in body] + [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _render_csv(comparison: Comparison) -> str:
    table, text = comparison.tables[0], io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(table.objects[0])
    writer.writerows([names, *([safe_text(each[name]) for name in names] for each in table.objects)])
    return text.getvalue()


def _render_json(comparison: Comparison) -> str:
    found = {
        "schema": SCHEMA,
        **{table.name: list(table.objects) for table in comparison.tables},
        "sentences": list(comparison.sentences),
        "warnings": list(comparison.warnings),
    }
    return json.dumps(found, indent=1, allow_nan=False) + "\n"
