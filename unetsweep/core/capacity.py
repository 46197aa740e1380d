"""Capacity: which of the ready runs are submitted now, and with which array throttle.

Rule 1: never more trainings at once than `parallel`.
Rule 2: if the cluster limits the jobs in the queue, one place is for the reconciler job, but never the only one.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from unetsweep.core.actions import Element, SetThrottle, Submit
from unetsweep.core.observation import Attempt, JobState

QUEUE_FULL = "the cluster accepts no more jobs now"
"""Why a run waits that would be submitted if more jobs could be in the queue."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the scheduler can take, and how long a reconciliation waits for it."""

    queues: bool
    """Whether it queues jobs that cannot run yet, and throttles arrays."""
    parallel: int | None
    """Most trainings at once; None: as many as the scheduler runs."""
    max_elements: int = 1001
    """Most elements of one array; SLURM's default limit (MaxArraySize)."""
    remaining_submissions: int | None = None
    """How many more jobs it accepts from this user now; None: no known limit, or it was not asked."""
    reconciler_counts: bool = True
    """Whether the limit on queued jobs counts the reconciler job too, which may have another QOS."""
    is_full: bool = False
    """Whether it has refused a submission in this reconciliation, for a limit on queued jobs."""
    leaves_place: bool = False
    """Whether the job that makes this reconciliation ends right after it, and so leaves a place in the queue."""
    unlisted_grace: timedelta = timedelta(seconds=90)
    """How long a submission may be missing from the queue before it counts as lost."""
    result_grace: timedelta = timedelta(seconds=60)
    """How long after a job's end its files may be invisible on a network file system."""
    hang_after: timedelta = timedelta(minutes=10)
    """The least time without progress that counts as a hang."""
    reconciler_delay_s: int = 60
    """Seconds before a reconciler job may start."""
    slots: int | None = None
    """Trainings side by side in a job that takes one after the other; None: a job for each training."""
    interactive: bool = False
    """Whether a user started the reconciliation: a submission that was refused just now is tried again."""
    repeats: bool = False
    """Whether the caller reconciles again and again, as `submit --watch` does."""
    own_reconciler_token: str | None = None
    """Token of the reconciler job that makes this reconciliation, and so submits its successor; None: another process
    makes it."""


def slots_in_use(active: Sequence[Attempt]) -> int:
    """Return how many trainings the active attempts may run at once: an array counts up to its throttle."""
    arrays: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in active:
        arrays[attempt.token].append(attempt)
    return sum(min(len(array), array[0].throttle or len(array)) for array in arrays.values())


def throttle_changes(active: Sequence[Attempt], capacity: Capacity) -> list[SetThrottle]:
    """Return the change that lets an array with queued elements follow `parallel`, which may have changed since its
    submission. The slots of the other jobs are subtracted. None if several arrays are queued, which share the slots."""
    waiting = {each.token: each.job.job_id for each in active if each.job and each.job.state is JobState.QUEUED}
    array = [each for each in active if each.token in waiting]
    if (
        not capacity.queues
        or capacity.slots is not None
        or len(waiting) != 1
        or "_" not in next(iter(waiting.values()))
    ):
        return []
    others = slots_in_use([each for each in active if each.token not in waiting])
    throttle = None if capacity.parallel is None else max(1, capacity.parallel - others)
    wanted = min(throttle or len(array), len(array))
    if all(min(each.throttle or len(array), len(array)) == wanted for each in array):
        return []
    attempts = tuple((each.run, each.number) for each in array)
    job_id = next(iter(waiting.values())).partition("_")[0]
    return [SetThrottle(job_id, attempts, throttle, f"run.parallel is {capacity.parallel or 'not set'}")]


def allowed_training_jobs(capacity: Capacity, active: int, *, wants_reconciler: bool, backoff: bool) -> float:
    """Return how many jobs that train may be submitted now; infinite without a known limit.

    One place is kept for the reconciler job that the sweep wants, if the sweep has at least two. If the job that
    reconciles now leaves one, the last place goes to a training. `backoff`: the scheduler refused the last submission
    for a limit that it does not report; then the next place is for the reconciler job.
    """
    if capacity.is_full:
        return 0
    is_wanted, remaining = wants_reconciler and capacity.reconciler_counts, capacity.remaining_submissions
    if remaining is None:
        return 0 if is_wanted and backoff and active and not capacity.leaves_place else math.inf
    is_kept = remaining > 1 or (remaining + active > 1 and not capacity.leaves_place)
    return max(0, remaining - (is_wanted and is_kept))


def allows_reconciler(capacity: Capacity, active: int) -> bool:
    """Whether the queue may have a place for a reconciler job, which is not the only place of the sweep."""
    remaining = capacity.remaining_submissions
    if remaining is None or not capacity.reconciler_counts:
        return True
    return remaining > 0 and remaining + active + capacity.leaves_place > 1


def may_replace_reconciler(capacity: Capacity) -> bool:
    """Whether a training may take the place of the reconciler job that waits: the job that reconciles now leaves one
    for the next."""
    is_known_full = capacity.remaining_submissions == 0 and not capacity.is_full
    return is_known_full and capacity.leaves_place and capacity.reconciler_counts


def schedule(
    ready: Sequence[Element],
    active: Sequence[Attempt],
    capacity: Capacity,
    *,
    jobs: float = math.inf,
    backoff: bool = False,
    exclude: tuple[str, ...] = (),
) -> tuple[list[Submit], str]:
    """Return the submissions of the first of the ready runs, and the reason why the others wait.

    If the queue holds nothing of the sweep, all runs are submitted as one throttled array. Else only as many are
    submitted as there are free slots. `jobs`: how many jobs may be submitted. `backoff`: the scheduler refused the
    last submission for a limit that it does not report; while anything is active, at most one job is submitted at a
    time.
    """
    free_slots = math.inf if capacity.parallel is None else capacity.parallel - slots_in_use(active)
    if backoff and active:
        jobs = min(jobs, 1)
    throttle = None
    if capacity.queues and not active:
        throttle = capacity.parallel
        free_slots = math.inf if throttle is None else capacity.max_elements
    accepted = _trainings_in(jobs, capacity.slots, throttle)
    chosen = ready[: int(max(0, min(accepted, free_slots, len(ready))))]
    submits = []
    for group in _by_memory(chosen):
        for start in range(0, len(group), capacity.max_elements):
            chunk = tuple(group[start : start + capacity.max_elements])
            bound = throttle if throttle is not None and throttle < len(chunk) else None
            submits.append(Submit(chunk, bound, f"{len(chunk)} ready", chunk[0].mem, exclude, capacity.slots))
    if throttle is not None:  # a throttle bounds one array, so a second array would exceed `parallel`
        submits = submits[:1]
    if accepted < free_slots:
        return submits, QUEUE_FULL
    return submits, "the only slot is in use" if capacity.parallel == 1 else f"all {capacity.parallel} slots are in use"


def _trainings_in(jobs: float, of_each: int | None, throttle: int | None) -> float:
    """How many trainings fit into this many jobs: any number, if the jobs hold all that may run at once."""
    if of_each is None or jobs == 0:
        return jobs
    slots = min(of_each, throttle or of_each)
    return math.inf if throttle is not None and max(1, throttle // slots) <= jobs else jobs * slots


def _by_memory(elements: Sequence[Element]) -> list[list[Element]]:
    """The elements in groups that request the same memory: all elements of an array get the same."""
    groups: dict[str | None, list[Element]] = defaultdict(list)
    for element in elements:
        groups[element.mem].append(element)
    return list(groups.values())
