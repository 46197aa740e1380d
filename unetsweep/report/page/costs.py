"""The chart of what a sweep has cost: waiting, training, repeated work and idle time."""

from unetsweep.core.cost import FILES
from unetsweep.core.cost_split import CostSplit
from unetsweep.report.page.chart import Chart, bars, csv_text, drawing
from unetsweep.texts import counted

_ROWS = (
    ("training", "c0", "epochs, each counted once"),
    ("repeated", "c1", "work that a later start had to repeat"),
    ("idle", "other", "the rest of the jobs' time: starting, reading images, scoring, saving"),
    ("waiting", "dim", "from submission to the first start; it holds no resources"),
)


def cost(split: CostSplit | None) -> Chart | None:
    """Where the time of the jobs went; None: no job has started."""
    if split is None or split.held + split.waiting <= 0:
        return None
    seconds = {"training": split.training, "repeated": split.repeated, "idle": split.idle, "waiting": split.waiting}
    rows = []
    for name, _, _ in _ROWS:
        share = f" ({seconds[name] / split.held:.0%})" if name != "waiting" and split.held else ""
        rows.append((name, seconds[name], f"{duration(seconds[name])}{share}"))
    parts, height = bars(rows, [kind for _, kind, _ in _ROWS])
    title = "Time of the jobs"
    unread = f" Not counting {counted(split.unread_runs, 'run')} with unreadable files." if split.unread_runs else ""
    files = "" if split.source == FILES else f"; those of epochs and of the queue are from {FILES}"
    times = f"Their times are from {split.source}{files}."
    caption = f"The jobs held {split.hours:.2f} {split.unit}-hours. {times}{unread}"
    table = csv_text(("part", "seconds", "what"), [(name, round(seconds[name], 1), what) for name, _, what in _ROWS])
    return Chart("cost", title, caption, drawing("cost", title, caption, parts, height), table)


def meanings() -> list[tuple[str, str]]:
    """What each part of the time means."""
    return [(name, what) for name, _, what in _ROWS]


def duration(seconds: float) -> str:
    """A time in its largest unit.

    >>> duration(9.2), duration(600), duration(7200), duration(360000)
    ('9 s', '10.0 min', '2.00 h', '100.00 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"
