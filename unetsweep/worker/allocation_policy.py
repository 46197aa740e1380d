"""Decides what one job of a packed submission does next, as a pure function of what it observes.

Rule 1: the end of a training does not affect the others; its slot takes the next waiting training at once.
Rule 2: a job closes only when nothing runs and nothing waits, and it observes once more after closing, so that it still
        starts a training that a reconciliation sent to it just before.
Rule 3: a job that is about to end starts nothing new; if work is left, it asks to be started again. A training that
        cannot be resumed is not started either if the job ends before the longest one so far would.
"""

import math
import signal
from dataclasses import dataclass

from unetsweep.schedulers.packed.slot_table import SlotTable

START_PATIENCE_S = 60.0
"""How long an idle job retries when no training can be started, before it ends and leaves them to another job: a node
that is short of processes or memory may recover within a minute."""


@dataclass(frozen=True, slots=True)
class RunningTraining:
    """A training that runs in a slot of this job."""

    number: int
    """Its number in the slot table."""
    slot: int
    published_s: float | None = None
    """How long ago its last result was first observed; None while a result is missing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that a decision depends on."""

    exit_timeout_s: float
    """How long a training may keep running after its last result."""
    lead_s: float
    """This long before its end the job starts nothing new."""
    resumes: bool = True
    """Whether a training that ends with the job continues where it was."""


@dataclass(frozen=True, slots=True)
class JobObservation:
    """Everything that a decision depends on, at one point in time."""

    task: int
    """Index of this job in its array."""
    table: SlotTable
    running: tuple[RunningTraining, ...] = ()
    ended: frozenset[int] = frozenset()
    """Numbers of the trainings that ended in this start of the job."""
    failing_s: float = 0.0
    """For how long no training could be started."""
    signals: frozenset[int] = frozenset()
    """Signals that the job received."""
    wants_requeue: bool = False
    """A training saved a checkpoint and stopped, to continue in a later start of the job."""
    seconds_left: float = math.inf
    """Time until the end of the job."""
    longest_s: float = 0.0
    """The longest training that ended in this start of the job."""
    reconciliation_pending: bool = False
    """A reconciliation that may send new trainings to this job has not finished."""
    is_closed: bool = False
    """The job has closed, and has started no training since."""


@dataclass(frozen=True, slots=True)
class MarkEnded:
    """Record in the slot table that a training ended."""

    number: int


@dataclass(frozen=True, slots=True)
class StopTraining:
    """Ask the training in a slot to exit, and kill it if it does not."""

    slot: int
    dump_stacks: bool = False


@dataclass(frozen=True, slots=True)
class StartTrainings:
    """Fill the free slots with the first of these trainings that no other job takes."""

    slots: tuple[int, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeepRunning:
    """Observe again shortly."""


@dataclass(frozen=True, slots=True)
class Close:
    """Record that this job takes no more trainings, and observe again at once."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the job."""

    requeue: bool = False
    """Whether the job asks to be started again."""
    status: int = 0


Action = MarkEnded | StopTraining | StartTrainings | KeepRunning | Close | Leave


def decide(observation: JobObservation, limits: Limits) -> tuple[Action, ...]:
    """The next actions, in order. The last one is always KeepRunning, Close or Leave."""
    first: tuple[Action, ...] = (*_mark_ended(observation), *_stop(observation, limits))
    is_idle = not observation.running
    is_ending = _is_ending(observation, limits) or (is_idle and not _has_time(observation, limits))
    numbers = startable(observation) if not is_ending and _has_time(observation, limits) else ()
    gave_up = is_idle and observation.failing_s >= START_PATIENCE_S
    if numbers and not gave_up:
        used = {training.slot for training in observation.running}
        free = tuple(slot for slot in range(observation.table.pack) if slot not in used)
        return (*first, StartTrainings(free, numbers), KeepRunning()) if free else (*first, KeepRunning())
    if not is_idle:
        return (*first, KeepRunning())
    if is_ending or observation.is_closed:
        return (*first, _leave(observation))
    return (*first, KeepRunning() if observation.reconciliation_pending else Close())


def startable(observation: JobObservation) -> tuple[int, ...]:
    """Trainings that this job may start: those that an earlier start of it took, then those that nobody took."""
    table = observation.table
    begun = observation.ended | {training.number for training in observation.running}
    resumed = sorted(_own(observation) - begun - table.ended.keys() - table.cancelled - table.terminated)
    return (*resumed, *table.waiting)


def _own(observation: JobObservation) -> set[int]:
    return {number for number, taken in observation.table.taken.items() if taken.task == observation.task}


def _mark_ended(observation: JobObservation) -> tuple[MarkEnded, ...]:
    """Trainings that ended here, or that were cancelled or terminated before they ran, and are not marked yet."""
    table = observation.table
    running = {training.number for training in observation.running}
    called_off = (_own(observation) & (table.cancelled | table.terminated)) - running
    return tuple(map(MarkEnded, sorted((observation.ended | called_off) - table.ended.keys())))


def _stop(observation: JobObservation, limits: Limits) -> tuple[StopTraining, ...]:
    """Trainings that were terminated or cancelled, or that do not exit although their results are published."""
    table, found = observation.table, []
    for training in observation.running:
        if training.number in table.terminated:
            found.append(StopTraining(training.slot, dump_stacks=True))
        elif training.number in table.cancelled or (training.published_s or 0.0) > limits.exit_timeout_s:
            found.append(StopTraining(training.slot))
    return tuple(found)


def _is_ending(observation: JobObservation, limits: Limits) -> bool:
    return bool(observation.signals) or observation.wants_requeue or observation.seconds_left < limits.lead_s


def _has_time(observation: JobObservation, limits: Limits) -> bool:
    """Whether a training that starts now is likely to end in this job, or continues in the next one."""
    return limits.resumes or observation.seconds_left - limits.lead_s >= observation.longest_s


def _leave(observation: JobObservation) -> Leave:
    if signal.SIGTERM in observation.signals:
        return Leave(status=128 + signal.SIGTERM)
    return Leave(requeue=observation.wants_requeue or bool(observation.table.waiting))
