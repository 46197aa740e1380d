"""When a sweep stops by itself: a fault that every trial would meet is met by a few, not by all.

Rule 1: what ended well lifts it; so does the user's retry, which makes the failures uncounted.
"""

from unetsweep.core.causes import Cause
from unetsweep.core.facts import Run, Seen

ALIKE = 3
"""So many trials that fail the same way, with none that did not, are a fault of all."""
STARTS = 2
"""So often must each run that was sent have ended before it began."""


def halted(seen: Seen) -> str | None:
    """Why nothing more is sent; None: go on."""
    return _same_error(seen) or _nothing_starts(seen)


def _same_error(seen: Seen) -> str | None:
    found = seen.failures
    if len(found) < ALIKE or len(found) != seen.ended or len({failure.signature for failure in found}) != 1:
        return None
    return (
        f"the first {len(found)} trials all failed of this: {found[0].message}; "
        "mend it, then `unetsweep retry` sends them again"
    )


def _nothing_starts(seen: Seen) -> str | None:
    """Every run that was sent ended twice before it began: a bad interpreter, module or set-up line."""
    sent = [run for run in seen.runs.values() if any(not a.refused for a in run.counted)]
    if seen.ended or len(sent) < 2 or not all(_never_began(run) for run in sent):
        return None
    words = [a.lost for run in sent for a in run.counted if a.cause is Cause.START and a.lost]
    return (
        f"no job of the sweep gets as far as its training: {words[-1]}; "
        "mend slurm.python, slurm.setup or the profile, then `unetsweep retry` sends them again"
    )


def _never_began(run: Run) -> bool:
    tries = [a for a in run.counted if not a.refused]
    starts = sum(a.cause is Cause.START for a in tries)
    return starts >= STARTS and all(a.claimed_by is None for a in tries)
