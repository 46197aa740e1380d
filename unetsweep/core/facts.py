"""What was seen in one look; nothing here decides.

Optional means *not known or not there*, said at each field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class JobState(Enum):
    """A scheduler's many words, reduced to what a decision turns on."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    UNRECOGNISED = "unrecognised"
    """A word that we do not know: counts as alive."""

    @property
    def is_live(self) -> bool:
        """Whether the job may still write into its run."""
        return self is not JobState.ENDED


@dataclass(frozen=True, slots=True)
class Job:
    """One job (or one element of an array) as the scheduler lists it."""

    job_id: str
    """`18808`, or `18808_3` in an array; locally a number of ours."""
    token: str
    index: int
    """Element of the array; 0 for a plain job."""
    state: JobState
    word: str
    """The scheduler's own word: `PENDING`, `CANCELLED`."""
    reason: str = ""
    """Why it waits, in the scheduler's words: `Resources`, `QOSMaxJobsPerUserLimit`; or empty."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run will not go on by itself: an error file, or an exit status with nothing else."""

    kind: str
    """`exception`, `environment`, `exit`, `refused`, …"""
    message: str
    where: str = ""
    """Path of the error file or log to read."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One submission of a run."""

    run: int
    number: int
    token: str
    index: int
    at: datetime
    """When the intent was written."""
    job_id: str | None = None
    """None: no record of ours says which job it became."""
    claimed_by: str | None = None
    """Job id in the highest claim of this attempt; None: no process of it has started yet."""
    lost: str | None = None
    """Why it was given up; None: it was not."""
    ending: Ending | None = None
    job: Job | None = None
    """None: the scheduler does not list it (or was not asked)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training, and how far it is."""

    number: int
    horizons: Mapping[int, str]
    """Epochs of each horizon that is published, with its state word."""
    attempts: tuple[Attempt, ...] = ()

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True)
class Trial:
    """One point of the space."""

    number: int
    run: int
    epochs: int
    """Its horizon in the run."""
    config_id: str
    told: str | None = None
    """State word of its result.json; None: not ended, as far as we have written down."""
    cancelled: bool = False
    """The user cancelled it; only `retry` brings it back."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything, at one look. Runs of ended trials are left out: nobody decides on them."""

    trials: tuple[Trial, ...] = ()
    runs: Mapping[int, Run] = None  # type: ignore[assignment]
    answered: bool = True
    """False: the scheduler did not answer, so nothing may be concluded from what is not listed."""
    exhausted: bool = False
    """The sampler has no new point left."""

    def __post_init__(self) -> None:
        if self.runs is None:
            object.__setattr__(self, "runs", {})
