"""The state of a whole sweep in one word, from the states of its trials."""

from collections.abc import Mapping
from enum import Enum

OPEN = ("running", "submitted", "waiting")
"""The states of a trial that has not ended."""


class SweepState(Enum):
    """The state of a sweep; the value is what people and programs read."""

    RUNNING = "running"
    WAITING = "waiting"
    """Nothing runs, but there is work left."""
    PAUSED = "paused"
    """Only a person can continue it."""
    COMPLETE = "complete"
    """Everything has ended, and a trial is complete."""
    FAILED = "failed"
    """Everything has ended, and no trial is complete."""
    CANCELLED = "cancelled"
    """Everything has ended, the last of it because the user cancelled the sweep."""
    DAMAGED = "damaged"
    """A file that every trial needs cannot be read."""


def open_trials(states: Mapping[str, int]) -> int:
    """Return how many trials have not ended."""
    return sum(states.get(state, 0) for state in OPEN)


def sweep_state(states: Mapping[str, int], wanted: int, *, is_cancelled: bool, is_paused: bool) -> SweepState:
    """Return the state of a sweep. `states`: how many trials are in each state; `wanted`: how many it asks for.

    >>> sweep_state({"complete": 3, "running": 1}, 8, is_cancelled=False, is_paused=False)
    <SweepState.RUNNING: 'running'>
    >>> sweep_state({"complete": 7, "failed": 1}, 8, is_cancelled=False, is_paused=False)
    <SweepState.COMPLETE: 'complete'>
    >>> sweep_state({"complete": 7}, 8, is_cancelled=True, is_paused=False)
    <SweepState.CANCELLED: 'cancelled'>
    >>> sweep_state({"complete": 8}, 8, is_cancelled=True, is_paused=False)  # when it was cancelled, nothing was open
    <SweepState.COMPLETE: 'complete'>
    """
    if states.get("running"):
        return SweepState.RUNNING
    if is_paused:
        return SweepState.PAUSED
    if open_trials(states):
        return SweepState.WAITING
    ended = sum(states.values())
    cancelled = states.get("cancelled", 0)
    if (ended and cancelled == ended) or (is_cancelled and (cancelled or ended < wanted)):
        return SweepState.CANCELLED
    if ended < wanted:
        return SweepState.WAITING
    return SweepState.COMPLETE if states.get("complete") else SweepState.FAILED
