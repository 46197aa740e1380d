"""Exactly one reconciler job waits while jobs are queued or run."""

from dataclasses import replace
from datetime import timedelta

import pytest
from plan_rows import (
    JUST_NOW,
    LOCAL,
    LONG_AGO,
    NOW,
    QUEUE,
    attempt,
    decide,
    element,
    grid,
    job,
    lines,
    many,
    observation,
)

from unetsweep.core.actions import Cancel, SubmitReconciler
from unetsweep.core.causes import Cause
from unetsweep.core.observation import Job, JobState, Observation, ReconcilerJob, Run
from unetsweep.core.reconciler_job import ReconciledBy, is_unconfirmed

JOBS_RECONCILE = grid(1, driver="jobs")
AT_WORK = observation(attempt(job_id="18808_3", job=job(JobState.RUNNING)))
WAITING = Job("18900", "c" * 12, 0, JobState.QUEUED, "PENDING", "Dependency")
RECONCILER = ReconcilerJob(4, "c" * 12, LONG_AGO, job=WAITING)


def decided_lines(found: Observation, last: ReconcilerJob | None, **capacity) -> list[str]:
    return lines(decide(replace(found, last_reconciler_job=last), JOBS_RECONCILE, replace(QUEUE, **capacity)))


def test_a_reconciler_waits_for_running_jobs():
    assert decided_lines(AT_WORK, None) == ["reconciler 18808"]


def test_a_reconciler_does_not_wait_for_queued_jobs_and_then_starts_less_often():
    queued = observation(attempt(job_id="18808", job=job(JobState.QUEUED)))
    (action,) = decide(queued, JOBS_RECONCILE, QUEUE).actions
    assert (action.after, action.delay_s) == ((), 5 * QUEUE.reconciler_delay_s)


ENOUGH = [
    pytest.param(RECONCILER, id="a reconciler is queued"),
    pytest.param(
        replace(RECONCILER, job=replace(WAITING, state=JobState.RUNNING)),
        id="a reconciler runs and will submit its successor",
    ),
    pytest.param(replace(RECONCILER, job=None, at=JUST_NOW), id="a reconciler was submitted just now"),
    pytest.param(
        replace(RECONCILER, job=None, lost=True, refusal="no", refused_at=NOW - timedelta(minutes=2)),
        id="a reconciler was refused recently",
    ),
    pytest.param(
        replace(RECONCILER, job=None, lost=True, refusal="no", refused_at=JUST_NOW, limit=True),
        id="a reconciler was refused just now for a limit",
    ),
]


@pytest.mark.parametrize("reconciler", ENOUGH)
def test_no_second_reconciler_is_submitted(reconciler: ReconcilerJob):
    assert decided_lines(AT_WORK, reconciler) == []


NEXT = [
    pytest.param(replace(RECONCILER, job=None), id="the last one is gone"),
    pytest.param(replace(RECONCILER, job=replace(WAITING, state=JobState.CANCELLED)), id="the last one was cancelled"),
    pytest.param(
        replace(RECONCILER, job=None, lost=True, refusal="no", refused_at=LONG_AGO),
        id="the last one was refused long ago",
    ),
    pytest.param(
        replace(RECONCILER, job=None, lost=True, refusal="no", refused_at=NOW - timedelta(minutes=2), limit=True),
        id="the last one was refused for a limit a while ago",
    ),
    pytest.param(
        replace(RECONCILER, job=None, at=JUST_NOW, lost=True), id="the last one gave its place to a training just now"
    ),
]


@pytest.mark.parametrize("reconciler", NEXT)
def test_a_missing_reconciler_is_replaced(reconciler: ReconcilerJob):
    assert decided_lines(AT_WORK, reconciler) == ["reconciler 18808"]


def test_a_reconciler_submits_its_successor():
    at_work = replace(RECONCILER, job=replace(WAITING, state=JobState.RUNNING))
    assert decided_lines(AT_WORK, at_work, own_reconciler_token="c" * 12) == ["reconciler 18808"]


def test_a_reconciler_retries_at_once_when_its_successor_was_refused():
    refused = replace(RECONCILER, job=None, at=JUST_NOW, lost=True, refusal="no", refused_at=JUST_NOW)
    assert decided_lines(AT_WORK, refused, own_reconciler_token="c" * 12) == ["reconciler 18808"]


