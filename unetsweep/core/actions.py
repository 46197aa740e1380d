"""What a pass may do, as values: each with the reason that it shows to a person."""

from dataclasses import dataclass


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
    horizons: tuple[tuple[int, int], ...]
    """(trial, epochs) pairs."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Send runs out together: one array, or locally that many processes."""

    elements: tuple[Element, ...]
    throttle: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """Write down which job an attempt became: its submitter died before it could."""

    run: int
    attempt: int
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Write down that an attempt will never be, or is no more, so that the run may be sent again."""

    run: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tell:
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


@dataclass(frozen=True, slots=True)
class Stop:
    """Prune: write down which horizons of an attempt its training need not reach."""

    run: int
    attempt: int
    trial: int
    """The one that was judged."""
    horizons: tuple[int, ...]
    epoch: int
    """How far the run is: no horizon up to it is pruned."""
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not done but shown: why a trial does not move now."""

    trial: int
    reason: str
    running: bool = False
    job_id: str | None = None


Action = Propose | Submit | Adopt | GiveUp | Tell | Cancel | Stop
