"""What is submitted together, what waits for a slot, and what is proposed."""

from dataclasses import replace

import pytest
from plan_rows import (
    JUST_NOW,
    LOCAL,
    LONG_AGO,
    NOW,
    OTHER,
    QUEUE,
    adaptive,
    attempt,
    decide,
    element,
    grid,
    job,
    lines,
    many,
    observation,
)

from unetsweep.core.actions import Element, Submit
from unetsweep.core.capacity import Capacity, slots_in_use
from unetsweep.core.forecast import forecast
from unetsweep.core.observation import Attempt, JobState, Observation, Run, Trial
from unetsweep.core.spec import SweepSpec

QUEUED, RUNNING = JobState.QUEUED, JobState.RUNNING


def repeated(spec: SweepSpec, repeats: int) -> SweepSpec:
    """The sweep with so many trainings of each point."""
    return replace(spec, study=replace(spec.study, repeats=repeats))


CAPACITY = [
    pytest.param(
        many(None, None, None), QUEUE, ["submit 0.1 1.1 2.1"], id="without a limit all runs are submitted as one array"
    ),
    pytest.param(
        many(None, None, None),
        replace(QUEUE, parallel=2),
        ["submit 0.1 1.1 2.1 %2"],
        id="the first array is throttled to what may run at once",
    ),
    pytest.param(
        many(None, None),
        replace(QUEUE, parallel=2),
        ["submit 0.1 1.1"],
        id="a throttle that limits nothing is left out",
    ),
    pytest.param(
        many(None, None, None),
        replace(QUEUE, max_elements=2),
        ["submit 0.1 1.1", "submit 2.1"],
        id="arrays are cut to the cluster's largest",
    ),
    pytest.param(
        many(None, None, None),
        replace(QUEUE, max_elements=2, parallel=1),
        ["submit 0.1 1.1 %1"],
        id="only one array is submitted, because two throttled arrays would run side by side",
    ),
    pytest.param(
        many(element(0, RUNNING), None, None),
        replace(QUEUE, parallel=2),
        ["submit 1.1"],
        id="running jobs leave fewer slots",
    ),
    pytest.param(
        many(element(0, RUNNING, throttle=1), element(1, QUEUED, throttle=1), None, None),
        replace(QUEUE, parallel=2),
        ["submit 2.1"],
        id="a throttled array takes as many slots as its throttle",
    ),
    pytest.param(
        many(element(0, RUNNING), element(1, QUEUED), None),
        replace(QUEUE, parallel=2),
        [],
        id="nothing is submitted when all slots are taken",
    ),
    pytest.param(
        many(None, None),
        replace(QUEUE, remaining_submissions=1),
        ["submit 0.1"],
        id="the submit limit of the cluster is respected",
    ),
    pytest.param(
        many(*[None] * 9),
        replace(QUEUE, remaining_submissions=2, slots=4),
        ["submit 0.1 1.1 2.1 3.1 4.1 5.1 6.1 7.1"],
        id="the submit limit counts jobs, not the trainings that are packed into them",
    ),
    pytest.param(
        many(*[None] * 3),
        replace(QUEUE, remaining_submissions=1, slots=2, parallel=2),
        ["submit 0.1 1.1 2.1 %2"],
        id="a packed job trains all runs, one after the other, if all that may run at once fit into it",
    ),
    pytest.param(
        many(None, None),
        replace(QUEUE, is_full=True),
        [],
        id="nothing is submitted after a refusal for a limit",
    ),
    pytest.param(
        many(None, None), replace(QUEUE, remaining_submissions=0), [], id="nothing is submitted at the submit limit"
    ),
    pytest.param(many(None, None, None), LOCAL, ["submit 0.1 1.1"], id="locally only what may run is submitted"),
    pytest.param(many(element(0, RUNNING), None, None), LOCAL, ["submit 1.1"], id="locally a free slot is filled"),
    pytest.param(
        many(attempt(1, JUST_NOW), None, None),
        LOCAL,
        ["submit 1.1"],
        id="a submission that is not listed yet holds its slot",
    ),
    pytest.param(
        many(attempt(job_id="18808", job=job(RUNNING)), attempt(run=1, lost="refused: limit", refused=True), None),
        QUEUE,
        ["submit 1.2"],
        id="after a refusal one run is submitted when another ends",
    ),
    pytest.param(
        many(attempt(lost="refused: limit", refused=True), None),
        QUEUE,
        ["submit 0.2 1.1"],
        id="after a refusal without a live job all runs are submitted again",
    ),
]