def test_an_unconfirmed_intent_does_not_count_as_a_reconciler():
    young = replace(RECONCILER, job=None, at=JUST_NOW)
    assert is_unconfirmed(young, QUEUE, NOW)
    assert not is_unconfirmed(RECONCILER, QUEUE, NOW), "it is listed"
    assert not is_unconfirmed(replace(young, lost=True), QUEUE, NOW)


def test_no_reconciler_waits_for_jobs_submitted_in_the_same_plan():
    assert decided_lines(many(None), None) == ["submit 0.1"]


UNREADABLE = replace(AT_WORK, runs={0: Run(0, unreadable="runs/0000/claims/1-0: corrupt")})
"""The only open run has an unreadable file, so its jobs are not known."""


def test_a_reconciler_waits_although_the_only_open_run_is_unreadable():
    plan = decide(UNREADABLE, JOBS_RECONCILE, QUEUE)
    assert lines(plan) == ["reconciler"]
    (wait,) = plan.waits
    assert wait.reason == "runs/0000/claims/1-0: corrupt"
    assert plan.actions[0].delay_s == 5 * QUEUE.reconciler_delay_s


def test_the_reconciler_of_a_sweep_with_an_unreadable_run_is_left_in_the_queue_and_submits_its_successor():
    assert decided_lines(UNREADABLE, RECONCILER) == []
    at_work = replace(RECONCILER, job=replace(WAITING, state=JobState.RUNNING))
    assert decided_lines(UNREADABLE, at_work, own_reconciler_token="c" * 12) == ["reconciler"]


def test_the_reconciler_is_cancelled_when_no_trial_is_open():
    done = observation(attempt(job_id="18808", job=job(JobState.RUNNING)), result="complete")
    assert decided_lines(done, RECONCILER) == ["finish 0 complete", "cancel 18900"]
    assert decided_lines(done, RECONCILER, own_reconciler_token="c" * 12) == ["finish 0 complete"], "it ends on its own"
    assert decided_lines(done, replace(RECONCILER, lost=True)) == ["finish 0 complete"], "it was cancelled before"


def test_the_cancelled_reconciler_is_recorded_so_a_retry_submits_another():
    done = observation(attempt(job_id="18808", job=job(JobState.RUNNING)), result="complete")
    (cancel,) = [
        each
        for each in decide(replace(done, last_reconciler_job=RECONCILER), JOBS_RECONCILE).actions
        if isinstance(each, Cancel)
    ]
    assert cancel.reconciler_number == RECONCILER.number


def test_no_reconciler_is_submitted_without_a_queue_or_an_answer():
    assert lines(decide(AT_WORK, grid(1), QUEUE)) == []
    assert lines(decide(AT_WORK, JOBS_RECONCILE, LOCAL)) == []
    assert decided_lines(replace(AT_WORK, scheduler_error="timed out"), None) == []


def test_the_reconciler_never_takes_the_only_place_in_the_queue():
    waiting, spec = many(None, None, None), grid(3, driver="jobs")
    assert lines(decide(waiting, spec, replace(QUEUE, remaining_submissions=1))) == ["submit 0.1"]
    submitted = many(attempt(at=JUST_NOW, job_id="18808"), None, None)
    plan = decide(submitted, spec, replace(QUEUE, remaining_submissions=0))
    assert (lines(plan), plan.next_reconciliation.by) == ([], ReconciledBy.ONLY_PLACE)
    refused = many(attempt(lost="refused", refused=True, lost_at=NOW))
    assert lines(decide(refused, JOBS_RECONCILE, replace(QUEUE, remaining_submissions=1))) == []
    assert lines(decide(refused, JOBS_RECONCILE, replace(QUEUE, remaining_submissions=2))) == ["reconciler"]


