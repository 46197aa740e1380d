"""Lines of text for a terminal, cut to its width. A line never wraps, whatever characters it has.

Rule 1: widths are in cells: a Chinese character takes two, an accent that is combined with a letter none.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from unetsweep.texts import one_line

_ASCII = str.maketrans({"…": "~", "·": "|", "±": "+", "—": "-", "↑": "^", "↓": "v", "→": ">"})


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a terminal can show."""

    width: int
    """In cells."""
    height: int
    """In lines."""
    unicode: bool = True
    """Whether it shows blocks and arrows; else only ASCII."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line in one style."""

    text: str
    style: str = ""
    """`bold`, `dim`, `red`, `green`, `yellow`, `cyan` or `reverse`; empty: as the terminal's text."""


Line = tuple[Span, ...]


def plain(line: Line) -> str:
    """Return the text of a line."""
    return "".join(span.text for span in line)


def fitted_line(spans: Sequence[Span | str], terminal: Terminal) -> Line:
    """Return the spans as one line that is not wider than the terminal, in characters that it can show.

    >>> plain(fitted_line(["a long reason", Span(" why")], Terminal(10, 1)))
    'a long re…'
    >>> plain(fitted_line(["42 % · ok \\x1b[31m"], Terminal(20, 1, unicode=False)))
    '42 % | ok'
    """
    left, found = terminal.width, list[Span]()
    for each in spans:
        span = Span(each) if isinstance(each, str) else each
        text = as_displayed(span.text, terminal)
        width = cell_len(text)
        if width > left:
            found.append(Span(cut(text, left, terminal), span.style))
            break
        left -= width
        found.append(Span(text, span.style))
    if found:
        found[-1] = Span(found[-1].text.rstrip(), found[-1].style)
    return tuple(span for span in found if span.text)


def as_displayed(text: str, terminal: Terminal) -> str:
    """Return the text in characters that the terminal can show, without control characters; spaces stay."""
    if not text.isprintable():
        text = one_line(text)
    if terminal.unicode or text.isascii():
        return text
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def cut(text: str, width: int, terminal: Terminal) -> str:
    """Return the text with its end replaced by a mark, if it is wider than so many cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + ("…" if terminal.unicode else "~") if width > 0 else ""


def left_aligned(text: str, width: int, terminal: Terminal) -> str:
    """Return the text in exactly so many cells."""
    return set_cell_size(cut(as_displayed(text, terminal), width, terminal), width)


def right_aligned(text: str, width: int, terminal: Terminal) -> str:
    """Return the text at the right end of so many cells."""
    text = cut(as_displayed(text, terminal), width, terminal)
    return " " * (width - cell_len(text)) + text


def bar(done: float, width: int, terminal: Terminal) -> str:
    """Return a bar that is filled from 0 to 1.

    >>> bar(0.5, 4, Terminal(80, 24)), bar(0.5, 4, Terminal(80, 24, unicode=False))
    ('██░░', '##..')
    """
    full = min(width, max(0, int(done * width + 1e-9)))
    filled, empty = ("█", "░") if terminal.unicode else ("#", ".")
    return filled * full + empty * (width - full)


_BLOCKS = "▁▂▃▄▅▆▇█"
_SIGNS = "_.-~=+*#"


def sparkline(values: Sequence[float], width: int, terminal: Terminal) -> str:
    """Return the values as one row of signs, the lowest as the lowest sign. Neighbours that share a cell are averaged.

    >>> sparkline([0.0, 0.5, 1.0], 10, Terminal(80, 24)), sparkline([2.0], 10, Terminal(80, 24))
    ('▁▅█', '▁')
    """
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    edges = [at * len(values) // count for at in range(count + 1)]
    cells = [_mean(values[start:end]) for start, end in itertools.pairwise(edges)]
    low, high = min(cells), max(cells)
    signs = _BLOCKS if terminal.unicode else _SIGNS
    last = len(signs) - 1
    return "".join(
        signs[round((each / 2 - low / 2) / (high / 2 - low / 2) * last) if high > low else 0] for each in cells
    )


def _mean(values: Sequence[float]) -> float:
    return sum(value / len(values) for value in values)