@pytest.mark.parametrize(("found", "capacity", "expected"), CAPACITY)
def test_ready_runs_are_submitted_within_the_capacity(found: Observation, capacity: Capacity, expected: list[str]):
    assert lines(decide(found, capacity=capacity)) == expected


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        pytest.param([], 0, id="no attempt uses nothing"),
        pytest.param([element(0, RUNNING), element(1, QUEUED)], 2, id="an array without a throttle counts whole"),
        pytest.param([element(k, QUEUED, throttle=2) for k in range(5)], 2, id="an array counts up to its throttle"),
        pytest.param(
            [element(0, QUEUED, throttle=2)], 1, id="an array counts as its remaining elements if they are fewer"
        ),
        pytest.param([attempt(), attempt(token=OTHER)], 2, id="arrays add up"),
    ],
)
def test_an_array_uses_as_many_slots_as_its_throttle_allows(live, expected: int):
    assert slots_in_use(live) == expected


ARRAY = [element(k, QUEUED if k else RUNNING, throttle=2) for k in range(5)]
OTHER_JOB = attempt(run=5, token=OTHER, job_id="18809", job=replace(job(RUNNING, token=OTHER), job_id="18809"))


@pytest.mark.parametrize(
    ("active", "parallel", "expected"),
    [
        pytest.param(ARRAY, 4, ["throttle 18808 %4"], id="it follows upwards"),
        pytest.param(ARRAY, 1, ["throttle 18808 %1"], id="and downwards"),
        pytest.param(ARRAY, None, ["throttle 18808 %None"], id="no limit any more"),
        pytest.param([replace(each, throttle=None) for each in ARRAY], 3, ["throttle 18808 %3"], id="a new limit"),
        pytest.param(
            [*ARRAY[:3], *(replace(each, throttle=4) for each in ARRAY[3:])],
            4,
            ["throttle 18808 %4"],
            id="a reconciliation was killed between two records",
        ),
        pytest.param([*ARRAY, OTHER_JOB], 4, ["throttle 18808 %3"], id="less the slots of other jobs"),
        pytest.param([*ARRAY, OTHER_JOB], 1, ["throttle 18808 %1"], id="but at least one"),
        pytest.param(ARRAY, 2, [], id="nothing has changed"),
        pytest.param(ARRAY[:2], 4, [], id="the rest of the array is not larger than its throttle"),
        pytest.param([replace(each, job=replace(each.job, state=RUNNING)) for each in ARRAY], 4, [], id="all run"),
        pytest.param(
            [*ARRAY, replace(OTHER_JOB, job=replace(OTHER_JOB.job, state=QUEUED))],
            4,
            [],
            id="two arrays share slots",
        ),
    ],
)
def test_the_throttle_of_a_queued_array_follows_parallel(active: list[Attempt], parallel: int | None, expected):
    jobs = [replace(each, job=replace(each.job, job_id=each.job_id)) for each in active]
    assert lines(decide(many(*jobs), capacity=replace(QUEUE, parallel=parallel))) == expected
    assert lines(decide(many(*jobs), capacity=replace(QUEUE, parallel=parallel, slots=2))) == []


def test_every_waiting_trial_has_a_reason():
    decided = decide(many(element(0, RUNNING), element(1, QUEUED, at=LONG_AGO), None), capacity=LOCAL)
    assert [(wait.trial, wait.reason, wait.running, wait.job_id) for wait in decided.waits] == [
        (0, "running", True, "18808_0"),
        (1, "PENDING", False, "18808_1"),
        (2, "all 2 slots are in use", False, None),
    ]


def test_a_queue_reason_is_explained_and_quoted():
    queued = attempt(job_id="18808", job=job(QUEUED, reason="(QOSMaxJobsPerUserLimit)"))
    (wait,) = decide(observation(queued)).waits
    assert wait.reason.startswith("QOS limit MaxJobs: ")
    assert wait.reason.endswith(" (QOSMaxJobsPerUserLimit)")


