"""Checkpoint garbage collection: which runs' last checkpoints are deleted, with `run.keep_checkpoints: best`.

Rule 1: never those of a run that an open trial needs, or in which a process may still be at work.
"""

from datetime import datetime, timedelta

from unetsweep.core.actions import CollectCheckpoints
from unetsweep.core.observation import Observation
from unetsweep.core.spec import SweepSpec

CERTAINLY_ENDED = timedelta(hours=1)
"""No process of a run is at work this long after its last trial ended, even if no file says so because its node died: a
job ends itself five minutes after its last result."""

COLLECTABLE_STATES = frozenset({"complete", "pruned", "diverged"})
"""The states of trials that need no checkpoint. A failed or cancelled one keeps it: `retry` continues from it."""


def is_enabled(spec: SweepSpec) -> bool:
    """Whether checkpoints are deleted; never those of a trainer command, which are the user's."""
    return spec.run.keep_checkpoints == "best" and spec.trainer.command is None


def collect(spec: SweepSpec, observation: Observation, now: datetime) -> list[CollectCheckpoints]:
    """Return one action for all runs whose checkpoints can be deleted now; none if there is no such run."""
    if not is_enabled(spec):
        return []
    needed = {trial.run for trial in observation.trials}
    gone = [run.run for run in observation.collectable if not run.at_work or now - run.since > CERTAINLY_ENDED]
    runs = tuple(run for run in gone if run not in needed)
    return [CollectCheckpoints(runs, "their trials have ended, and run.keep_checkpoints is best")] if runs else []
