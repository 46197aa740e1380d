"""The chart of the confirmed leaders: how far each is behind the best, with its interval over seeds and images."""

from collections.abc import Callable

from unetsweep.analysis.rows import SweepRecord
from unetsweep.analysis.significance import ALPHA, Contender, difference_intervals
from unetsweep.report import confirmed
from unetsweep.report.columns import number_text
from unetsweep.report.page.chart import (
    WIDTH,
    Chart,
    csv_text,
    drawing,
    line,
    text,
)
from unetsweep.report.page.curves import metric_label
from unetsweep.report.ticks import ticks
from unetsweep.texts import score_text

ROW, TOP, LEFT, RIGHT = 30, 10, 110, 210
"""Pixels of a row, above the first one, and the room for the texts before and after the intervals."""


def leaders(sweep: SweepRecord) -> Chart | None:
    """The difference of each confirmed leader to the best; None: no two can be compared."""
    rows = [row for row in confirmed.compare_leaders(sweep) if row.behind is not None]
    if len(rows) < 2:
        return None
    found = difference_intervals(sweep.confirmed, minimize=sweep.spec.metric.minimize, groups=sweep.val_groups)
    if not found:
        return None
    ends = [0.0, *(row.behind or 0.0 for row in rows), *(end for pair in found.values() for end in pair)]
    levels = ticks(min(ends), max(ends))
    left, right, bottom = LEFT, WIDTH - RIGHT, TOP + ROW * len(rows)

    def x(value: float) -> float:
        return left + (right - left) * (value - levels[0]) / (levels[-1] - levels[0])

    parts = [line(x(tick), TOP, x(tick), bottom, "grid") for tick in levels]
    parts += [text(x(tick), bottom + 18, f"{tick:.6g}", "middle") for tick in levels]
    parts.append(line(x(0), TOP, x(0), bottom, "axis"))
    for at, row in enumerate(rows):
        parts += _row(row, found.get(row.key), TOP + ROW * at + ROW / 2, x)
    name = metric_label(sweep)
    parts.append(text((left + right) / 2, bottom + 38, f"how much worse than the best ({name})", "middle", "name"))
    title = "Leaders compared with the best"
    caption = (
        f"Mean difference with its {1 - ALPHA:.0%} interval over new seeds and validation images, of each pair alone; "
        "p in the table is adjusted for all pairs."
    )
    cells = [(row.key, row.behind, *found.get(row.key, (None, None)), row.p, str(row.in_best).lower()) for row in rows]
    table = csv_text(("trial", "behind", "from", "to", "p", "in_best"), cells)
    return Chart("leaders", title, caption, drawing("leaders", title, caption, parts, bottom + 46), table)


def _row(row: Contender, interval: tuple[float, float] | None, y: float, x: Callable[[float], float]) -> list[str]:
    """One leader: its name, its interval and its mean difference."""
    kind = "c0" if row.in_best else "other"
    written = "the best" if interval is None and row.behind == 0 else score_text(row.behind or 0.0)
    parts = [text(LEFT - 10, y + 4, f"trial {number_text(row.key)}", "end", "name")]
    if interval is not None:
        low, high = interval
        parts.append(line(x(low), y, x(high), y, f"line {kind}"))
        parts += [line(x(end), y - 5, x(end), y + 5, f"line {kind}") for end in interval]
        written += f" [{score_text(low)}, {score_text(high)}]"
    parts.append(f'<circle class="dot {kind}" cx="{x(row.behind or 0.0):.1f}" cy="{y:.1f}" r="5"/>')
    parts.append(text(WIDTH - RIGHT + 12, y + 4, written))
    return parts