PROPOSALS = [
    pytest.param(grid(6), Observation(), ["propose 6"], id="a grid is proposed at once"),
    pytest.param(grid(6), Observation(ended=4), ["propose 2"], id="a grid that grew is proposed for what it grew by"),
    pytest.param(grid(6), Observation(ended=6), [], id="a complete grid is left alone"),
    pytest.param(grid(6), Observation(cancelled=True), [], id="a cancelled sweep proposes nothing"),
    pytest.param(
        grid(6), Observation(scheduler_error="timed out"), [], id="nothing is proposed while the queue does not answer"
    ),
    pytest.param(adaptive(6, 2), Observation(), ["propose 2"], id="a search proposes as many as may run"),
    pytest.param(adaptive(6, 2), many(element(0, RUNNING)), ["propose 1"], id="a search fills the free slot"),
    pytest.param(
        adaptive(6, 2),
        many(element(0, RUNNING), element(1, RUNNING)),
        [],
        id="a search waits while its slots are taken",
    ),
    pytest.param(
        adaptive(6, 2), many(element(0, RUNNING), ended=5), [], id="a search proposes no more than the trials asked for"
    ),
    pytest.param(
        adaptive(6, None), Observation(), ["propose 4"], id="a search without run.parallel has four trials in flight"
    ),
    pytest.param(
        repeated(adaptive(6, None), 3),
        Observation(),
        ["propose 12"],
        id="with repeats: of four points",
    ),
    pytest.param(
        repeated(adaptive(6, 2), 3), many(element(0, RUNNING)), ["propose 1"], id="with repeats a slot is one training"
    ),
    pytest.param(repeated(grid(2), 3), many(element(0, RUNNING), ended=3), ["propose 2"], id="a grid of repeats"),
]


@pytest.mark.parametrize(("spec", "found", "expected"), PROPOSALS)
def test_a_sweep_proposes_as_many_trials_as_its_search_and_slots_allow(spec, found: Observation, expected: list[str]):
    assert lines(decide(found, spec, replace(QUEUE, parallel=spec.run.parallel))) == expected


def test_a_trial_that_finishes_in_this_plan_frees_a_slot_for_the_next_proposal():
    found = many(element(0, RUNNING), element(1, RUNNING))
    found = replace(found, runs={**found.runs, 1: replace(found.runs[1], published_states={8: "complete"})})
    assert lines(decide(found, adaptive(6, 2), replace(QUEUE, parallel=2))) == ["finish 1 complete", "propose 1"]


def test_a_shared_run_finishes_trials_with_a_milestone_and_continues_for_the_others():
    trials = (Trial(0, 0, 4), Trial(1, 0, 8), Trial(2, 0, 2, cancelled=True))
    found = Observation(0, trials, {0: Run(0, {4: "complete"}, (attempt(job_id="18808", job=job(RUNNING)),))})
    assert lines(decide(found)) == ["finish 0 complete"]
    found = Observation(0, trials, {0: Run(0, {4: "complete"})})
    decided = decide(found)
    assert lines(decided) == ["finish 0 complete", "finish 2 cancelled", "submit 0.1"]
    assert decided.actions[-1].elements[0].trials == ((1, 8),)


def test_a_forecast_includes_the_submission_of_the_proposed_trials():
    decided, proposed = forecast(grid(6), Observation(), replace(QUEUE, parallel=2), NOW)
    assert proposed == 6
    assert lines(decided) == ["submit 0.1 1.1 2.1 3.1 4.1 5.1 %2"]


def test_a_forecast_numbers_new_trials_after_all_existing_ones():
    found = replace(many(element(0, RUNNING)), ended=3)
    decided, proposed = forecast(grid(6), found, QUEUE, NOW)
    assert proposed == 2
    assert lines(decided) == ["submit 4.1 5.1"]


@pytest.mark.parametrize(
    ("elements", "throttle", "slots", "jobs"),
    [
        (5, 2, None, 5),
        (5, None, 1, 5),
        (5, 2, 1, 2),
        (5, None, 2, 3),
        (5, 4, 2, 2),
        (6, 5, 4, 1),
        (9, 2, 4, 1),
        (3, None, 4, 1),
        (8, 8, 4, 2),
    ],
)
def test_packed_trainings_take_as_few_jobs_as_can_hold_what_runs_at_once(
    elements: int, throttle: int | None, slots: int | None, jobs: int
) -> None:
    submit = Submit(tuple(Element(run, 1, ((run, 4),)) for run in range(elements)), throttle, "ready", slots=slots)
    assert submit.jobs == jobs
