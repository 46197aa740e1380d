"""A table for a terminal that never wraps: columns are left out and texts shortened until it fits.

Rule 1: a line says what is left out. Where the width is not known, as in a pipe, nothing is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from unetsweep.texts import one_line, shortened

GAP = "  "
SHORTEST = 12
"""Characters of a text below which it no longer identifies anything."""


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of texts."""

    heading: str
    cells: Sequence[str]
    is_text: bool = False
    """Aligned to the left, and shortened if there is no room."""
    dropped: int = 0
    """The columns with the highest number are left out first; 0: never."""

    @property
    def width(self) -> int:
        return max(map(len, (self.heading, *self.cells)))


def fitted(columns: Sequence[TextColumn], width: int | None) -> list[str]:
    """Return the lines of a table, and one about the columns that are left out. `width` in characters; None: no limit.

    >>> name, age = TextColumn("sweep", ["a_long_name_of_a_sweep"], is_text=True), TextColumn("age", ["3 d"], dropped=1)
    >>> fitted([name, age], 20)
    ['sweep', 'a_long_na … _a_sweep', 'columns left out here: age (a wider terminal or --json shows them)']
    """
    columns = [_printable(column) for column in columns]
    kept = list(columns)
    while width is not None and _total(kept) > width and (most := max(column.dropped for column in kept)):
        kept = [column for column in kept if column.dropped != most]
    if width is not None:
        kept = _shortened(kept, width)
    lines = [
        GAP.join(
            cell.ljust(column.width) if column.is_text else cell.rjust(column.width)
            for cell, column in zip(row, kept, strict=True)
        ).rstrip()
        for row in zip(*((column.heading, *column.cells) for column in kept), strict=True)
    ]
    left_out = [column.heading for column in columns if column.heading not in [each.heading for each in kept]]
    if left_out:
        lines.append(f"columns left out here: {', '.join(left_out)} (a wider terminal or --json shows them)")
    return lines


def _printable(column: TextColumn) -> TextColumn:
    return TextColumn(column.heading, [one_line(cell) for cell in column.cells], column.is_text, column.dropped)


def _total(columns: Sequence[TextColumn]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _shortened(columns: Sequence[TextColumn], width: int) -> list[TextColumn]:
    """The columns with shorter texts, as far as needed and possible: the longest column first."""
    found = list(columns)
    while (over := _total(found) - width) > 0:
        at = max((i for i, each in enumerate(found) if each.is_text), key=lambda i: found[i].width, default=None)
        if at is None or found[at].width <= SHORTEST:
            break
        column, fits = found[at], max(SHORTEST, found[at].width - over)
        found[at] = TextColumn(column.heading, [shortened(cell, fits) for cell in column.cells], True, column.dropped)
    return found
