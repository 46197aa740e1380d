"""What a use case reports while it still works. The command line prints it (`cli/output.py`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from unetsweep.core.actions import Action
from unetsweep.core.estimate import Estimate


@dataclass(frozen=True, slots=True)
class WarningEvent:
    """Something that the user should know; the command continues."""

    message: str


@dataclass(frozen=True, slots=True)
class ImagesRead:
    """The images in this folder are being read, which may take a while."""

    root: str


@dataclass(frozen=True, slots=True)
class ImagesSplit:
    """How the images of a sweep are divided."""

    training: int
    validation: int
    test: int
    groups: int
    """Number of image groups (eyes, patients) among the training and validation images."""
    rule: str | None
    """How they were grouped, after `by`; None: not at all."""
    is_clean: bool = True
    """No scored image has a duplicate in training."""


@dataclass(frozen=True, slots=True)
class RunsShared:
    """Trials that differ only in epochs share runs."""

    trials: int
    runs: int
    epochs_asked: int
    epochs_to_train: int


@dataclass(frozen=True, slots=True)
class WorkLeft:
    """What the open trials will take, from those that have ended."""

    estimate: Estimate
    uses_gpus: bool


@dataclass(frozen=True, slots=True)
class ReconciliationStarted:
    """The first reconciliation of the command starts."""

    sweep: str
    executor: str
    root: Path


@dataclass(frozen=True, slots=True)
class ActionApplied:
    """A reconciliation has applied this action."""

    action: Action


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """Another reconciliation is running; it was asked to observe the sweep once more."""


@dataclass(frozen=True, slots=True)
class SubmissionsUnconfirmed:
    """A killed command left submissions without a job id; the queue is asked again until it is known whether
    their jobs exist."""

    count: int


@dataclass(frozen=True, slots=True)
class CheckpointsAwaited:
    """`cancel` waits for trainings that save a checkpoint before they end."""

    trials: tuple[int, ...]
    seconds: float
    """The most that it waits."""


@dataclass(frozen=True, slots=True)
class TrialsReopened:
    """`retry` has opened these trials again."""

    sweep: str
    trials: tuple[int, ...]
    from_scratch: tuple[int, ...]
    """Those of them that have no checkpoint to resume from."""


@dataclass(frozen=True, slots=True)
class TrialsLeft:
    """`retry` did not open these trials."""

    sweep: str
    trials: Mapping[str, tuple[int, ...]]
    """By their state: `complete`, `cancelled`, `pruned`; `stopping` (cancelled, and not ended yet) or `open`."""


Event = (
    WarningEvent
    | ImagesRead
    | ImagesSplit
    | RunsShared
    | WorkLeft
    | ReconciliationStarted
    | ActionApplied
    | LeaseHeld
    | SubmissionsUnconfirmed
    | CheckpointsAwaited
    | TrialsReopened
    | TrialsLeft
)
Notify = Callable[[Event], None]
