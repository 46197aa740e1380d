"""Which runs' last checkpoints go, with `run.keep_checkpoints: best`.

Rule 1: never of a run that an open trial needs, or that may have a process at work.
"""

from datetime import datetime, timedelta

from unetsweep.core.actions import CollectCheckpoints
from unetsweep.core.observation import Observation
from unetsweep.core.spec import SweepSpec

SURELY_GONE = timedelta(hours=1)
"""So long after its last trial ended nothing of a run is at work, though no file says that it went (its node died): a
job ends itself five minutes after its last result."""

COLLECTABLE_STATES = frozenset({"complete", "pruned", "diverged"})
"""Trials that ended so; a failed or cancelled one keeps all, so that `retry` goes on from where it was."""


def is_enabled(spec: SweepSpec) -> bool:
    """A program of the user's has checkpoints of its own, which are not ours to delete."""
    return spec.run.keep_checkpoints == "best" and spec.trainer.command is None


def collect(spec: SweepSpec, observed: Observation, now: datetime) -> list[CollectCheckpoints]:
    """One action for all of them."""
    if not is_enabled(spec):
        return []
    needed = {trial.run for trial in observed.trials}
    gone = (
        collectable_run.run
        for collectable_run in observed.collectable
        if not collectable_run.at_work or now - collectable_run.since > SURELY_GONE
    )
    runs = tuple(run for run in gone if run not in needed)
    return [CollectCheckpoints(runs, "their trials have ended, and run.keep_checkpoints is best")] if runs else []
