"""Reads the end of a sweep's ledger, the log of what reconciliations did.

Rule 1: it is for people, and no decision depends on it. So what cannot be read is left out.
"""

from datetime import UTC, datetime
from pathlib import Path

from unetsweep.bounded_json import parse_json
from unetsweep.core import paths
from unetsweep.core.live import SweepEvent
from unetsweep.core.sweep_events import event_text
from unetsweep.errors import StateError
from unetsweep.regular_files import read_end
from unetsweep.texts import one_line

END_BYTES = 64 * 1024
"""How much of the ledger is read. A line has some hundred bytes."""
MAX_TEXT = 500
"""Characters of an event; no terminal shows more of it."""


def last_events(root: Path, count: int) -> tuple[SweepEvent, ...]:
    """The last events that a user may want to know, the oldest first; at most `count`."""
    try:
        lines = read_end(root / paths.LEDGER, END_BYTES).splitlines()
    except (StateError, OSError):
        return ()
    found: list[SweepEvent] = []
    for line in reversed(lines):
        if len(found) == count:
            break
        if (event := _event(line)) is not None:
            found.append(event)
    return tuple(reversed(found))


def _event(line: bytes) -> SweepEvent | None:
    try:
        raw = parse_json(line, lenient=True)
    except ValueError:
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("at"), str) or (text := event_text(raw)) is None:
        return None
    try:
        at = datetime.fromisoformat(raw["at"])
    except ValueError:
        return None
    return SweepEvent(at if at.tzinfo is not None else at.replace(tzinfo=UTC), one_line(text)[:MAX_TEXT])
