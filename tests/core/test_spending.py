"""The limit of a sweep: how many trials a plan proposes, and what it says."""

from dataclasses import replace

import pytest
from plan_rows import LOCAL, QUEUE, adaptive, attempt, decide, grid, lines, many, observation

from unetsweep.core.capacity import Capacity
from unetsweep.core.observation import Observation
from unetsweep.core.spec import SweepSpec
from unetsweep.core.spending import Limits, Spending, describe_spending


def limited(spec: SweepSpec, **limits: float) -> SweepSpec:
    return replace(spec, study=replace(spec.study, limits=Limits(**limits)))


def proposals(spec: SweepSpec, found: Observation, capacity: Capacity = QUEUE) -> list[str]:
    return [line for line in lines(decide(found, spec, capacity)) if line.startswith("propose")]


KNOWN = Spending(used=10.0, expected=2.0, per_training=4.0)
UNKNOWN = Spending(used=0.5, expected=None, per_training=None)


@pytest.mark.parametrize(
    ("hours", "spending", "count"),
    [
        (100.0, KNOWN, 8),  # all that the sweep asks for
        (21.0, KNOWN, 3),  # 9 are left, and a training uses 4
        (12.1, KNOWN, 1),
        (12.0, KNOWN, 0),
        (5.0, KNOWN, 0),
        (100.0, UNKNOWN, 3),  # as many as can run at once: 4, and one is open
        (0.5, UNKNOWN, 0),
        (100.0, None, 8),  # not read
    ],
)
def test_a_grid_proposes_as_many_trials_as_the_rest_of_its_limit_allows(
    hours: float, spending: Spending | None, count: int
):
    found = replace(many(None), spending=spending)
    assert proposals(limited(grid(9), gpu_hours=hours), found) == ([f"propose {count}"] if count else [])


def test_a_search_that_learns_proposes_no_more_than_can_run_and_than_its_limit_allows():
    search = limited(adaptive(9, parallel=3), gpu_hours=100.0)
    found = replace(many(None), spending=KNOWN)
    assert proposals(search, found, Capacity(queues=True, parallel=3)) == ["propose 2"]
    assert proposals(limited(search, gpu_hours=13.0), found, Capacity(queues=True, parallel=3)) == ["propose 1"]


def test_before_a_training_has_ended_a_grid_on_this_machine_proposes_what_can_run_here():
    assert proposals(limited(grid(9), cpu_hours=1.0), Observation(spending=UNKNOWN), LOCAL) == ["propose 2"]


def test_a_reached_limit_is_named_with_what_to_do_and_open_trials_are_submitted():
    decided = decide(replace(many(None), spending=KNOWN), limited(grid(9), gpu_hours=11.0))
    assert lines(decided) == ["submit 0.1"]
    assert decided.limit == (
        "limit reached: 10 of 11 GPU-hours used, about 2 more expected by open trainings; no more trials are proposed. "
        "Raise study.limits.gpu_hours and submit again"
    )


@pytest.mark.parametrize(
    "found",
    [
        Observation(9, spending=KNOWN),  # nothing is missing
        Observation(3, cancelled=True, spending=KNOWN),
        Observation(3),  # not read
        Observation(3, spending=replace(KNOWN, used=1.0)),
    ],
)
def test_a_limit_that_prevents_nothing_is_not_called_reached(found: Observation):
    assert decide(found, limited(grid(9), gpu_hours=11.0)).limit is None


def test_a_sweep_without_a_limit_is_planned_as_before():
    assert proposals(grid(9), replace(many(None), spending=KNOWN)) == ["propose 8"]


def test_trials_that_end_are_recorded_before_a_sweep_with_a_limit_proposes_more():
    ends = replace(observation(attempt(), result="complete"), spending=KNOWN)
    deferred = decide(ends, limited(grid(9, driver="jobs"), gpu_hours=100.0))
    assert lines(deferred) == ["finish 0 complete"], "the reconciler job stays as well"
    assert lines(decide(ends, grid(9))) == ["finish 0 complete", "propose 8"]


def test_runs_that_cannot_be_read_are_counted():
    text = describe_spending(Limits(gpu_hours=11.0), replace(KNOWN, unread_runs=2))
    assert text.endswith("; not counting 2 runs with unreadable files: run `unetsweep repair`")
