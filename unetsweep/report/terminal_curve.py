"""A learning curve as a few lines of text, for a terminal.

Rule 1: epochs that share a column are averaged, so that one outlier does not stand for a hundred epochs.
"""

import itertools
import math
from collections.abc import Sequence

from unetsweep.texts import score_text

HEIGHT = 6
WIDTH = 60
_BLOCKS = " ▁▂▃▄▅▆▇█"
_WIDEST = 4
"""Columns of one epoch at most: three epochs would otherwise look like stairs."""


def terminal_curve(points: Sequence[tuple[int, float]], *, width: int = WIDTH, unicode: bool = True) -> list[str]:
    """Return the lines of a curve; empty if no value is finite. `width`: of the curve, without the numbers beside it.

    >>> print("\\n".join(terminal_curve([(1, 0.0), (2, 0.5), (3, 1.0)], width=3)))
    1.0000 │  █
           │  █
           │  █
           │ ██
           │ ██
    0.0000 │▁██
            epoch 1 to 3
    """
    known = [(epoch, value) for epoch, value in points if math.isfinite(value)]
    if not known:
        return []
    low, high = min(value for _, value in known), max(value for _, value in known)
    columns = _columns([value for _, value in known], width)
    eighths = [_eighths(value, low, high) for value in columns]
    top, bottom = score_text(high), score_text(low)
    edge = max(len(top), len(bottom))
    labels = [top, *[""] * (HEIGHT - 2), bottom] if high > low else [*[""] * (HEIGHT - 1), bottom]
    bar = "│" if unicode else "|"
    rows = [
        f"{label:>{edge}} {bar}{''.join(_cell(each, row, unicode=unicode) for each in eighths)}".rstrip()
        for row, label in zip(range(HEIGHT - 1, -1, -1), labels, strict=True)
    ]
    first, last = known[0][0], known[-1][0]
    return [*rows, " " * (edge + 2) + (f"epoch {first} to {last}" if last > first else f"epoch {first}")]


def _columns(values: Sequence[float], width: int) -> list[float]:
    """One value for each column."""
    count = len(values)
    if count <= width:
        wide = min(_WIDEST, width // count)
        return [value for value in values for _ in range(wide)]
    edges = [round(at * count / width) for at in range(width + 1)]
    parts = [values[start:end] for start, end in itertools.pairwise(edges)]
    return [math.fsum(value / len(part) for value in part) for part in parts]


def _eighths(value: float, low: float, high: float) -> int:
    """The height of a column in eighths of a line. The lowest value is still visible."""
    share = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.0
    return max(1, round(share * HEIGHT * 8))


def _cell(eighths: int, row: int, *, unicode: bool) -> str:
    filled = min(8, max(0, eighths - 8 * row))
    if unicode:
        return _BLOCKS[filled]
    return "#" if filled >= 4 or (row == 0 and filled) else " "
