"""Texts about a sweep at one time that `status`, `watch` and its plain lines have in common."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from unetsweep.core.end_estimate import EndEstimate
from unetsweep.core.failures import FailedTrials
from unetsweep.core.live import OLD_AGE, BestTrial, LiveTrial
from unetsweep.texts import age_text, counted, score_text

FEW = 8
"""A list with more elements than this is shortened: it would fill several lines."""


def format_some(items: Sequence[object], separator: str = ", ") -> str:
    """Return the first few items on one line: `0, 1, 2, 3, 4, 5, 6, 7 …`."""
    return separator.join(map(str, items[:FEW])) + (" …" if len(items) > FEW else "")


def counts_text(counts: Mapping[str, int]) -> str:
    """Return how many trials are in each state, by the names of the states.

    >>> counts_text({"running": 2, "complete": 1}), counts_text({})
    ('1 complete, 2 running', 'no trials yet')
    """
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no trials yet"


def duration_text(seconds: float) -> str:
    """Return how long something takes, in its two largest units.

    >>> [duration_text(each) for each in (0, 59, 60, 3599, 3600, 5400, 90000)]
    ['0 s', '59 s', '1 min', '59 min', '1 h', '1 h 30 min', '1 d 1 h']
    """
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= length:
            rest = int(seconds % length // part)
            return f"{int(seconds // length)} {unit}" + (f" {rest} {smaller}" if rest else "")
    return age_text(seconds)


def end_text(end: EndEstimate) -> str:
    """Return when the sweep ends.

    >>> end_text(EndEstimate((600, 1500), "")), end_text(EndEstimate((600, 630), ""))
    ('ends in 10 min to 25 min', 'ends in about 10 min')
    >>> end_text(EndEstimate(None, "unknown until a training runs"))
    'end: unknown until a training runs'
    """
    if end.seconds is None:
        return f"end: {end.why}"
    low, high = map(duration_text, end.seconds)
    if end.seconds[1] <= 0:
        return "ends now"
    return f"ends in about {low}" if low == high else f"ends in {low} to {high}"


def best_text(best: BestTrial | None, metric: str) -> str:
    """Return which trial is the best so far."""
    if best is None:
        return "best: no trial is complete yet"
    return f"best: trial {best.number}, {metric} {score_text(best.score)}"


def failed_text(failed: FailedTrials) -> str:
    """Return which trials failed for one reason.

    >>> failed_text(FailedTrials("no x", (0, 2)))
    '2 trials failed (0, 2): no x'
    """
    return f"{counted(len(failed.trials), 'trial')} failed ({format_some(failed.trials)}): {failed.reason}"


def age_of(at: datetime | None, now: datetime) -> str | None:
    """Return how old a figure is, if it is so old that a reader must know; None: it is not, or has no time."""
    if at is None or now - at < OLD_AGE:
        return None
    return f"{age_text((now - at) / timedelta(seconds=1))} ago"


def epoch_text(trial: LiveTrial) -> str:
    """Return how many of its epochs a trial has finished: `12/100`; empty: its program has none and reported none."""
    if not trial.epochs:
        return str(trial.epoch) if trial.epoch else ""
    return f"{trial.epoch}/{trial.epochs}"


def start_text(at: datetime | None, now: datetime) -> str:
    """Return when the scheduler expects a job to start: `, may start at 14:05`; empty: it does not say."""
    if at is None:
        return ""
    local = at.astimezone()
    is_today = local.date() == now.astimezone().date()
    return f", may start at {local:%H:%M}" if is_today else f", may start on {local:%Y-%m-%d at %H:%M}"
