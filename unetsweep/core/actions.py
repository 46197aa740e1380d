"""Actions: everything that a reconciliation can do, as values. The reason of each is shown to the user."""

import math
from dataclasses import dataclass

from unetsweep.core.causes import Cause


@dataclass(frozen=True, slots=True)
class Propose:
    """Let the study propose new trials."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Element:
    """The next attempt of one run, as an element of a submission."""

    run: int
    attempt: int
    trials: tuple[tuple[int, int], ...]
    """The trials that it trains, as (trial, epochs)."""
    mem: str | None = None
    """Memory of its job; None: what the sweep asks for."""
    micro_batch: int | None = None
    """Images per step of each process; None: its whole share of the batch."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Submit runs together: as one job array, or locally as one set of processes."""

    elements: tuple[Element, ...]
    throttle: int | None
    """Most elements that run at once; None: all."""
    reason: str
    mem: str | None = None
    """Memory of each job; None: what the sweep asks for."""
    exclude: tuple[str, ...] = ()
    """Nodes that the jobs avoid, because other attempts failed there."""
    slots: int | None = None
    """Trainings side by side in a job that takes one after the other; None: a job for each training."""

    @property
    def jobs(self) -> int:
        """How many jobs are submitted: with slots, only as many as it takes for the trainings that run at once."""
        count = len(self.elements)
        if self.slots is None:
            return count
        slots = min(self.slots, self.throttle or count)
        needed = math.ceil(count / slots)
        return needed if self.throttle is None else min(needed, max(1, self.throttle // slots))


@dataclass(frozen=True, slots=True)
class SetThrottle:
    """Change how many elements of an array run at once."""

    job_id: str
    """The id of the array."""
    attempts: tuple[tuple[int, int], ...]
    """Its attempts that have not ended, as (run, attempt)."""
    throttle: int | None
    """Most elements that run at once; None: all."""
    reason: str


@dataclass(frozen=True, slots=True)
class RecordJob:
    """Record the job of an attempt whose submitter died before it could."""

    run: int
    attempt: int
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class MarkLost:
    """Record that an attempt is lost, so that its run may be resubmitted."""

    run: int
    attempt: int
    reason: str
    cause: Cause = Cause.VANISHED
    node: str | None = None
    """The node where it ran; None: not known."""
    epoch: int = 0
    """Epochs that the run has finished."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """Dump the stacks of an attempt's processes into its log, then cancel its job."""

    run: int
    attempt: int
    job_id: str
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class SubmitReconciler:
    """Submit the next reconciler job, which reconciles when no other job does."""

    number: int
    after: tuple[str, ...]
    """It starts when these jobs have ended, but not before the delay."""
    delay_s: int
    reason: str
    exclude: tuple[str, ...] = ()
    """Nodes that it avoids, because attempts failed there."""
    as_training: bool = False
    """It asks for what a training asks for. Otherwise for one CPU, and only if that is refused as a training does."""


@dataclass(frozen=True, slots=True)
class FinishTrial:
    """End a trial: write its `result.json`, and report its value to the study."""

    trial: int
    run: int
    epochs: int
    state: str
    reason: str
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel jobs."""

    job_ids: tuple[str, ...]
    reason: str
    reconciler_number: int | None = None
    """Number of the reconciler job that is cancelled: it is marked as lost first, so that nothing waits for it. None:
    the jobs are trainings."""


@dataclass(frozen=True, slots=True)
class Prune:
    """Record which milestones an attempt need not reach."""

    run: int
    attempt: int
    trial: int
    """The trial through which the run was judged."""
    milestones: tuple[int, ...]
    epoch: int
    """Epochs that the run has finished: no milestone up to it is pruned."""
    reason: str


@dataclass(frozen=True, slots=True)
class CollectCheckpoints:
    """Delete the checkpoints of runs that only a longer or repeated training could use."""

    runs: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """What an open trial waits for, or that it is running. It is shown to the user; there is nothing to apply."""

    trial: int
    reason: str
    running: bool = False
    job_id: str | None = None


Action = (
    Propose
    | Submit
    | SetThrottle
    | RecordJob
    | MarkLost
    | FinishTrial
    | Cancel
    | Prune
    | Terminate
    | SubmitReconciler
    | CollectCheckpoints
)
