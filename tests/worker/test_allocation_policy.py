"""The decisions of a packed job, given what it observes."""

import dataclasses
import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from unetsweep.records import SlotTakenFile as Taken
from unetsweep.schedulers.packed.slot_table import SlotTable
from unetsweep.worker.allocation_policy import (
    START_PATIENCE_S,
    Action,
    Close,
    JobObservation,
    KeepRunning,
    Leave,
    Limits,
    MarkEnded,
    RunningTraining,
    StartTrainings,
    StopTraining,
    decide,
    startable,
)

TASK, OTHER_TASK = 3, 4
LIMITS = Limits(exit_timeout_s=60, lead_s=120)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS, THEIRS = Taken(TASK, 0), Taken(OTHER_TASK, 0)


def table(count: int = 4, pack: int = 2, **changes: Any) -> SlotTable:
    """A slot table, by default of four trainings in jobs of two slots; `ended` is a set of numbers."""
    if "ended" in changes:
        changes["ended"] = dict.fromkeys(changes["ended"], NOW)
    return SlotTable("a" * 12, pack, count, **changes)


def observe(slots: SlotTable, *running: int, **changes: Any) -> JobObservation:
    """An observation with these trainings running in the first slots."""
    return JobObservation(TASK, slots, tuple(RunningTraining(n, slot) for slot, n in enumerate(running)), **changes)


ALL_TAKEN = table(taken={0: OURS, 1: OURS, 2: THEIRS, 3: THEIRS})
ALL_ENDED = table(taken=ALL_TAKEN.taken, ended=range(4))
ENDING = [
    pytest.param({"signals": frozenset({signal.SIGUSR2})}, id="SLURM announced the end"),
    pytest.param({"wants_requeue": True}, id="a training stopped to continue later"),
    pytest.param({"seconds_left": 119.0}, id="its time is nearly up"),
]


@pytest.mark.parametrize(
    ("observation", "actions"),
    [
        pytest.param(observe(table()), (StartTrainings((0, 1), (0, 1, 2, 3)), KeepRunning()), id="starts what waits"),
        pytest.param(
            observe(table(taken={0: OURS, 1: THEIRS}), 0),
            (StartTrainings((1,), (2, 3)), KeepRunning()),
            id="fills a free slot with a training that no other job has taken",
        ),
        pytest.param(observe(table(taken={0: OURS, 1: OURS}), 0, 1), (KeepRunning(),), id="waits when no slot is free"),
        pytest.param(
            observe(table(taken={2: OURS, 0: THEIRS})),
            (StartTrainings((0, 1), (2, 1, 3)), KeepRunning()),
            id="first resumes the trainings that an earlier start of this job took",
        ),
        pytest.param(
            observe(table(taken={0: OURS, 1: OURS}, ended={0}), ended=frozenset({0})),
            (StartTrainings((0, 1), (1, 2, 3)), KeepRunning()),
            id="starts nothing twice",
        ),
        pytest.param(
            observe(table(reused_slots={4: ("b" * 12, 7)}, taken=ALL_TAKEN.taken, ended=range(4))),
            (StartTrainings((0, 1), (4,)), KeepRunning()),
            id="starts an element of a later submission",
        ),
        pytest.param(
            observe(ALL_TAKEN, 1, ended=frozenset({0})),
            (MarkEnded(0), KeepRunning()),
            id="marks what ended, and waits",
        ),
        pytest.param(
            observe(table(count=1, taken={0: OURS}, cancelled=frozenset({0}))),
            (MarkEnded(0), Close()),
            id="marks a training that was cancelled before it could start again",
        ),
        pytest.param(
            observe(table(count=1, taken={0: THEIRS}, cancelled=frozenset({0}))),
            (Close(),),
            id="leaves a training that another job took to that job",
        ),
        pytest.param(
            observe(dataclasses.replace(ALL_TAKEN, cancelled=frozenset({1})), 0, 1),
            (StopTraining(1), KeepRunning()),
            id="stops a cancelled training",
        ),
        pytest.param(
            observe(dataclasses.replace(ALL_TAKEN, terminated=frozenset({0})), 0, 1),
            (StopTraining(0, dump_stacks=True), KeepRunning()),
            id="stops a hanging training, and has its stacks printed",
        ),
        pytest.param(
            JobObservation(TASK, ALL_TAKEN, (RunningTraining(0, 0, 60.5), RunningTraining(1, 1, 59.5))),
            (StopTraining(0), KeepRunning()),
            id="stops a training that does not exit after its last result",
        ),
        pytest.param(observe(ALL_ENDED), (Close(),), id="closes when nothing runs and nothing waits"),
        pytest.param(
            observe(ALL_ENDED, reconciliation_pending=True), (KeepRunning(),), id="waits for the reconciliation"
        ),
        pytest.param(observe(ALL_ENDED, is_closed=True), (Leave(),), id="leaves once it has closed"),
        pytest.param(
            observe(table(reused_slots={4: ("b" * 12, 7)}, taken=ALL_TAKEN.taken, ended=range(4)), is_closed=True),
            (StartTrainings((0, 1), (4,)), KeepRunning()),
            id="still starts a training that was submitted before it closed",
        ),
        pytest.param(
            observe(table(), failing_s=START_PATIENCE_S - 1),
            (StartTrainings((0, 1), (0, 1, 2, 3)), KeepRunning()),
            id="tries again when nothing could be started",
        ),
        pytest.param(observe(table(), failing_s=START_PATIENCE_S), (Close(),), id="gives up after a minute"),
        pytest.param(
            observe(table(taken={0: OURS}), failing_s=START_PATIENCE_S, is_closed=True),
            (Leave(requeue=True),),
            id="then leaves trainings that no job took to another start",
        ),
        pytest.param(
            observe(table(taken={0: OURS}), 0, failing_s=START_PATIENCE_S),
            (StartTrainings((1,), (1, 2, 3)), KeepRunning()),
            id="never gives up while a training runs",
        ),
    ],
)
def test_a_job_decides_by_its_observation(observation: JobObservation, actions: tuple[Action, ...]) -> None:
    assert decide(observation, LIMITS) == actions


