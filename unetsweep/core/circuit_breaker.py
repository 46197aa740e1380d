"""When a sweep stops by itself: a fault that every trial would meet is met by a few, not by all.

Rule 1: what ended well lifts it; so does the user's retry, which makes the failures uncounted.
"""

from unetsweep.core.causes import Cause
from unetsweep.core.observation import Failure, JobState, Observation, Run, Trial

ALIKE = 3
"""So many trainings that fail the same way, with no trial that did not, are a fault of all."""
STARTS = 2
"""So often must a run have ended before it began …"""
RUNS = 2
"""… and so many must have."""


def pause_reason(observed: Observation) -> str | None:
    """Why nothing more is sent; None: go on."""
    return _same_error(observed) or _nothing_starts(observed)


def _same_error(observed: Observation) -> str | None:
    """All trials that have ended died the same way, those that are to be told at this look among them."""
    served = [(trial, observed.runs[trial.run]) for trial in observed.trials if trial.run in observed.runs]
    if len(observed.failures) != observed.ended or any(trial.epochs in run.milestones for trial, run in served):
        return None
    now = [failure for trial, run in served if (failure := _failure(trial, run)) is not None]
    found = (*observed.failures, *now)
    if len({failure.run for failure in found}) < ALIKE or len({failure.signature for failure in found}) != 1:
        return None
    return (
        f"the first {len(found)} trials all failed of this: {found[0].message}; "
        "mend it, then `unetsweep retry` sends them again"
    )


def _failure(trial: Trial, run: Run) -> Failure | None:
    """The trial's failure, where its run's last attempt left an error of its own."""
    last = run.last
    if (
        last is None
        or last.lost is not None
        or last.number <= run.retries_reset_at
        or last.retry_exempt
        or trial.cancelled
    ):
        return None
    if last.ending is None or not last.ending.is_final or (last.job and last.job.state is JobState.QUEUED):
        return None
    return Failure(trial.number, run.number, last.ending.signature, last.ending.message)


def _nothing_starts(observed: Observation) -> str | None:
    """No run ever began, and two ended twice before they did: a bad interpreter, module or set-up line. Not all need
    have been sent so often: those of low numbers go first, and would use up their retries before the last one's."""
    sent = [run for run in observed.runs.values() if any(not a.refused for a in run.counted)]
    if observed.ended or sum(map(_never_began, sent)) < RUNS or any(a.claimed_by for run in sent for a in run.counted):
        return None
    words = [a.lost for run in sent for a in run.counted if a.cause is Cause.START and a.lost]
    return (
        f"no job of the sweep gets as far as its training: {words[-1]}; "
        "mend slurm.python, slurm.setup or the profile, then `unetsweep retry` sends them again"
    )


def _never_began(run: Run) -> bool:
    return sum(a.cause is Cause.START for a in run.counted if not a.refused) >= STARTS
