"""The reconciler job: one small job that reconciles when no training job is left to do it.

Rule 1: while the sweep can continue without its user, exactly one reconciler job waits in the queue: while jobs of the
        sweep are queued or run, or a refused submission is tried again later. Each submits its successor.
Rule 2: none is submitted if only the user can continue the sweep: all its trials have ended, or it is paused and no
        attempt is active. A run with an unreadable file counts as active, because a job of it may run and a network
        file system may recover.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from unetsweep.core.actions import Cancel, SubmitReconciler
from unetsweep.core.capacity import Capacity
from unetsweep.core.observation import Attempt, JobState, Observation, ReconcilerJob
from unetsweep.core.spec import SweepSpec

MAX_DEPENDENCIES = 50
"""Most jobs that a reconciler job waits for, so that the sbatch line stays short. It observes all jobs when it runs."""
IDLE_DELAY_FACTOR = 5
"""While no job of the sweep runs, the delay of a reconciler job is multiplied by this: only the queue can change."""
REFUSAL_BACKOFF = timedelta(minutes=10)
"""A training submits no reconciler job for this long after one was refused."""


def wants_reconciler(spec: SweepSpec, observation: Observation, capacity: Capacity, now: datetime) -> bool:
    """Whether the sweep needs a reconciler job and has none that waits."""
    if not capacity.queues or spec.run.driver != "jobs" or observation.scheduler_error is not None:
        return False
    last = observation.last_reconciler_job
    if last is None or last.token == capacity.own_reconciler_token:
        return True
    if last.lost:  # a reconciler job and a user's command try at once; a training, which has other work, tries later
        return capacity.own_reconciler_token is not None or capacity.interactive or now - last.at > REFUSAL_BACKOFF
    return not is_waiting(last, capacity, now)


def is_waiting(last: ReconcilerJob, capacity: Capacity, now: datetime) -> bool:
    """Whether this reconciler job is in the queue or runs, or was submitted so recently that it may be."""
    if last.job is not None:
        return last.job.state.is_live
    return not last.lost and now - last.at < capacity.unlisted_grace


def is_unconfirmed(last: ReconcilerJob | None, capacity: Capacity, now: datetime) -> bool:
    """Whether it is not known yet if the last reconciler job was submitted: its intent is recent, and the queue does
    not list it."""
    return last is not None and last.job is None and is_waiting(last, capacity, now)


def next_reconciler(observation: Observation, active: Sequence[Attempt], delay_s: int) -> SubmitReconciler:
    """Return the action that submits the next reconciler job. It starts when the running jobs have ended; it does not
    wait for queued ones, which may be held forever."""
    last = observation.last_reconciler_job
    number = last.number + 1 if last is not None else 1
    running = [attempt.job.job_id for attempt in active if attempt.job and attempt.job.state is JobState.RUNNING]
    if not running:
        return SubmitReconciler(number, (), delay_s * IDLE_DELAY_FACTOR, "no training runs yet")
    after = tuple(dict.fromkeys(running))[:MAX_DEPENDENCIES]
    return SubmitReconciler(number, after, delay_s, f"waits for {len(running)} running")


def obsolete_reconciler(observation: Observation, capacity: Capacity) -> list[Cancel]:
    """Return the cancellation of the last reconciler job, for when no trial is open any more."""
    last = observation.last_reconciler_job
    if (
        last is None
        or last.lost
        or last.job is None
        or not last.job.state.is_live
        or last.token == capacity.own_reconciler_token
    ):
        return []
    return [Cancel((last.job.job_id,), "nothing is left for the reconciler job to do", last.number)]


def give_up_place(observation: Observation) -> list[Cancel]:
    """Return the cancellation of the reconciler job that waits, so that a training takes its place in a full queue. The
    job that reconciles now ends and leaves a place for the next reconciler job."""
    last = observation.last_reconciler_job
    if last is None or last.lost or last.job is None or last.job.state is not JobState.QUEUED:
        return []
    return [Cancel((last.job.job_id,), "the queue is full, and a training takes its place", last.number)]
