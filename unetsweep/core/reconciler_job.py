"""The reconciler: exactly one small job that reconciles when every job that would is gone.

Rule 1: while work is open and jobs of ours are in the queue, one waits; it leaves the next one itself.
Rule 2: it never drives a sweep that only a person can bring on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from unetsweep.core.actions import Cancel, SubmitReconciler
from unetsweep.core.capacity import Capacity
from unetsweep.core.observation import Attempt, JobState, Observation, ReconcilerJob
from unetsweep.core.spec import SweepSpec

AFTER = 50
"""Most jobs that one waits for: the rest are looked at when it comes."""
QUEUED_TIMES = 5
"""While nothing of ours runs it comes so many times less often."""
REFUSED_FOR = timedelta(minutes=10)
"""A reconciler job that was refused is asked for again after so long."""


def wants_reconciler(spec: SweepSpec, observed: Observation, capacity: Capacity, now: datetime) -> bool:
    """Whether the sweep should have a reconciler job and has none."""
    if not capacity.queues or spec.run.driver != "jobs" or observed.scheduler_error is not None:
        return False
    last = observed.reconciler
    if last is None or last.token == capacity.reconciler:
        return True
    if (
        last.lost
    ):  # the reconciler job before it waits until there is another, or a person asks; a training has other things to do
        return capacity.reconciler is not None or capacity.interactive or now - last.at > REFUSED_FOR
    return not is_waiting(last, capacity, now)


def is_waiting(last: ReconcilerJob, capacity: Capacity, now: datetime) -> bool:
    if last.job is not None:
        return last.job.state.is_live
    return not last.lost and now - last.at < capacity.unseen_grace


def is_unsure(last: ReconcilerJob | None, capacity: Capacity, now: datetime) -> bool:
    """Whether the last reconciler job may never come: its intent is young, and the queue does not list it (yet)."""
    return last is not None and last.job is None and is_waiting(last, capacity, now)


def next_reconciler(observed: Observation, live: Sequence[Attempt], delay_s: int) -> SubmitReconciler:
    """The next reconciler job. It waits for what runs; not for what only waits itself, which may be held for ever."""
    number = observed.reconciler.number + 1 if observed.reconciler is not None else 1
    running = [attempt.job.job_id for attempt in live if attempt.job and attempt.job.state is JobState.RUNNING]
    if not running:
        return SubmitReconciler(number, (), delay_s * QUEUED_TIMES, "nothing runs yet")
    return SubmitReconciler(number, tuple(dict.fromkeys(running))[:AFTER], delay_s, f"waits for {len(running)} running")


def obsolete_reconciler(observed: Observation, capacity: Capacity) -> list[Cancel]:
    """The end of the last reconciler job, when nothing is open any more."""
    last = observed.reconciler
    if last is None or last.lost or last.job is None or not last.job.state.is_live or last.token == capacity.reconciler:
        return []
    return [Cancel((last.job.job_id,), "nothing is left for the reconciler job to do", last.number)]
