"""Exactly one reconciler job waits while there is something to keep."""

from dataclasses import replace
from datetime import timedelta

import pytest
from plan_rows import JUST_NOW, LOCAL, LONG_AGO, NOW, QUEUE, attempt, decide, grid, job, lines, many, seen

from unetsweep.core.actions import Cancel
from unetsweep.core.observation import Job, JobState, Observation, ReconcilerJob
from unetsweep.core.reconciler_job import is_unconfirmed

JOBS_RECONCILE = grid(1, driver="jobs")
AT_WORK = seen(attempt(job_id="18808_3", job=job(JobState.RUNNING)))
WAITING = Job("18900", "c" * 12, 0, JobState.QUEUED, "PENDING", "Dependency")
RECONCILER = ReconcilerJob(4, "c" * 12, LONG_AGO, job=WAITING)


def kept(found: Observation, last: ReconcilerJob | None, **capacity) -> list[str]:
    return lines(decide(replace(found, reconciler=last), JOBS_RECONCILE, replace(QUEUE, **capacity)))


def test_a_reconciler_waits_for_what_runs():
    assert kept(AT_WORK, None) == ["reconciler 18808"]


def test_a_reconciler_does_not_wait_for_what_may_be_held_for_ever_and_then_comes_less_often():
    queued = seen(attempt(job_id="18808", job=job(JobState.QUEUED)))
    (action,) = decide(queued, JOBS_RECONCILE, QUEUE).actions
    assert (action.after, action.delay_s) == ((), 5 * QUEUE.reconciler_delay_s)


ENOUGH = [
    pytest.param(RECONCILER, id="one is in the queue"),
    pytest.param(
        replace(RECONCILER, job=replace(WAITING, state=JobState.RUNNING)), id="one is at work: it leaves the next"
    ),
    pytest.param(replace(RECONCILER, job=None, at=JUST_NOW), id="one was sent just now"),
    pytest.param(replace(RECONCILER, job=None, at=NOW - timedelta(minutes=2), lost=True), id="one was refused lately"),
]


@pytest.mark.parametrize("reconciler", ENOUGH)
def test_one_is_enough(reconciler: ReconcilerJob):
    assert kept(AT_WORK, reconciler) == []


NEXT = [
    pytest.param(replace(RECONCILER, job=None), id="the last one is gone"),
    pytest.param(replace(RECONCILER, job=replace(WAITING, state=JobState.CANCELLED)), id="the last one was cancelled"),
    pytest.param(replace(RECONCILER, job=None, lost=True), id="the last one was refused long ago"),
]


@pytest.mark.parametrize("reconciler", NEXT)
def test_the_next_one_is_left(reconciler: ReconcilerJob):
    assert kept(AT_WORK, reconciler) == ["reconciler 18808"]


def test_the_reconciler_itself_leaves_the_next_one():
    at_work = replace(RECONCILER, job=replace(WAITING, state=JobState.RUNNING))
    assert kept(AT_WORK, at_work, reconciler="c" * 12) == ["reconciler 18808"]


def test_a_reconciler_whose_successor_was_refused_asks_again_at_once():
    refused = replace(RECONCILER, job=None, at=JUST_NOW, lost=True)
    assert kept(AT_WORK, refused, reconciler="c" * 12) == ["reconciler 18808"]


def test_an_intent_alone_is_no_reconciler_to_rely_on():
    young = replace(RECONCILER, job=None, at=JUST_NOW)
    assert is_unconfirmed(young, QUEUE, NOW)
    assert not is_unconfirmed(RECONCILER, QUEUE, NOW), "it is listed"
    assert not is_unconfirmed(replace(young, lost=True), QUEUE, NOW)


def test_what_is_sent_now_is_waited_for_at_the_next_look():
    assert kept(many(None), None) == ["submit 0.1"]


def test_it_is_dismissed_when_nothing_is_open():
    done = seen(attempt(job_id="18808", job=job(JobState.RUNNING)), result="complete")
    assert kept(done, RECONCILER) == ["finish 0 complete", "cancel 18900"]
    assert kept(done, RECONCILER, reconciler="c" * 12) == ["finish 0 complete"], "it ends by itself"
    assert kept(done, replace(RECONCILER, lost=True)) == ["finish 0 complete"], "it was dismissed before"


def test_a_dismissed_reconciler_is_written_down_so_that_a_retry_leaves_another():
    done = seen(attempt(job_id="18808", job=job(JobState.RUNNING)), result="complete")
    (cancel,) = [
        each
        for each in decide(replace(done, reconciler=RECONCILER), JOBS_RECONCILE).actions
        if isinstance(each, Cancel)
    ]
    assert cancel.reconciler == RECONCILER.number


def test_none_is_left_where_only_a_person_helps_or_nobody_queues():
    assert lines(decide(AT_WORK, grid(1), QUEUE)) == []
    assert lines(decide(AT_WORK, JOBS_RECONCILE, LOCAL)) == []
    assert kept(replace(AT_WORK, scheduler_error="timed out"), None) == []


def test_a_place_in_the_queue_is_kept_free_for_it():
    three = many(None, None, None)
    assert lines(decide(three, grid(3, driver="jobs"), replace(QUEUE, remaining_submissions=3))) == ["submit 0.1 1.1"]
    assert lines(
        decide(replace(three, reconciler=RECONCILER), grid(3, driver="jobs"), replace(QUEUE, remaining_submissions=3))
    ) == ["submit 0.1 1.1 2.1"]
