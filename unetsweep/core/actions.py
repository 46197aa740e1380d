"""What a reconciliation may do, as values: each with the reason that it shows to a person."""

import math
from dataclasses import dataclass

from unetsweep.core.causes import Cause


@dataclass(frozen=True, slots=True)
class Propose:
    """Let the study choose new trials."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Element:
    """One run's part in a submission: its next attempt, and the trials that it serves."""

    run: int
    attempt: int
    milestones: tuple[tuple[int, int], ...]
    """(trial, epochs) pairs."""
    mem: str | None = None
    """Memory of its job; None: as the sweep says."""
    micro_batch: int | None = None
    """Images a step of each process; None: its whole share of the batch."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Send runs out together: one array, or locally that many processes."""

    elements: tuple[Element, ...]
    throttle: int | None
    reason: str
    mem: str | None = None
    """Of all its elements; None: as the sweep says."""
    exclude: tuple[str, ...] = ()
    """Nodes on which others came to grief."""
    pack: int = 1
    """So many run side by side in one job."""

    @property
    def jobs(self) -> int:
        """How many jobs it takes: of packed ones as many as have places for what runs at once."""
        count = len(self.elements)
        if self.pack == 1:
            return count
        places = min(self.pack, self.throttle or count)
        needed = math.ceil(count / places)
        return needed if self.throttle is None else min(needed, max(1, self.throttle // places))


@dataclass(frozen=True, slots=True)
class RecordJob:
    """Write down which job an attempt became: its submitter died before it could."""

    run: int
    attempt: int
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class MarkLost:
    """Write down that an attempt will never be, or is no more, so that the run may be sent again."""

    run: int
    attempt: int
    reason: str
    cause: Cause = Cause.VANISHED
    node: str | None = None
    """Where it was."""
    epoch: int = 0
    """Finished epochs of the run by now."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """End an attempt's job ourselves, its stacks dumped into the log before."""

    run: int
    attempt: int
    job_id: str
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class SubmitReconciler:
    """Leave the next reconciler: the job that reconciles when all live ones are gone."""

    number: int
    after: tuple[str, ...]
    """It waits until these jobs have ended."""
    delay_s: int
    """… and so many seconds."""
    reason: str


@dataclass(frozen=True, slots=True)
class FinishTrial:
    """End a trial: `result.json`, and the study's value."""

    trial: int
    run: int
    epochs: int
    state: str
    reason: str
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the scheduler to end jobs."""

    job_ids: tuple[str, ...]
    reason: str
    reconciler: int | None = None
    """The reconciler job whose job it is: written down as lost before, so that nobody waits for it to be listed."""


@dataclass(frozen=True, slots=True)
class Prune:
    """Prune: write down which milestones of an attempt its training need not reach."""

    run: int
    attempt: int
    trial: int
    """The one that was judged."""
    milestones: tuple[int, ...]
    epoch: int
    """How far the run is: no milestone up to it is pruned."""
    reason: str


@dataclass(frozen=True, slots=True)
class CollectCheckpoints:
    """Delete checkpoints that only a longer or repeated training could use."""

    runs: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not done but shown: why a trial does not move now."""

    trial: int
    reason: str
    running: bool = False
    job_id: str | None = None


Action = (
    Propose
    | Submit
    | RecordJob
    | MarkLost
    | FinishTrial
    | Cancel
    | Prune
    | Terminate
    | SubmitReconciler
    | CollectCheckpoints
)
