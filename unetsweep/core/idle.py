"""How much of a sweep's places stood empty while there was work for them.

The share is the integral of max(0, min(parallel, work left) - (jobs that run without a result yet + jobs that the
scheduler could start)) over parallel x time, from the first submission to the last end.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spell:
    """One attempt's time in the queue or at work, in seconds."""

    begin: float
    """Its submission."""
    end: float
    """Its run's result, or its loss."""


def idle_share(parallel: int, wanted: int, spells: Iterable[Spell], ends: Iterable[float]) -> float | None:
    """Share of place-time that was idle; None where nothing has ended. `ends` are the times of the trials' ends.

    >>> idle_share(2, 3, [Spell(0, 10), Spell(0, 20), Spell(15, 20)], [10, 20, 20])
    0.125
    """
    spells, ends = list(spells), sorted(ends)
    if not spells or not ends:
        return None
    begin, last = min(spell.begin for spell in spells), ends[-1]
    if last <= begin:
        return None
    changes = [(spell.begin, 1, 0) for spell in spells] + [(min(spell.end, last), -1, 0) for spell in spells]
    changes += [(end, 0, -1) for end in ends]
    idle, busy, left, now = 0.0, 0, wanted, begin
    for at, more, work in sorted(changes):
        idle += max(0, min(parallel, left) - busy) * (min(max(at, now), last) - now)
        now = max(now, min(at, last))
        busy, left = busy + more, left + work
    return idle / (parallel * (last - begin))
