"""The reconciler job: one small job that reconciles when no training job is left to do it.

Rule 1: while the sweep can continue without its user, exactly one reconciler job waits in the queue: while jobs of the
        sweep are queued or run, or a refused submission is tried again later. Each submits its successor.
Rule 2: none is submitted if only the user can continue the sweep: all its trials have ended, or it is paused and no
        attempt is active. A run with an unreadable file counts as active, because a job of it may run and a network
        file system may recover.
Rule 3: a job that can never start does not count as waiting. It is replaced by one that asks for what a training asks
        for. One that a person holds is left to that person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from unetsweep.core.actions import Cancel, SubmitReconciler
from unetsweep.core.capacity import Capacity
from unetsweep.core.observation import Attempt, JobState, Observation, ReconcilerJob
from unetsweep.core.reasons import describe_reason, is_held, is_impossible, is_launch_failure
from unetsweep.core.spec import SweepSpec

MAX_DEPENDENCIES = 50
"""Most jobs that a reconciler job waits for, so that the sbatch line stays short. It observes all jobs when it runs."""
IDLE_DELAY_FACTOR = 5
"""While no job of the sweep runs, the delay of a reconciler job is multiplied by this: only the queue can change."""
REFUSAL_BACKOFF = timedelta(minutes=10)
"""A training submits no reconciler job for this long after one was refused."""
CHANGE_REQUEST = "change what it asks for in `slurm.reconciler`, then run `unetsweep submit` again"
LIMIT_BACKOFF = timedelta(minutes=1)
"""Nothing submits a reconciler job for this long after one was refused for a limit on queued jobs."""


class ReconciledBy(Enum):
    """What reconciles a sweep next, if its user does nothing."""

    TRAININGS = "running trainings"
    RECONCILER_JOB = "reconciler job"
    QUEUED_TRAININGS = "queued trainings"
    COMMAND = "a command"
    """One reconciles now, or again and again (`--watch`); or the exit hook of a local job, which is one too."""
    ONLY_COMMANDS = "only commands"
    """`run.driver` is `cli`."""
    USER = "user"
    """Only the user can continue the sweep: it is paused or has ended."""
    ONLY_PLACE = "only commands: the queue accepts one job"
    """The sweep's one job in a full queue counts until after its exit hook, so it cannot submit the next one."""
    NOBODY = "nobody"
    UNKNOWN = "unknown"
    """The scheduler does not answer."""


@dataclass(frozen=True, slots=True)
class NextReconciliation:
    """What reconciles a sweep next, and what is wrong with its reconciler job."""

    by: ReconciledBy = ReconciledBy.UNKNOWN
    job_id: str | None = None
    """The reconciler job that is queued or runs, even if it cannot start; None: there is none, or no id is known."""
    problem: str | None = None
    """Why no reconciler job is certain to start; None: one is, or none is needed."""
    advice: str | None = None
    """What the user can do about that; None: nothing, or the problem says it."""

    @property
    def is_certain(self) -> bool:
        """Whether a promise that is due later will be kept without the user."""
        only_users = (ReconciledBy.ONLY_COMMANDS, ReconciledBy.USER, ReconciledBy.ONLY_PLACE, ReconciledBy.NOBODY)
        return self.by not in only_users


NOT_OBSERVED = NextReconciliation()
ONLY_PLACE = NextReconciliation(ReconciledBy.ONLY_PLACE)


def next_reconciliation(
    spec: SweepSpec,
    observation: Observation,
    active: Sequence[Attempt],
    capacity: Capacity,
    now: datetime,
    *,
    paused: bool = False,
) -> NextReconciliation:
    """Return what reconciles the sweep next."""
    if capacity.repeats:
        return NextReconciliation(ReconciledBy.COMMAND)
    if not observation.trials or (paused and not active):
        return NextReconciliation(ReconciledBy.USER)
    if spec.run.driver != "jobs":
        return NextReconciliation(ReconciledBy.ONLY_COMMANDS)
    if observation.scheduler_error is not None:
        return NextReconciliation(ReconciledBy.UNKNOWN)
    last = observation.last_reconciler_job
    job_id = last.job.job_id if last is not None and last.job is not None and last.job.state.is_live else None
    problem = _problem(last)
    if any(attempt.job is not None and attempt.job.state is JobState.RUNNING for attempt in active):
        return NextReconciliation(ReconciledBy.TRAININGS, job_id, *problem)
    if last is not None and is_waiting(last, capacity, now) and why_stuck(last) is None:
        return NextReconciliation(ReconciledBy.RECONCILER_JOB, job_id, *problem)
    if any(not _is_stuck(attempt) for attempt in active):
        return NextReconciliation(ReconciledBy.QUEUED_TRAININGS, job_id, *problem)
    return NextReconciliation(ReconciledBy.NOBODY, job_id, *problem)


