"""The live view of a sweep as the lines of a terminal. Pure: the same model, time and terminal give the same lines.

Rule 1: no line is wider than the terminal, and there are no more lines than it has.
Rule 2: failed and running trials have rows; the others are one line for each state and reason. What has no room is
        counted in a line of its own.
Rule 3: a figure that is older than two minutes is shown with its age.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from unetsweep.core.failures import FailedTrials
from unetsweep.core.live import LiveSweep, LiveTrial, SweepEvent, WaitingTrials
from unetsweep.core.live_text import age_of, best_text, end_text, format_some, start_text
from unetsweep.report.running_table import RunningTable, running_table
from unetsweep.report.terminal_text import Line, Span, Terminal, bar, fitted_line, left_aligned
from unetsweep.texts import counted, one_line, shortened

KEYS = "↑↓ select · Enter log and curve · q quit; the trainings continue"
_STATES = ("failed", "diverged", "running", "submitted", "waiting", "complete", "pruned", "cancelled")
_STYLES = {"failed": "red", "diverged": "red", "running": "cyan", "complete": "green"}
_INDENT = 2
"""Cells before each row: the mark of the selected one."""
_BAR = 24
_SHORTEST = 20
"""Characters of a reason at least."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row that can be selected: trials that failed for one reason, or a running trial."""

    trial: int
    """The trial that Enter opens."""
    failed: FailedTrials | None = None
    running: LiveTrial | None = None


def rows_of(sweep: LiveSweep) -> list[Row]:
    """Return the rows that can be selected, in their order."""
    failed = [Row(each.trials[0], failed=each) for each in sweep.failures]
    return failed + [Row(trial.number, running=trial) for trial in sweep.running]


def neighbour(rows: Sequence[Row], selected: int | None, step: int) -> int | None:
    """Return the trial of the row that is so many rows below the selected one; None: there is no row."""
    if not rows:
        return None
    at = next((i for i, row in enumerate(rows) if row.trial == selected), None)
    if at is None:
        return rows[0].trial
    return rows[min(max(0, at + step), len(rows) - 1)].trial


