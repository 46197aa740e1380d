"""Exactly one keeper waits while there is something to keep."""

from dataclasses import replace
from datetime import timedelta

import pytest
from plan_rows import JUST_NOW, LOCAL, LONG_AGO, NOW, QUEUE, attempt, decide, grid, job, lines, many, seen

from unetsweep.core.actions import Cancel
from unetsweep.core.facts import Job, JobState, Keeper, Seen
from unetsweep.core.keeping import is_unsure

RELAY = grid(1, driver="relay")
AT_WORK = seen(attempt(job_id="18808_3", job=job(JobState.RUNNING)))
WAITING = Job("18900", "c" * 12, 0, JobState.QUEUED, "PENDING", "Dependency")
KEEPER = Keeper(4, "c" * 12, LONG_AGO, job=WAITING)


def kept(found: Seen, last: Keeper | None, **capacity) -> list[str]:
    return lines(decide(replace(found, keeper=last), RELAY, replace(QUEUE, **capacity)))


def test_a_keeper_waits_for_what_runs():
    assert kept(AT_WORK, None) == ["keep 18808"]


def test_a_keeper_does_not_wait_for_what_may_be_held_for_ever_and_then_comes_less_often():
    queued = seen(attempt(job_id="18808", job=job(JobState.QUEUED)))
    (action,) = decide(queued, RELAY, QUEUE).actions
    assert (action.after, action.delay_s) == ((), 5 * QUEUE.keeper_delay_s)


ENOUGH = [
    pytest.param(KEEPER, id="one is in the queue"),
    pytest.param(
        replace(KEEPER, job=replace(WAITING, state=JobState.RUNNING)), id="one is at work: it leaves the next"
    ),
    pytest.param(replace(KEEPER, job=None, at=JUST_NOW), id="one was sent just now"),
    pytest.param(replace(KEEPER, job=None, at=NOW - timedelta(minutes=2), lost=True), id="one was refused lately"),
]


@pytest.mark.parametrize("keeper", ENOUGH)
def test_one_is_enough(keeper: Keeper):
    assert kept(AT_WORK, keeper) == []


NEXT = [
    pytest.param(replace(KEEPER, job=None), id="the last one is gone"),
    pytest.param(replace(KEEPER, job=replace(WAITING, state=JobState.CANCELLED)), id="the last one was cancelled"),
    pytest.param(replace(KEEPER, job=None, lost=True), id="the last one was refused long ago"),
]


@pytest.mark.parametrize("keeper", NEXT)
def test_the_next_one_is_left(keeper: Keeper):
    assert kept(AT_WORK, keeper) == ["keep 18808"]


def test_the_keeper_itself_leaves_the_next_one():
    at_work = replace(KEEPER, job=replace(WAITING, state=JobState.RUNNING))
    assert kept(AT_WORK, at_work, keeper="c" * 12) == ["keep 18808"]


def test_a_keeper_whose_successor_was_refused_asks_again_at_once():
    refused = replace(KEEPER, job=None, at=JUST_NOW, lost=True)
    assert kept(AT_WORK, refused, keeper="c" * 12) == ["keep 18808"]


def test_an_intent_alone_is_no_keeper_to_rely_on():
    young = replace(KEEPER, job=None, at=JUST_NOW)
    assert is_unsure(young, QUEUE, NOW)
    assert not is_unsure(KEEPER, QUEUE, NOW), "it is listed"
    assert not is_unsure(replace(young, lost=True), QUEUE, NOW)


def test_what_is_sent_now_is_waited_for_at_the_next_look():
    assert kept(many(None), None) == ["submit 0.1"]


def test_it_is_dismissed_when_nothing_is_open():
    done = seen(attempt(job_id="18808", job=job(JobState.RUNNING)), result="complete")
    assert kept(done, KEEPER) == ["tell 0 complete", "cancel 18900"]
    assert kept(done, KEEPER, keeper="c" * 12) == ["tell 0 complete"], "it ends by itself"
    assert kept(done, replace(KEEPER, lost=True)) == ["tell 0 complete"], "it was dismissed before"


def test_a_dismissed_keeper_is_written_down_so_that_a_retry_leaves_another():
    done = seen(attempt(job_id="18808", job=job(JobState.RUNNING)), result="complete")
    (cancel,) = [each for each in decide(replace(done, keeper=KEEPER), RELAY).actions if isinstance(each, Cancel)]
    assert cancel.keeper == KEEPER.number


def test_none_is_left_where_only_a_person_helps_or_nobody_queues():
    assert lines(decide(AT_WORK, grid(1), QUEUE)) == []
    assert lines(decide(AT_WORK, RELAY, LOCAL)) == []
    assert kept(replace(AT_WORK, silence="timed out"), None) == []


def test_a_place_in_the_queue_is_kept_free_for_it():
    three = many(None, None, None)
    assert lines(decide(three, grid(3, driver="relay"), replace(QUEUE, submit_room=3))) == ["submit 0.1 1.1"]
    assert lines(decide(replace(three, keeper=KEEPER), grid(3, driver="relay"), replace(QUEUE, submit_room=3))) == [
        "submit 0.1 1.1 2.1"
    ]
