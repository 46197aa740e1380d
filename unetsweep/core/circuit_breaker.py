"""Circuit breaker: when a sweep pauses itself, so that only a few trials meet an error that every trial would meet.

Rule 1: a trial that ends well resets it. So does the user's retry, because failures before a retry do not count. A
        cancelled trial does not: it says nothing about the others.
"""

from unetsweep.core.causes import Cause
from unetsweep.core.observation import Failure, JobState, Observation, Run, Trial

SAME_FAILURES = 3
"""Points whose training fails with the same error, while no other trial has ended: two may be chance, three have one
cause."""
MOST_FAILURES = 20
"""Failed runs that are enough, however often a point is trained: of more the failures may not be observed."""
FAILED_STARTS = 2
"""Attempts of one run that ended before they began: one may be a bad node."""
RUNS_WITH_FAILED_STARTS = 2
"""Runs with that many failed starts: one may have been on a bad node each time."""


def pause_reason(observation: Observation, repeats: int = 1) -> str | None:
    """Return why the sweep submits nothing more; None if it may. `repeats`: how often each point is trained."""
    return _same_error(observation, repeats) or _nothing_starts(observation)


def _same_error(observation: Observation, repeats: int) -> str | None:
    """Why to pause: all trials that have ended, or end in this reconciliation, failed with the same error.

    So many runs that they cannot be the trainings of fewer than `SAME_FAILURES` points.
    """
    needed = min((SAME_FAILURES - 1) * repeats + 1, MOST_FAILURES)
    trials = [(trial, observation.runs[trial.run]) for trial in observation.trials if trial.run in observation.runs]
    has_other_end = len(observation.failures) + observation.unjudged != observation.ended
    if has_other_end or any(trial.epochs in run.published_states.keys() - run.refused_results for trial, run in trials):
        return None
    new = [failure for trial, run in trials if (failure := _new_failure(trial, run)) is not None]
    failures = (*observation.failures, *new)
    failed_runs, signatures = {each.run for each in failures}, {each.signature for each in failures}
    if len(failed_runs) < needed or len(signatures) != 1:
        return None
    return (
        f"the first {len(failures)} trials all failed with the same error: {failures[0].message}; "
        "fix it, then run `unetsweep retry`"
    )


def _new_failure(trial: Trial, run: Run) -> Failure | None:
    """The failure of an open trial, if its result does not count, or the run's last attempt left an error that ends
    it."""
    if (refused := run.refused_results.get(trial.epochs)) is not None:
        return Failure(trial.number, run.number, refused.kind, refused.message)
    last = run.last
    if last is None or last.lost is not None or last.number <= run.retries_reset_at:
        return None
    if last.retry_exempt or trial.cancelled or (last.job is not None and last.job.state is JobState.QUEUED):
        return None
    if last.ending is None or not last.ending.is_final:
        return None
    return Failure(trial.number, run.number, last.ending.signature, last.ending.message)


def _nothing_starts(observation: Observation) -> str | None:
    """Why to pause: no run began, and several repeatedly failed to start: the interpreter, a module or a set-up line is
    wrong, or no GPU works. A few runs are enough: those with low numbers are submitted first, and would use up their
    retries."""
    submitted = [
        run for run in observation.runs.values() if any(not attempt.refused for attempt in run.counted_attempts)
    ]
    attempts = [attempt for run in submitted for attempt in run.counted_attempts]
    has_begun = any(attempt.claimed_by and attempt.cause is not Cause.DEVICE for attempt in attempts) or any(
        run.progress for run in submitted
    )
    failing = sum(_failed_starts(run) >= FAILED_STARTS for run in submitted)
    if observation.ended != observation.unjudged or has_begun or failing < RUNS_WITH_FAILED_STARTS:
        return None
    full = [attempt.lost for attempt in attempts if attempt.cause is Cause.DISK and attempt.lost]
    if full:
        return (
            f"no job of the sweep starts its training, because a disk is full: {full[-1]}; free space there, then run "
            "`unetsweep submit` and `unetsweep retry`"
        )
    broken = [attempt.lost for attempt in attempts if attempt.cause is Cause.DEVICE and attempt.lost]
    if broken:
        return (
            f"no GPU that was tried works: {broken[-1]}; test them with `unetsweep doctor`, choose other nodes "
            "(slurm.partition, slurm.constraint) or another build of PyTorch, then run `unetsweep submit` and "
            "`unetsweep retry`"
        )
    messages = [attempt.lost for attempt in attempts if attempt.cause is Cause.START and attempt.lost]
    return (
        f"no job of the sweep starts its training: {messages[-1]}; "
        "correct slurm.python, slurm.setup or the profile, then run `unetsweep submit` and `unetsweep retry`"
    )


def _failed_starts(run: Run) -> int:
    """Attempts of the run that ended before they began."""
    return sum(
        attempt.cause in (Cause.START, Cause.DEVICE, Cause.DISK)
        for attempt in run.counted_attempts
        if not attempt.refused
    )
