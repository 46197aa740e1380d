"""What share of a sweep's slots was idle while trials were left to run, from the times of the sweep's files.

The share is the integral of max(0, min(slots, trials left) - active attempts) over slots x time, from the first
submission to the last end. An attempt is active from its submission to its result or its loss, so the time in which
the scheduler could have started it does not count as idle.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from unetsweep.core import paths


@dataclass(frozen=True, slots=True)
class AttemptSpan:
    """The time of one attempt, in seconds since 1970."""

    begin: float
    """When it was submitted."""
    end: float
    """When its run had a result, or when it was lost."""


def idle_share(slots: int, runs: int, spans: Iterable[AttemptSpan], ends: Iterable[float]) -> float | None:
    """Return the share of slot-time that was idle; None while no run has ended. `ends`: when each run ended.

    >>> idle_share(2, 3, [AttemptSpan(0, 10), AttemptSpan(0, 20), AttemptSpan(15, 20)], [10, 20, 20])
    0.125
    """
    spans, ends = list(spans), sorted(ends)
    if not spans or not ends:
        return None
    begin, last = min(span.begin for span in spans), ends[-1]
    if last <= begin:
        return None
    changes = [(span.begin, 1, 0) for span in spans] + [(min(span.end, last), -1, 0) for span in spans]
    changes += [(end, 0, -1) for end in ends]
    idle, active, left, now = 0.0, 0, runs, begin
    for at, more_active, more_left in sorted(changes):
        idle += max(0, min(slots, left) - active) * (min(max(at, now), last) - now)
        now = max(now, min(at, last))
        active, left = active + more_active, left + more_left
    return idle / (slots * (last - begin))


def read_attempt_spans(root: Path, now: float) -> tuple[list[AttemptSpan], list[float]]:
    """Return the spans of all attempts of a sweep, and when each run of which all trials have ended did so.

    A span that is still open ends at `now`.
    """
    run_ends = _read_run_ends(root)
    spans = [
        span
        for folder in sorted((root / paths.RUNS).iterdir())
        for span in _read_run_spans(folder, int(folder.name) in run_ends, now)
    ]
    return spans, list(run_ends.values())


def _read_run_ends(root: Path) -> dict[int, float]:
    """Return when the last trial of each run ended, without the runs that have an open trial."""
    ends: dict[int, float] = {}
    unfinished: set[int] = set()
    for folder in (root / paths.TRIALS).iterdir():
        run = int(json.loads((folder / paths.TRIAL).read_bytes())["run"])
        result = folder / paths.RESULT
        if result.exists():
            ends[run] = max(result.stat().st_mtime, ends.get(run, 0.0))
        else:
            unfinished.add(run)
    return {run: end for run, end in ends.items() if run not in unfinished}


def _read_run_spans(folder: Path, has_ended: bool, now: float) -> Iterator[AttemptSpan]:
    attempts = folder / "attempts"
    numbers = sorted(int(path.stem) for path in attempts.glob("*.json") if path.stem.isdecimal())
    begins = [_read_time(attempts / f"{number}.json") for number in numbers]
    milestones = [path.stat().st_mtime for path in (folder / "milestones").glob("*.json")]
    for number, begin, next_begin in zip(numbers, begins, [*begins[1:], now], strict=True):
        lost = attempts / f"{number}.lost.json"
        exits = [path.stat().st_mtime for path in attempts.glob(f"{number}.exit-*.json")]
        if lost.exists():
            end = _read_time(lost)
        elif milestones:
            end = max(milestones)
        elif has_ended:  # it failed: its slot was in use until its processes were gone
            end = max(exits, default=now)
        else:
            end = now
        yield AttemptSpan(begin, min(end, next_begin))


def _read_time(path: Path) -> float:
    return datetime.fromisoformat(json.loads(path.read_bytes())["at"]).timestamp()
