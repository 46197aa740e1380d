"""Checkpoint garbage collection: which runs' last checkpoints are deleted, with `run.keep_checkpoints: best`.

Rule 1: a checkpoint is kept while an open trial needs its run, or a process of its run may still be running.
"""

from datetime import datetime, timedelta

from unetsweep.core.actions import CollectCheckpoints
from unetsweep.core.observation import Observation
from unetsweep.core.spec import SweepSpec

CERTAINLY_ENDED = timedelta(hours=1)
"""This long after the last trial of a run has ended, none of its processes is running: a job ends itself five minutes
after its last result. This counts if no file records the end of the processes, for example because their node died."""

COLLECTABLE_STATES = frozenset({"complete", "pruned", "diverged"})
"""The states of trials that need no checkpoint. A failed or cancelled one keeps it: `retry` continues from it."""


def is_enabled(spec: SweepSpec) -> bool:
    """Whether checkpoints are deleted. Those of a trainer command never are, because they belong to the user."""
    return spec.run.keep_checkpoints == "best" and spec.trainer.command is None


def collect(spec: SweepSpec, observation: Observation, now: datetime) -> list[CollectCheckpoints]:
    """Return one action for all runs whose checkpoints can be deleted now; none if there is no such run."""
    if not is_enabled(spec):
        return []
    needed = {trial.run for trial in observation.trials}
    idle = [run.run for run in observation.collectable if not run.at_work or now - run.since > CERTAINLY_ENDED]
    runs = tuple(run for run in idle if run not in needed)
    return [CollectCheckpoints(runs, "their trials have ended, and run.keep_checkpoints is best")] if runs else []