@pytest.mark.parametrize("changes", ENDING)
def test_a_job_that_is_about_to_end_starts_nothing_and_leaves_the_rest_to_its_next_start(changes: Any) -> None:
    assert decide(observe(table(taken={0: OURS}), 0, **changes), LIMITS) == (KeepRunning(),)
    assert decide(observe(table(taken={0: OURS}, ended={0}), **changes), LIMITS) == (Leave(requeue=True),)


def test_a_training_that_cannot_be_resumed_starts_only_if_the_longest_so_far_would_end_in_time() -> None:
    once = dataclasses.replace(LIMITS, resumes=False)
    two = table(pack=2, taken={0: OURS}, ended={0})
    late, early = ({"longest_s": 600.0, "seconds_left": left} for left in (719.0, 720.0))
    start = StartTrainings((0, 1), (1, 2, 3))
    assert decide(observe(two, **early), once) == (start, KeepRunning())
    assert decide(observe(two, **late), once) == (Leave(requeue=True),), "a new start of the job has all of its time"
    assert decide(observe(two, **late), LIMITS) == (start, KeepRunning()), "it would continue in the next job"
    assert decide(observe(two, 1, **late), once) == (KeepRunning(),), "the other slot still trains"


def test_a_job_is_requeued_if_one_of_its_trainings_wants_to_continue_even_if_nothing_waits() -> None:
    assert decide(observe(ALL_TAKEN, wants_requeue=True), LIMITS) == (Leave(requeue=True),)
    assert decide(observe(ALL_TAKEN, seconds_left=1.0), LIMITS) == (Leave(requeue=False),)


def test_a_terminated_job_ends_with_the_status_of_the_signal_and_asks_for_no_other_start() -> None:
    signals = frozenset({signal.SIGTERM})
    assert decide(observe(table(), signals=signals), LIMITS) == (Leave(status=143),)
    assert decide(observe(table(taken={0: OURS}), 0, signals=signals), LIMITS) == (KeepRunning(),)


@pytest.mark.parametrize("mark", ["cancelled", "terminated"])
def test_cancelled_and_terminated_trainings_are_not_started(mark: str) -> None:
    not_wanted = table(taken={0: OURS}, **{mark: frozenset({0, 2})})
    assert startable(observe(not_wanted)) == (1, 3)
