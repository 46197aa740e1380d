"""The rows of running trials in the live view: columns that fit the terminal, and the names of those left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rich.cells import cell_len

from unetsweep.core.live import LiveTrial
from unetsweep.core.live_text import age_of, epoch_text
from unetsweep.report.terminal_text import Terminal, as_displayed, bar, left_aligned, right_aligned, sparkline
from unetsweep.texts import score_text

GAP = "  "
_WIDEST_NUMBER = 20
"""Cells of a number, a time or a job id; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class _Column:
    """One column."""

    heading: str
    text: Callable[[LiveTrial, int], str]
    """The cell of a trial, for a column of so many cells."""
    least: int
    """Cells below which it says nothing."""
    most: int
    """Cells above which it says no more."""
    dropped: int = 0
    """The column with the highest number is left out first; 0: never."""
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class RunningTable:
    """A table for so many cells."""

    heading: str
    rows: tuple[str, ...]
    left_out: tuple[str, ...]
    """Headings of the columns for which there is no room."""


def running_table(
    trials: Sequence[LiveTrial], metric: str, terminal: Terminal, now: datetime, *, indent: int
) -> RunningTable:
    """Return the table of these trials, for a terminal of which the first `indent` cells are used otherwise."""
    columns = _columns(trials, metric, terminal, now)
    kept = _fitting(columns, terminal.width - indent)
    left_out = tuple(each.heading for each in columns if each.heading not in {other.heading for other in kept})
    heading = GAP.join(_cell(each, each.heading, terminal) for each in kept)
    rows = (GAP.join(_cell(each, each.text(trial, each.most), terminal) for each in kept) for trial in trials)
    return RunningTable(heading, tuple(rows), left_out)


def _columns(trials: Sequence[LiveTrial], metric: str, terminal: Terminal, now: datetime) -> list[_Column]:
    """All columns that say something about these trials."""

    def of_texts(heading: str, text: Callable[[LiveTrial], str], dropped: int, *, is_number: bool) -> _Column:
        widest = max((cell_len(as_displayed(text(trial), terminal)) for trial in trials), default=0)
        width = max(widest, cell_len(heading)) if widest else 0
        least = min(width, _WIDEST_NUMBER if is_number else 10)
        return _Column(heading, lambda trial, _: text(trial), least, width, dropped, is_number)

    columns = [
        of_texts("trial", lambda trial: f"{trial.number:04d}", 0, is_number=False),
        _Column("progress", lambda trial, width: _progress(trial, width, terminal), 8, 20, 3),
        of_texts("epoch", epoch_text, 0, is_number=True),
        of_texts(metric[:12], lambda trial: _score(trial.latest), 0, is_number=True),
        of_texts("best", lambda trial: _score(trial.best), 4, is_number=True),
        _Column("curve", lambda trial, width: _curve(trial, width, terminal), 8, 40, 1),
        of_texts("reported", lambda trial: age_of(trial.reported_at, now) or "", 0, is_number=True),
        of_texts("node", lambda trial: trial.node or "", 2, is_number=False),
        of_texts("job", lambda trial: trial.job_id or "", 5, is_number=True),
    ]
    if not any(trial.epochs for trial in trials):
        columns = [each for each in columns if each.heading != "progress"]
    if not any(trial.curve for trial in trials):
        columns = [each for each in columns if each.heading != "curve"]
    return [each for each in columns if each.most]


def _score(value: float | None) -> str:
    return "-" if value is None else score_text(value)


def _progress(trial: LiveTrial, width: int, terminal: Terminal) -> str:
    return bar(trial.epoch / trial.epochs, width, terminal) if trial.epochs else ""


def _curve(trial: LiveTrial, width: int, terminal: Terminal) -> str:
    return sparkline([value for _, value in trial.curve], width, terminal)


def _fitting(columns: Sequence[_Column], width: int) -> list[_Column]:
    """The columns that fit, each with its width in `most`: as wide as there is room for."""
    kept = list(columns)
    while _least(kept) > width and any(each.dropped for each in kept):
        last = max(each.dropped for each in kept)
        kept = [each for each in kept if each.dropped != last]
    free = max(0, width - _least(kept))
    found = []
    for column in kept:
        more = min(free, column.most - column.least)
        free -= more
        found.append(replace(column, most=column.least + more))
    return found


def _least(columns: Sequence[_Column]) -> int:
    return sum(each.least for each in columns) + len(GAP) * (len(columns) - 1)


def _cell(column: _Column, text: str, terminal: Terminal) -> str:
    align = right_aligned if column.is_number else left_aligned
    return align(text, column.most, terminal)
