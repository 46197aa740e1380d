"""Charts as inline SVG: axes, lines, points and bars, with a title and a description for screen readers.

Rule 1: text stays text, and is escaped here. Every argument that is shown may come from outside.
Rule 2: colours are classes of `templates/charts.css`, so that a page can be light or dark.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from unetsweep.report.plain import safe_text
from unetsweep.report.ticks import ticks
from unetsweep.texts import one_line

WIDTH, HEIGHT = 720, 330
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 46
"""Pixels around the axes, for numbers and labels."""
BAR, BAR_GAP, BAR_LABEL, BAR_TEXT = 18, 10, 170, 150
"""Pixels of a horizontal bar: its height, the gap to the next one, and the room for the texts before and after it."""
MAX_LABEL = 24
"""Characters that fit before a bar."""

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a page."""

    key: str
    """Identifies it in the page, and names the files that it is downloaded as."""
    title: str
    caption: str
    svg: Markup
    csv: str
    """What it shows, as a table."""


def label(text: str) -> Markup:
    """The text on one line, escaped for HTML, with no character that is not printable."""
    return escape(one_line(text))


def csv_text(heading: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table as CSV. No spreadsheet takes a text in it for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([safe_text(cell) for cell in heading])
    writer.writerows([[safe_text(cell) for cell in row] for row in rows])
    return text.getvalue()


def drawing(key: str, title: str, description: str, parts: Iterable[str], height: float = HEIGHT) -> Markup:
    """An SVG picture, `WIDTH` pixels wide, of parts that are SVG already."""
    body = "\n".join(parts)
    return Markup(  # noqa: S704 - the parts are escaped where they are made
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" class="chart" role="img" '
        f'aria-labelledby="{key}-title {key}-text">\n<title id="{key}-title">{label(title)}</title>\n'
        f'<desc id="{key}-text">{label(description)}</desc>\n{body}\n</svg>'
    )


@dataclass(frozen=True, slots=True)
class Axes:
    """Where values are in a picture. Both axes begin and end at a tick."""

    x_ticks: Sequence[float]
    y_ticks: Sequence[float]

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]], *, from_zero: bool = False) -> "Axes":
        """Axes that have room for all points, of which there is at least one. `from_zero`: the x axis begins at 0."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        across = ticks(0 if from_zero else min(xs), max(max(xs), 1) if from_zero else max(xs))
        return cls([tick for tick in across if tick == int(tick)], ticks(min(ys), max(ys)))

    def x(self, value: float) -> float:
        first, last = self.x_ticks[0], self.x_ticks[-1]
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - first) / (last - first)

    def y(self, value: float) -> float:
        first, last = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - first) / (last - first)

    def grid(self, x_label: str, y_label: str) -> list[str]:
        """Lines, numbers and labels of both axes."""
        left, right, bottom = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for tick in self.y_ticks:
            parts.append(line(left, self.y(tick), right, self.y(tick), "grid"))
            parts.append(text(left - 8, self.y(tick) + 4, f"{tick:.6g}", "end"))
        for tick in self.x_ticks:
            parts.append(line(self.x(tick), bottom, self.x(tick), bottom + 4, "axis"))
            parts.append(text(self.x(tick), bottom + 18, f"{tick:.6g}", "middle"))
        parts.append(line(left, bottom, right, bottom, "axis"))
        parts.append(text((left + right) / 2, HEIGHT - 8, x_label, "middle", "name"))
        middle = (TOP + bottom) / 2
        turned = f'<g transform="rotate(-90 14 {middle:.1f})">'
        return [*parts, turned, text(14, middle, y_label, "middle", "name"), "</g>"]

    def path(self, points: Iterable[tuple[float, float]], kind: str, title: str, trials: Sequence[int] = ()) -> str:
        """A line through the points. `title` is shown under the pointer; `trials`: those that the line belongs to."""
        where = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        of = f' data-trials="{" ".join(map(str, trials))}"' if trials else ""
        return f'<polyline class="line {kind}"{of} points="{where}"><title>{label(title)}</title></polyline>'

    def point(self, x: float, y: float, kind: str, title: str, trials: Sequence[int] = ()) -> str:
        """A dot."""
        of = f' data-trials="{" ".join(map(str, trials))}"' if trials else ""
        at = f'cx="{self.x(x):.1f}" cy="{self.y(y):.1f}"'
        return f'<circle class="dot {kind}"{of} {at} r="3.5"><title>{label(title)}</title></circle>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, content: str, anchor: str = "start", kind: str = "tick") -> str:
    """A text. `anchor`: which end of it is at x: `start`, `middle` or `end`."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{label(content)}</text>'


def bars(rows: Sequence[tuple[str, float, str]], kinds: Sequence[str] = ()) -> tuple[list[str], float]:
    """Horizontal bars below each other, and the height of the picture. A row: label, length from 0 on, text."""
    longest = max((length for _, length, _ in rows), default=0.0) or 1.0
    parts, across = list[str](), WIDTH - BAR_LABEL - BAR_TEXT
    for at, (name, length, written) in enumerate(rows):
        top = 4 + at * (BAR + BAR_GAP)
        width = max(1.0, across * length / longest) if length else 0.0
        kind = kinds[at] if kinds else "best"
        parts.append(text(BAR_LABEL - 10, top + 13, shortened_label(name), "end", "name"))
        parts.append(
            f'<rect class="bar {kind}" x="{BAR_LABEL}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3">'
            f"<title>{label(f'{name}: {written}')}</title></rect>"
        )
        parts.append(text(BAR_LABEL + width + 8, top + 13, written))
    return parts, 8 + len(rows) * (BAR + BAR_GAP)


def shortened_label(name: str) -> str:
    """A name that fits before a bar: its end is kept, since paths differ there.

    >>> shortened_label("trainer.optimizer_of_the_second_network")
    '…er_of_the_second_network'
    """
    name = one_line(name)
    return name if len(name) <= MAX_LABEL + 1 else f"…{name[-MAX_LABEL:]}"
