"""Capacity: which of the ready runs are submitted now, and with which array throttle.

Rule 1: never more trainings at once than `parallel`.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from unetsweep.core.actions import Element, Submit
from unetsweep.core.observation import Attempt


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
    unlisted_grace: timedelta = timedelta(seconds=90)
    """How long a submission may be missing from the queue before it counts as lost."""
    result_grace: timedelta = timedelta(seconds=60)
    """How long after a job's end its files may be invisible on a network file system."""
    hang_after: timedelta = timedelta(minutes=10)
    """The least time without progress that counts as a hang."""
    reconciler_delay_s: int = 60
    """Seconds before a reconciler job may start."""
    pack: int = 1
    """Trainings side by side in one job."""
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


def schedule(
    ready: Sequence[Element],
    active: Sequence[Attempt],
    capacity: Capacity,
    *,
    backoff: bool = False,
    exclude: tuple[str, ...] = (),
) -> tuple[list[Submit], str]:
    """Return the submissions of the first of the ready runs, and the reason why the others wait.

    If the queue holds nothing of the sweep, all runs are submitted as one throttled array. Else only as many are
    submitted as there are free slots. `backoff`: the scheduler refused the last submission for a limit that it does not
    report; while anything is active, at most one job is submitted at a time.
    """
    free_slots = math.inf if capacity.parallel is None else capacity.parallel - slots_in_use(active)
    accepted = math.inf if capacity.remaining_submissions is None else capacity.remaining_submissions
    if backoff and active:
        accepted = min(accepted, 1)
    throttle = None
    if capacity.queues and not active:
        throttle = capacity.parallel
        free_slots = math.inf if throttle is None else capacity.max_elements
    chosen = ready[: int(max(0, min(accepted, free_slots, len(ready))))]
    submits = []
    for group in _by_memory(chosen):
        for start in range(0, len(group), capacity.max_elements):
            chunk = tuple(group[start : start + capacity.max_elements])
            bound = throttle if throttle is not None and throttle < len(chunk) else None
            submits.append(Submit(chunk, bound, f"{len(chunk)} ready", chunk[0].mem, exclude, capacity.pack))
    if throttle is not None:  # a throttle bounds one array, so a second array would exceed `parallel`
        submits = submits[:1]
    if accepted < free_slots:
        return submits, "the cluster accepts no more jobs now"
    return submits, "the only slot is in use" if capacity.parallel == 1 else f"all {capacity.parallel} slots are in use"


def _by_memory(elements: Sequence[Element]) -> list[list[Element]]:
    """The elements in groups that request the same memory: all elements of an array get the same."""
    groups: dict[str | None, list[Element]] = defaultdict(list)
    for element in elements:
        groups[element.mem].append(element)
    return list(groups.values())