def test_a_training_at_the_limit_leaves_the_last_place_to_the_reconciler():
    at_work = many(attempt(job_id="18808", job=job(JobState.RUNNING)), None)
    spec, capacity = grid(2, driver="jobs"), replace(QUEUE, remaining_submissions=1)
    plan = decide(at_work, spec, capacity)
    assert (lines(plan), plan.next_reconciliation.by) == (["reconciler 18808"], ReconciledBy.TRAININGS)
    assert lines(decide(at_work, spec, replace(capacity, leaves_place=True))) == ["submit 1.1"]
    ending = replace(QUEUE, remaining_submissions=3, leaves_place=True)
    assert lines(decide(many(None, None, None), grid(3, driver="jobs"), ending)) == ["submit 0.1 1.1"]


def test_a_job_that_ends_gives_the_place_of_the_waiting_reconciler_to_the_next_training():
    full = replace(many(None), last_reconciler_job=RECONCILER)
    ending = replace(QUEUE, remaining_submissions=0, leaves_place=True)
    (cancel,) = decide(full, JOBS_RECONCILE, ending).actions
    assert cancel == Cancel(("18900",), "the queue is full, and a training takes its place", RECONCILER.number)
    others = [
        (full, replace(ending, leaves_place=False)),
        (full, replace(ending, is_full=True)),
        (full, replace(ending, remaining_submissions=None, is_full=True)),
        (replace(full, last_reconciler_job=replace(RECONCILER, lost=True)), ending),
        (replace(full, last_reconciler_job=replace(RECONCILER, job=replace(WAITING, state=JobState.RUNNING))), ending),
        (replace(many(element(0, JobState.RUNNING)), last_reconciler_job=RECONCILER), ending),
    ]
    assert [lines(decide(found, JOBS_RECONCILE, capacity)) for found, capacity in others] == [[]] * len(others)


def test_a_reconciler_avoids_the_nodes_that_trainings_avoid():
    started = attempt(run=1, lost="no Python", cause=Cause.START, node="n2", lost_at=JUST_NOW, refused=True)
    (action,) = decide(many(attempt(job_id="1", job=job(JobState.RUNNING)), started), grid(2, driver="jobs")).actions
    assert isinstance(action, SubmitReconciler)
    assert action.exclude == ("n2",)


def test_a_reconciler_with_another_qos_takes_no_place_from_the_trainings():
    waiting, spec = many(None, None), grid(2, driver="jobs")
    own = replace(QUEUE, reconciler_counts=False)
    assert lines(decide(waiting, spec, replace(own, remaining_submissions=2))) == ["submit 0.1 1.1"]
    assert lines(decide(waiting, spec, replace(own, remaining_submissions=0))) == ["reconciler"]
    full = replace(own, remaining_submissions=0, leaves_place=True)
    assert lines(decide(replace(waiting, last_reconciler_job=RECONCILER), spec, full)) == []


def test_a_reconciler_that_runs_submits_a_training_before_its_successor():
    at_work = replace(RECONCILER, job=replace(WAITING, state=JobState.RUNNING))
    lost = replace(many(None, None), last_reconciler_job=at_work)
    own = replace(QUEUE, own_reconciler_token="c" * 12, leaves_place=True)
    assert lines(decide(lost, grid(2, driver="jobs"), replace(own, remaining_submissions=1))) == ["submit 0.1"]
    busy = replace(many(element(0, JobState.QUEUED)), last_reconciler_job=at_work)
    assert lines(decide(busy, JOBS_RECONCILE, replace(own, remaining_submissions=0))) == []


def test_after_a_refusal_for_an_unknown_limit_the_next_place_is_for_the_reconciler():
    refused = attempt(run=1, lost="refused", refused=True, limit=True, lost_at=NOW)
    found = many(attempt(job_id="18808", job=job(JobState.RUNNING)), refused)
    spec = grid(2, driver="jobs")
    assert lines(decide(found, spec)) == ["reconciler 18808"]
    assert lines(decide(replace(found, last_reconciler_job=RECONCILER), spec)) == ["submit 1.2"]


def test_a_queue_slot_is_reserved_for_the_reconciler():
    three = many(None, None, None)
    assert lines(decide(three, grid(3, driver="jobs"), replace(QUEUE, remaining_submissions=3))) == ["submit 0.1 1.1"]
    assert lines(
        decide(
            replace(three, last_reconciler_job=RECONCILER),
            grid(3, driver="jobs"),
            replace(QUEUE, remaining_submissions=3),
        )
    ) == ["submit 0.1 1.1 2.1"]
