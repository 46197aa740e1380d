"""Learning curves as an SVG picture: text that a browser, GitHub and a printer show alike, without scripts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from unetsweep.report.ticks import ticks

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that people who do not see red or green tell apart (Okabe and Ito, "Color Universal Design", 2008)."""
OTHER = "#b0b0b0"
"""The colour of every further curve."""
WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 58, 190, 34, 46
"""Space in pixels around the axes: for numbers, the legend, the title and the label of the epochs."""
MAX_LABEL = 26
"""Characters of a curve's label that fit beside the axes."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric over the epochs of a training."""

    label: str
    points: Sequence[tuple[int, float]]
    """(epoch, value), in order of the epochs."""
    best_epoch: int | None = None
    """Where a dot marks the curve; None: nowhere."""


def learning_curves(curves: Sequence[Curve], title: str, metric: str) -> str:
    """Return an SVG picture of the curves; those after the first six are grey. Values that are not finite are left out.

    ValueError if there is no point at all.
    """
    points = [point for curve in curves for point in _finite(curve)]
    if not points:
        raise ValueError("there is no point to draw")
    last = max(epoch for epoch, _ in points)
    levels = ticks(min(value for _, value in points), max(value for _, value in points))
    axes = _Axes(last, levels[0], levels[-1])
    parts = [*_grid(axes, levels, title, metric)]
    for at, curve in reversed(list(enumerate(curves))):  # the first curves lie on top
        parts += _curve(axes, curve, COLOURS[at] if at < len(COLOURS) else OTHER)
    parts += _legend(curves)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{_quoted(title)}">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where epochs and values are in the picture."""

    last: int
    low: float
    high: float

    def x(self, epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * epoch / self.last

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.low) / (self.high - self.low)


def _grid(axes: _Axes, levels: Sequence[float], title: str, metric: str) -> list[str]:
    left, right, bottom = axes.x(0), axes.x(axes.last), axes.y(axes.low)
    parts = [_text(LEFT, TOP - 14, title, weight="bold")]
    for tick in levels:
        y = axes.y(tick)
        parts.append(f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        parts.append(_text(left - 6, y + 4, f"{tick:.6g}", anchor="end"))
    for epoch in ticks(0, axes.last):
        if epoch == int(epoch) and 0 <= epoch <= axes.last:
            parts.append(_text(axes.x(epoch), bottom + 16, f"{epoch:.0f}", anchor="middle"))
    parts.append(_text((left + right) / 2, HEIGHT - 8, "epoch", anchor="middle"))
    middle = (axes.y(axes.low) + axes.y(axes.high)) / 2
    turned = f'transform="rotate(-90 14 {middle:.1f})"'
    parts.append(f'<text x="14" y="{middle:.1f}" text-anchor="middle" fill="#333" {turned}>{_escaped(metric)}</text>')
    return parts


def _curve(axes: _Axes, curve: Curve, colour: str) -> list[str]:
    points = _finite(curve)
    line = " ".join(f"{axes.x(epoch):.1f},{axes.y(value):.1f}" for epoch, value in points)
    parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>'] if points else []
    parts += [
        f'<circle cx="{axes.x(epoch):.1f}" cy="{axes.y(value):.1f}" r="4" fill="{colour}"/>'
        for epoch, value in points
        if epoch == curve.best_epoch or len(points) == 1
    ]
    return parts


def _legend(curves: Sequence[Curve]) -> list[str]:
    """The labels of the coloured curves, and how many others there are."""
    parts, x = list[str](), WIDTH - RIGHT + 14
    for at, curve in enumerate(curves[: len(COLOURS)]):
        y = TOP + 8 + 20 * at
        parts.append(f'<line x1="{x}" y1="{y}" x2="{x + 18}" y2="{y}" stroke="{COLOURS[at]}" stroke-width="3"/>')
        label = curve.label if len(curve.label) <= MAX_LABEL else f"{curve.label[: MAX_LABEL - 1]}…"
        parts.append(_text(x + 24, y + 4, label))
    if len(curves) > len(COLOURS):
        y = TOP + 8 + 20 * len(COLOURS)
        parts.append(f'<line x1="{x}" y1="{y}" x2="{x + 18}" y2="{y}" stroke="{OTHER}" stroke-width="3"/>')
        parts.append(_text(x + 24, y + 4, f"{len(curves) - len(COLOURS)} others"))
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text {place} fill="#333">{_escaped(text)}</text>'


def _finite(curve: Curve) -> list[tuple[int, float]]:
    return [(epoch, value) for epoch, value in curve.points if math.isfinite(value)]


def _escaped(text: str) -> str:
    return escape("".join(each for each in text if each.isprintable()))


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', "&quot;")