def _problem(last: ReconcilerJob | None) -> tuple[str | None, str | None]:
    """Why no reconciler job is certain to start, and what the user can do; None: one is, or there never was one."""
    stuck = why_stuck(last) if last is not None else None
    if last is not None and last.job is not None and stuck is not None:
        advice = None if is_held(stuck) else CHANGE_REQUEST
        return f"reconciler job {last.job.job_id} does not start: {describe_reason(stuck)}", advice
    if last is None or last.refusal is None:
        return None, None
    is_alive = last.job is not None and last.job.state.is_live  # its successor was refused, and that on a compute node
    return f"a reconciler job was refused: {last.refusal}", None if is_alive or last.limit else CHANGE_REQUEST


def _is_stuck(attempt: Attempt) -> bool:
    """Whether the attempt's job never starts unless a person does something."""
    job = attempt.job
    return job is not None and job.state is JobState.QUEUED and (is_held(job.reason) or is_impossible(job.reason))


def why_stuck(last: ReconcilerJob) -> str | None:
    """Return SLURM's reason if the reconciler job never starts unless somebody does something; None: it may start."""
    job = last.job
    if job is None or job.state is not JobState.QUEUED:
        return None
    return job.reason if is_held(job.reason) or is_impossible(job.reason) else None


def wants_reconciler(spec: SweepSpec, observation: Observation, capacity: Capacity, now: datetime) -> bool:
    """Whether the sweep needs a reconciler job and has none that waits."""
    if not capacity.queues or spec.run.driver != "jobs" or observation.scheduler_error is not None:
        return False
    last = observation.last_reconciler_job
    if last is None or last.token == capacity.own_reconciler_token:
        return True
    if is_waiting(last, capacity, now) and not _must_be_replaced(last, capacity):
        return False
    if last.refused_at is None:
        return True
    if last.limit:  # it may be accepted as soon as another job has ended
        return now - last.refused_at > LIMIT_BACKOFF
    if capacity.own_reconciler_token is not None or capacity.interactive:
        return True  # a reconciler job and a user's command try at once; a training, which has other work, tries later
    return now - last.refused_at > REFUSAL_BACKOFF


def is_waiting(last: ReconcilerJob, capacity: Capacity, now: datetime) -> bool:
    """Whether this reconciler job is in the queue or runs, or was submitted so recently that it may be."""
    if last.job is not None:
        return last.job.state.is_live
    return not last.lost and now - last.at < capacity.unlisted_grace


def is_unconfirmed(last: ReconcilerJob | None, capacity: Capacity, now: datetime) -> bool:
    """Whether it is not known yet if the last reconciler job was submitted: its intent is recent, and the queue does
    not list it."""
    return last is not None and last.job is None and is_waiting(last, capacity, now)


def _must_be_replaced(last: ReconcilerJob, capacity: Capacity) -> bool:
    """Whether the queued reconciler job never starts, and another one may: one with another request, or on another
    node."""
    stuck = why_stuck(last)
    if stuck is None:
        return False
    return is_launch_failure(stuck) or (is_impossible(stuck) and (not last.as_training or capacity.interactive))


def next_reconciler(
    observation: Observation, active: Sequence[Attempt], capacity: Capacity, exclude: tuple[str, ...] = ()
) -> list[Cancel | SubmitReconciler]:
    """Return the actions that submit the next reconciler job, after one that never starts was cancelled.

    It starts when the running jobs have ended; it does not wait for queued ones, which may be held forever.
    """
    last = observation.last_reconciler_job
    number = last.number + 1 if last is not None else 1
    replaced: list[Cancel | SubmitReconciler] = []
    if last is not None and last.job is not None and _must_be_replaced(last, capacity):
        replaced.append(Cancel((last.job.job_id,), f"it never starts: {why_stuck(last)}", last.number))
    running = [attempt.job.job_id for attempt in active if attempt.job and attempt.job.state is JobState.RUNNING]
    after = tuple(dict.fromkeys(running))[:MAX_DEPENDENCIES]
    delay_s = capacity.reconciler_delay_s * (1 if running else IDLE_DELAY_FACTOR)
    reason = f"waits for {len(running)} running" if running else "no training runs yet"
    return [*replaced, SubmitReconciler(number, after, delay_s, reason, exclude, _asks_as_training(last))]


def _asks_as_training(last: ReconcilerJob | None) -> bool:
    """Whether the next reconciler job asks for what a training asks for: as the last one did if that could start, else
    the other way."""
    if last is None or last.lost:
        return False
    stuck = why_stuck(last)
    return last.as_training if stuck is None or not is_impossible(stuck) else not last.as_training


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
