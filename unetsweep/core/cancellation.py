"""Cancellation: whether the training of cancelled trials may end by itself first, with a checkpoint.

Trainings save at the end of an epoch, and stop there if `prune.json` says so. A job that is cancelled at once loses
what it trained since its last checkpoint. So the job is cancelled only if its training does not stop in time.

Rule 1: pure: the same run, trials and time give the same answer.
Rule 2: the wait is bounded, by the time of the cancellation, whoever reconciles.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from unetsweep.core.observation import Attempt, JobState, Run, Trial
from unetsweep.core.spec import SweepSpec

CHECKPOINT_WAIT = timedelta(seconds=30)
"""How long after its cancellation a training may run on to save a checkpoint: as long as SLURM gives processes by
default (KillWait)."""
SAVES_CHECKPOINT = "cancelled; its training saves a checkpoint first"
"""Why a cancelled trial waits for its training."""


def saves_checkpoint_first(spec: SweepSpec, run: Run, trials: Sequence[Trial], now: datetime) -> bool:
    """Return whether all open trials of a running training are cancelled, and it may finish its epoch before it ends.

    It may if that epoch is likely to end within CHECKPOINT_WAIT of the last cancellation. False if the training has
    reported no epoch yet, or is a trainer command that does not resume: then there is little to save.
    """
    if spec.trainer.command is not None and not spec.trainer.resumes:
        return False
    times = [trial.cancelled_at for trial in trials if trial.cancelled_at is not None]
    if len(times) < len(trials) or run.last_progress_at is None or run.epoch_seconds is None:
        return False
    until = max(times) + CHECKPOINT_WAIT
    epoch_ends = run.last_progress_at + timedelta(seconds=run.epoch_seconds)
    return max(times) <= now < until and epoch_ends < until


def has_obeyed(last: Attempt | None) -> bool:
    """Return whether an attempt that was asked to stop has ended: then its cancelled trials wait for no late result.

    A training that stops early need not publish one, and its processes have recorded their end after anything else.
    """
    return last is not None and last.ending is not None and last.job is not None and last.job.state is JobState.ENDED