def live_frame(sweep: LiveSweep, terminal: Terminal, now: datetime, selected: int | None = None) -> tuple[Line, ...]:
    """Return the lines of the view. `selected`: the trial of the selected row; None: none is."""
    head = [*_head(sweep, terminal, now), ()]
    left = terminal.height - len(head) - 2  # the line about what is left out, and the keys
    waiting, rows = sweep.waiting, rows_of(sweep)
    for_waiting = min(len(waiting), max(1, left // 5))
    for_events = min(len(sweep.events), max(2, left // 5))
    room = left - for_waiting - (for_events + 2 if for_events else 0) - 2
    needed = len(rows) + bool(sweep.running)
    if needed > room:  # rows come before events
        less = min(for_events, needed - room)
        for_events -= less
        room += less + (2 if not for_events and less else 0)
    body, left_out = _body(sweep, rows, terminal, now, selected, max(1, room))
    body += _waiting_lines(waiting[:for_waiting], terminal, now)
    more = left - len(body) - 2
    events = sweep.events[-max(0, min(len(sweep.events), max(for_events, more))) :] if more > 0 else ()
    if events:
        body += [(), *_event_lines(events[-more:], terminal, now)]
    left_out += _left_out_waiting(waiting[for_waiting:])
    body = body[: max(0, left)]
    body += [()] * max(0, left - len(body))
    note = f"left out here: {'; '.join(left_out)}" if left_out else ""
    foot = [fitted_line([Span(note, "dim")], terminal), fitted_line([Span(KEYS, "dim")], terminal)]
    return tuple([*head, *body, *foot][: terminal.height])


# ---- the head


def _head(sweep: LiveSweep, terminal: Terminal, now: datetime) -> Iterator[Line]:
    age = age_of(sweep.at, now)
    seen = Span(f"as of {_clock(sweep.at)}" + (f", {age}" if age else ""), "yellow" if age else "dim")
    yield fitted_line([Span(sweep.name, "bold"), f" on {sweep.executor} · ", seen], terminal)
    share = sweep.ended / sweep.wanted if sweep.wanted else 0.0
    why = f" ({sweep.end.why})" if sweep.end.seconds is not None else ""
    progress = f" {sweep.ended} of {sweep.wanted} trials ended · "
    filled, end = Span(bar(share, _BAR, terminal), "green"), end_text(sweep.end)
    fits = len(filled.text) + len(progress) + len(end) + len(why) <= terminal.width
    yield fitted_line([filled, progress, end, Span(why if fits else "", "dim")], terminal)
    yield fitted_line(list(_counts(sweep)) or ["no trials yet"], terminal)
    used = "" if sweep.used is None else f" · {sweep.used.hours:.2f} {sweep.used.unit}-hours used"
    yield fitted_line([best_text(sweep.best, sweep.metric), used], terminal)
    yield from (fitted_line([Span(text, "yellow")], terminal) for text in _notices(sweep, now))


def _counts(sweep: LiveSweep) -> Iterator[Span]:
    states = [state for state in _STATES if sweep.counts.get(state)]
    for state in states:
        yield Span(f"{sweep.counts[state]} {state}", _STYLES.get(state, ""))
        if state != states[-1]:
            yield Span(" · ")


def _notices(sweep: LiveSweep, now: datetime) -> Iterator[str]:
    """What a user must know, the most important first."""
    if sweep.paused is not None:
        yield f"paused: {sweep.paused}"
    if sweep.scheduler_error is not None:
        if sweep.answered_at is None:
            since = "the states of jobs are those of their files"
        else:
            since = f"the states of jobs are those of {_clock(sweep.answered_at)}"
            since += f", {age}" if (age := age_of(sweep.answered_at, now)) else ""
        yield f"the scheduler does not answer; {since}: {sweep.scheduler_error}"
    if sweep.problem is not None and sweep.open_trials:
        yield f"warning: {sweep.problem}"
    if sweep.limit is not None:
        yield sweep.limit


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"


# ---- failed and running trials


def _body(
    sweep: LiveSweep, rows: Sequence[Row], terminal: Terminal, now: datetime, selected: int | None, room: int
) -> tuple[list[Line], list[str]]:
    """The rows around the selected one, in at most so many lines, and what is left out."""
    failed = [row for row in rows if row.failed is not None]
    running = [row for row in rows if row.running is not None]
    has_heading = bool(running) and room > len(failed[:1]) + 1
    room -= has_heading
    for_failed = min(len(failed), room if not running else max(1, room // 2, room - len(running)))
    visible = [*_window(failed, selected, for_failed), *_window(running, selected, room - for_failed)]
    trials = [row.running for row in visible if row.running is not None]
    table = running_table(trials, sweep.metric, terminal, now, indent=_INDENT)
    lines = list(_row_lines(visible, table, terminal, selected))
    if has_heading:
        lines.insert(for_failed, fitted_line([Span(" " * _INDENT + table.heading, "dim")], terminal))
    return lines, list(_left_out(len(failed) - for_failed, len(running) - len(trials), table))


def _left_out(failed: int, running: int, table: RunningTable) -> Iterator[str]:
    if failed:
        yield counted(failed, "reason of failures", "reasons of failures")
    if running:
        yield counted(running, "running trial")
    if table.left_out:
        yield f"columns {', '.join(table.left_out)}"


def _window(rows: Sequence[Row], selected: int | None, room: int) -> Sequence[Row]:
    """The rows that are visible: the first ones, or those around the selected one."""
    if len(rows) <= room:
        return rows
    at = next((i for i, row in enumerate(rows) if row.trial == selected), 0)
    start = min(max(0, at - room // 2), len(rows) - max(0, room))
    return rows[start : start + max(0, room)]


def _row_lines(rows: Sequence[Row], table: RunningTable, terminal: Terminal, selected: int | None) -> Iterator[Line]:
    texts = iter(table.rows)
    for row in rows:
        mark = "> " if row.trial == selected else "  "
        text = _failed_text(row.failed, terminal.width - len(mark)) if row.failed is not None else next(texts)
        if row.trial == selected:
            yield (Span(left_aligned(mark + text, terminal.width, terminal), "reverse"),)
        else:
            yield fitted_line([mark, Span(text, "red" if row.failed is not None else "")], terminal)


def _failed_text(failed: FailedTrials, width: int) -> str:
    """What failed, and why in so many characters: the end of a long reason is what the program said last."""
    which = f"failed: {counted(len(failed.trials), 'trial')} ({format_some(failed.trials)}): "
    return which + shortened(one_line(failed.reason), max(_SHORTEST, width - len(which)))


# ---- the others


def _waiting_lines(groups: Sequence[WaitingTrials], terminal: Terminal, now: datetime) -> list[Line]:
    return [
        fitted_line([f"  {len(each.trials)} {each.state}{start_text(each.starts_at, now)}: {each.reason}"], terminal)
        for each in groups
    ]


def _left_out_waiting(groups: Sequence[WaitingTrials]) -> list[str]:
    if not groups:
        return []
    trials = sum(len(each.trials) for each in groups)
    return [f"{counted(trials, 'waiting trial')} for {counted(len(groups), 'other reason')}"]


def _event_lines(events: Sequence[SweepEvent], terminal: Terminal, now: datetime) -> Iterator[Line]:
    today = now.astimezone().date()
    for event in events:
        at = event.at.astimezone()
        clock = f"{at:%H:%M:%S}" if at.date() == today else f"{at:%m-%d %H:%M}"
        yield fitted_line([Span(f"  {clock}  {event.text}", "dim")], terminal)
