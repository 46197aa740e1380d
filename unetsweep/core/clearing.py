"""Which runs' last checkpoints go, with `run.keep: best`.

Rule 1: never of a run that an open trial needs, or that may have a process at work.
"""

from datetime import datetime, timedelta

from unetsweep.core.actions import Clear
from unetsweep.core.facts import Seen
from unetsweep.core.spec import SweepSpec

SURELY_GONE = timedelta(hours=1)
"""So long after its last trial ended nothing of a run is at work, though no file says that it went (its node died): a
job ends itself five minutes after its last result."""

GOES = frozenset({"complete", "pruned", "diverged"})
"""Trials that ended so; a failed or cancelled one keeps all, so that `retry` goes on from where it was."""


def wanted(spec: SweepSpec) -> bool:
    """A program of the user's has checkpoints of its own, which are not ours to delete."""
    return spec.run.keep == "best" and spec.trainer.command is None


def clear(spec: SweepSpec, seen: Seen, now: datetime) -> list[Clear]:
    """One action for all of them."""
    if not wanted(spec):
        return []
    needed = {trial.run for trial in seen.trials}
    gone = (spare.run for spare in seen.spares if not spare.at_work or now - spare.since > SURELY_GONE)
    runs = tuple(run for run in gone if run not in needed)
    return [Clear(runs, "their trials have ended, and run.keep is best")] if runs else []
