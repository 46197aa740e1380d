"""The charts of a search: learning curves, the history of the optimization, and the importances of parameters."""

import math
from collections.abc import Iterable, Mapping, Sequence

from unetsweep.analysis.rows import SweepRecord, TrialRecord, ranked
from unetsweep.report.columns import LEAKED, number_text
from unetsweep.report.page.chart import Axes, Chart, bars, csv_text, drawing, line, text
from unetsweep.report.page.content import Importances, RunCurve
from unetsweep.texts import counted, score_text

COLOURED = 5
"""Runs with a colour of their own: more colours are hard to distinguish. The best comes first."""
MOST_POINTS, ALL_POINTS, LEAST_POINTS = 150, 10_000, 20
"""Points that are drawn: of a curve, since a chart is about 600 pixels wide; of all together; and of each at least."""
LEGEND_WIDTH, LEGEND_LINE = 210, 17
"""Pixels of the legend, and of a line in it."""
DIM = ("pruned", "diverged", "failed", "cancelled")
"""States of trials whose curves are dimmed."""


def metric_label(sweep: SweepRecord) -> str:
    """The metric for people; it says if the images are leaked."""
    return sweep.spec.metric.label + (f" {LEAKED}" if "val" in sweep.leak else "")


def learning_curves(sweep: SweepRecord, curves: Sequence[RunCurve]) -> Chart | None:
    """The metric by epoch of each run, the best ones in colour; None: no run has reported an epoch."""
    drawn = [(curve, points) for curve in curves if (points := _finite(curve.points))]
    if not drawn:
        return None
    trials = {trial.number: trial for trial in sweep.trials}
    rank = _ranks(sweep, [curve for curve, _ in drawn])
    most = min(MOST_POINTS, max(LEAST_POINTS, ALL_POINTS // len(drawn)))
    axes = Axes.around([point for _, points in drawn for point in points], from_zero=True)
    parts, rows = axes.grid("epoch", metric_label(sweep)), list[Sequence[str | int | float | None]]()
    for curve, points in sorted(drawn, key=lambda each: -rank.get(each[0].trials, len(drawn))):
        states = [trials[number].state for number in curve.trials if number in trials]
        kind = _kind(rank.get(curve.trials), states)
        kept = thinned(points, most)
        title = f"{_names(curve.trials)}, {', '.join(dict.fromkeys(states))}: {_last(points)}"
        parts.append(axes.path(kept, kind, title, curve.trials) if len(kept) > 1 else "")
        parts += [axes.point(*kept[0], kind, title, curve.trials)] if len(kept) == 1 else []
        rows += [
            (" ".join(map(str, curve.trials)), states[-1] if states else None, epoch, round(value, 6))
            for epoch, value in kept
        ]
    legend = [(rank[curve.trials], _names(curve.trials)) for curve, _ in drawn if curve.trials in rank]
    coloured = [point for curve, points in drawn if curve.trials in rank for point in points]
    parts += _legend(axes, sorted(legend), coloured)
    title = f"{metric_label(sweep)} by epoch"
    thin = " Of longer curves every few epochs are drawn." if any(len(p) > most for _, p in drawn) else ""
    caption = f"{counted(len(drawn), 'run')} at equal epochs. Runs that were pruned or failed are dashed.{thin}"
    svg = drawing("curves", title, caption, parts)
    return Chart("curves", title, caption, svg, csv_text(("trials", "state", "epoch", sweep.spec.metric.name), rows))


def _ranks(sweep: SweepRecord, curves: Iterable[RunCurve]) -> dict[tuple[int, ...], int]:
    """The ranks of the best runs, from 0, by their trials."""
    run_of = {number: curve.trials for curve in curves for number in curve.trials}
    best = dict.fromkeys(run_of[trial.number] for trial in ranked(sweep) if trial.number in run_of)
    return {trials: rank for rank, trials in enumerate(list(best)[:COLOURED])}


def _kind(rank: int | None, states: Sequence[str]) -> str:
    if rank is not None:
        return f"c{rank}"
    return "dim" if states and states[-1] in DIM else "other"


def _legend(axes: Axes, names: Sequence[tuple[int, str]], points: Sequence[tuple[float, float]]) -> list[str]:
    """The names of the coloured runs, in the corner with the fewest points."""
    width, height = LEGEND_WIDTH, LEGEND_LINE * len(names)
    left, right = axes.x(axes.x_ticks[0]) + 12, axes.x(axes.x_ticks[-1]) - 12
    top, bottom = axes.y(axes.y_ticks[-1]) + 12, axes.y(axes.y_ticks[0]) - 8
    corners = [(x, y) for x in (right, left + width) for y in (bottom, top + height)]

    def crowd(corner: tuple[float, float]) -> int:
        x, y = corner
        return sum(x - width <= axes.x(at) <= x and y - height <= axes.y(value) <= y for at, value in points)

    x, y = min(corners, key=crowd)
    parts = []
    for rank, name in names:
        at = y - LEGEND_LINE * (len(names) - 1 - rank)
        parts.append(line(x - 20, at - 4, x, at - 4, f"line c{rank}"))
        parts.append(text(x - 27, at, f"{name}{', the best' if not rank else ''}", "end", "name halo"))
    return parts


def _names(trials: Sequence[int]) -> str:
    """The trials of a run: `trial 0003`, or `trials 0003, 0004`."""
    return f"trial{'' if len(trials) == 1 else 's'} {', '.join(map(number_text, trials))}"


def _last(points: Sequence[tuple[int, float]]) -> str:
    return f"{score_text(points[-1][1])} at epoch {points[-1][0]}"


def thinned(points: Sequence[tuple[int, float]], most: int) -> Sequence[tuple[int, float]]:
    """About `most` points or fewer, evenly spaced, with the first and the last.

    >>> thinned([(epoch, 0.5) for epoch in range(1, 10)], 4), thinned([(1, 0.5)], 4)
    ([(1, 0.5), (4, 0.5), (7, 0.5), (9, 0.5)], [(1, 0.5)])
    """
    step = -(-len(points) // most)
    kept = points[::step]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _finite(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    return [(epoch, value) for epoch, value in points if math.isfinite(value)]


def history(sweep: SweepRecord) -> Chart | None:
    """The metric of each trial with one, and the best so far; None: no trial has one."""
    metric = sweep.spec.metric
    found = [(trial, value) for trial in sweep.trials if (value := _value(sweep, trial)) is not None]
    if not found:
        return None
    axes = Axes.around([(trial.number, value) for trial, value in found], from_zero=True)
    steps, best = list[tuple[float, float]](), None
    for trial, value in found:
        if trial.state == "complete" and (best is None or metric.sign * value > metric.sign * best):
            steps += [(trial.number, best), (trial.number, value)] if best is not None else [(trial.number, value)]
            best = value
    steps += [(found[-1][0].number, best)] if best is not None else []
    parts = axes.grid("trial", metric_label(sweep))
    parts += [axes.path(steps, "c0", "the best so far")] if len(steps) > 1 else []
    for trial, value in found:
        title = f"trial {number_text(trial.number)}, {trial.state}: {score_text(value)}"
        kind = "c0" if trial.state == "complete" else "open"
        parts.append(axes.point(trial.number, value, kind, title, (trial.number,)))
    title = f"{metric_label(sweep)} of each trial"
    caption = "The line is the best complete trial so far. Trials that are not complete are hollow."
    rows = [(trial.number, trial.state, value) for trial, value in found]
    return Chart(
        "history",
        title,
        caption,
        drawing("history", title, caption, parts),
        csv_text(("trial", "state", metric.name), rows),
    )


def _value(sweep: SweepRecord, trial: TrialRecord) -> float | None:
    value = None if trial.result is None else sweep.spec.metric.of_result(trial.result)
    return value if value is not None and math.isfinite(value) else None


def importances(found: Importances) -> Chart | None:
    """The share of each parameter; None: they are not known."""
    shares: Mapping[str, float] = found.shares
    if not shares:
        return None
    parts, height = bars([(name, share, f"{share:.0%}") for name, share in shares.items()])
    title = "Importance of the parameters"
    svg = drawing("importances", title, found.note, parts, height)
    return Chart("importances", title, found.note, svg, csv_text(("parameter", "importance"), [*shares.items()]))
