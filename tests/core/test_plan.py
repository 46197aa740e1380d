"""The state machine, one row a situation."""

from dataclasses import replace
from datetime import timedelta

import pytest
from plan_rows import (
    JUST_NOW,
    LOCAL,
    NOW,
    OTHER,
    QUEUE,
    TOKEN,
    attempt,
    decide,
    element,
    failing,
    grid,
    job,
    lines,
    many,
    seen,
)

from unetsweep.core.actions import Submit
from unetsweep.core.causes import Cause
from unetsweep.core.observation import JobState, Observation, Run
from unetsweep.core.plan import MAX_VANISHED
from unetsweep.core.spec import Retries
from unetsweep.errors import UnsafePlan

QUEUED, RUNNING, ENDED = JobState.QUEUED, JobState.RUNNING, JobState.ENDED

ONE_RUN = [
    pytest.param(seen(), ["submit 0.1"], id="a new run is sent"),
    pytest.param(seen(attempt(at=JUST_NOW)), [], id="an intent without a job waits within the grace time"),
    pytest.param(
        seen(attempt()), ["lost 0.1", "submit 0.2"], id="an intent that never reached the queue is sent again"
    ),
    pytest.param(
        seen(attempt(at=JUST_NOW, job_id="18808")), [], id="a job that squeue does not list yet is waited for"
    ),
    pytest.param(seen(attempt(job_id="18808")), ["lost 0.1", "submit 0.2"], id="a whole token gone is sent again"),
    pytest.param(
        seen(attempt(job_id="18808"), scheduler_error="timed out"),
        [],
        id="silence of the queue is not absence of the job",
    ),
    pytest.param(seen(scheduler_error="timed out"), [], id="nothing is submitted to a queue that does not answer"),
    pytest.param(
        seen(attempt(lost="its node died"), scheduler_error="timed out"), [], id="nothing is sent again into silence"
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808")),
        ["lost 0.1", "submit 0.2"],
        id="claimed and gone is sent again: it goes on from its checkpoint",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808"), scheduler_error="timed out"),
        [],
        id="claimed, and the queue silent",
    ),
    pytest.param(
        seen(attempt(claimed_by="18808", at=JUST_NOW)), ["record 0.1 18808"], id="an orphan is adopted from its claim"
    ),
    pytest.param(
        seen(attempt(job=job(QUEUED))), ["record 0.1 18808"], id="an orphan is adopted from the queue, by its token"
    ),
    pytest.param(
        seen(attempt(job_id="18808", job=job(QUEUED))),
        [],
        id="a queued job is waited for, however long ago it was sent",
    ),
    pytest.param(seen(attempt(job_id="18808", job=job(RUNNING))), [], id="a running job is waited for"),
    pytest.param(
        seen(attempt(job_id="18808", job=job(JobState.UNRECOGNISED))), [], id="a word we do not know counts as alive"
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", job=job(JobState.NODE_FAILED))),
        ["lost 0.1", "submit 0.2"],
        id="a job whose node failed is sent again",
    ),
    pytest.param(
        seen(attempt(job_id="18808", job=job(ENDED))),
        ["lost 0.1", "submit 0.2"],
        id="a job that ended before any claim is sent again",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", job=job(ENDED))),
        ["lost 0.1", "submit 0.2"],
        id="a job that ended after its claim, without result or error, is sent again",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", job=job(ENDED, ended_at=JUST_NOW))),
        [],
        id="a file may be invisible for a minute after its job ended",
    ),
    pytest.param(
        seen(attempt(job_id="18808", job=job(JobState.CANCELLED))),
        ["finish 0 cancelled"],
        id="a job that somebody cancelled is not sent again",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", ending=failing(), job=job(ENDED))),
        ["finish 0 failed"],
        id="an error file ends the trial",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", ending=failing(), job=job(RUNNING))),
        ["finish 0 failed"],
        id="an error file ends the trial though its job is not gone yet",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", ending=failing("exit", 1), job=job(RUNNING))),
        [],
        id="an exit status says nothing by itself: while the exit hook runs the job is waited for",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", ending=failing("exit", 143), job=job(QUEUED))),
        [],
        id="a requeued job is alive, whatever its first start left behind",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", ending=failing(), job=job(QUEUED))),
        [],
        id="a requeued job is alive, though its first start left an error",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", ending=failing("exit", 0), job=job(RUNNING))),
        [],
        id="processes that ended with status 0 may have a result that shows late: the job is waited for",
    ),
    pytest.param(
        seen(attempt(job_id="18808", claimed_by="18808", ending=failing("exit", 0), job=job(ENDED))),
        ["lost 0.1", "submit 0.2"],
        id="status 0 is no success: no result, no success",
    ),
    pytest.param(
        seen(attempt(job_id="18808", job=job(RUNNING)), result="complete"),
        ["finish 0 complete"],
        id="a result outranks a running job",
    ),
    pytest.param(
        seen(attempt(job_id="18808", ending=failing(), job=job(JobState.NODE_FAILED)), result="complete"),
        ["finish 0 complete"],
        id="a result outranks error, exit status and queue",
    ),
    pytest.param(
        seen(attempt(lost="its node died"), result="complete", scheduler_error="timed out"),
        ["finish 0 complete"],
        id="a result is told though the queue is silent",
    ),
    pytest.param(seen(attempt(), result="diverged"), ["finish 0 diverged"], id="a result is told with its own state"),
    pytest.param(
        seen(attempt(), cancelled=True, result="complete"), ["finish 0 complete"], id="a result cancels nothing"
    ),
    pytest.param(seen(cancelled=True), ["finish 0 cancelled"], id="a cancelled trial that was never sent is told"),
    pytest.param(
        seen(attempt(job_id="18808", job=job(RUNNING)), cancelled=True),
        ["cancel 18808"],
        id="the job of a cancelled trial is ended first",
    ),
    pytest.param(
        seen(attempt(job=job(QUEUED)), cancelled=True),
        ["record 0.1 18808", "cancel 18808"],
        id="the orphan of a cancelled trial is adopted and ended",
    ),
    pytest.param(
        seen(attempt(claimed_by="18808", job_id="18808", ending=failing(), job=job(ENDED)), cancelled=True),
        ["finish 0 cancelled"],
        id="a trial that died of its cancellation is cancelled, not failed",
    ),
    pytest.param(seen(attempt(lost="gone")), ["submit 0.2"], id="an attempt given up before a crash is sent again"),
]


@pytest.mark.parametrize(("found", "expected"), ONE_RUN)
def test_one_run(found: Observation, expected: list[str]):
    assert lines(decide(found)) == expected


def lost(times: int, *, refused: bool = False, job_id: str | None = "18800"):
    return tuple(attempt(k + 1, lost="its node died", refused=refused, job_id=job_id) for k in range(times))


RETRIES = [
    pytest.param(seen(*lost(2)), ["submit 0.3"], id="lost twice, two retries: sent a third time"),
    pytest.param(seen(*lost(3)), ["finish 0 failed"], id="lost three times, two retries: failed"),
    pytest.param(
        seen(*lost(2), attempt(3, job_id="18808")),
        ["lost 0.3", "finish 0 failed"],
        id="the loss seen now counts as well",
    ),
    pytest.param(seen(*lost(9, refused=True)), ["submit 0.10"], id="what was refused counts against no run"),
    pytest.param(
        seen(*lost(2), *(replace(each, number=each.number + 2) for each in lost(5, refused=True))),
        ["submit 0.8"],
        id="refusals after losses do not count either",
    ),
    pytest.param(
        seen(*lost(9, job_id=None)), ["submit 0.10"], id="what never reached the queue says nothing of the training"
    ),
    pytest.param(seen(*lost(MAX_VANISHED + 1, job_id=None)), ["finish 0 failed"], id="but it is not tried for ever"),
]


@pytest.mark.parametrize(("found", "expected"), RETRIES)
def test_retries(found: Observation, expected: list[str]):
    assert lines(decide(found, grid(1, retries=Retries(node=2)))) == expected


def test_the_reason_of_a_failure_names_the_losses_the_error_and_where_to_read():
    (tell,) = decide(seen(*lost(4))).actions
    assert tell.reason == "the queue forgot it, 4 times (run.retries.node is 3); the last time its node died"
    (tell,) = decide(seen(attempt(claimed_by="18808_3", ending=failing(), job=job(ENDED)))).actions
    assert tell.reason == "ValueError: no (see runs/0000/error-0.json)"
    assert tell.job_id == "18808_3"


def test_a_pending_element_that_vanished_while_its_array_is_listed_was_cancelled():
    assert lines(decide(many(element(0, RUNNING), element(1, None)))) == ["finish 1 cancelled"]


def test_an_element_that_began_or_that_we_ended_was_not_cancelled_by_anybody():
    began, ended = element(1, None, began=True), element(1, None, ended_for=Cause.PAUSED)
    assert lines(decide(many(element(0, RUNNING), began))) == ["lost 1.1", "submit 1.2"]
    assert lines(decide(many(element(0, RUNNING), ended))) == ["lost 1.1", "submit 1.2"]


def test_a_pending_element_that_vanished_was_cancelled_though_the_trials_of_its_array_have_all_ended():
    found = replace(many(None, ended=3), runs={0: Run(0, {}, (element(0, None),))})
    assert lines(decide(replace(found, listed=frozenset({TOKEN})))) == ["finish 0 cancelled"]
    assert lines(decide(found)) == ["lost 0.1", "submit 0.2"]


def test_a_local_process_that_never_showed_is_sent_again_whatever_became_of_its_fellows():
    found = many(element(0, RUNNING), element(1, None))
    assert lines(decide(found, capacity=LOCAL)) == ["lost 1.1", "submit 1.2"]


def test_an_element_that_ran_does_not_hide_that_another_was_cancelled():
    assert lines(decide(many(element(0, ENDED, claimed_by="18808_0"), element(1, None)))) == [
        "lost 0.1",
        "finish 1 cancelled",
        "submit 0.2",
    ]


VANISHED = [
    pytest.param({"job_id": "18808"}, id="pending jobs"),
    pytest.param({"job_id": "18808", "claimed_by": "18808"}, id="jobs that had begun to train"),
]


@pytest.mark.parametrize("more", VANISHED)
def test_the_plan_refuses_itself_when_too_much_vanishes_at_once(more):
    gone = [attempt(run=k, index=k, token=f"{k:012x}", **more) for k in range(MAX_VANISHED)]
    with pytest.raises(UnsafePlan, match="--force"):
        decide(many(*gone)).raise_if_unsafe()
    decide(many(*gone[1:])).raise_if_unsafe()
    never = [attempt(run=k, index=k, token=f"{k:012x}") for k in range(MAX_VANISHED)]
    decide(many(*never)).raise_if_unsafe()  # a submitter that died before sbatch is no riddle
    taken = [attempt(run=k, index=k, job_id="18808", ended_for=Cause.PAUSED) for k in range(MAX_VANISHED)]
    decide(many(*taken)).raise_if_unsafe()  # nor is what we took back ourselves
    ended = [attempt(run=k, index=k, token=f"{k:012x}", job=job(ENDED), **more) for k in range(MAX_VANISHED)]
    decide(many(*ended)).raise_if_unsafe()  # the queue says so itself
    alive = [
        attempt(run=MAX_VANISHED + k, index=k, job_id="18809", token=OTHER, job=job(RUNNING))
        for k in range(MAX_VANISHED + 1)
    ]
    decide(many(*gone, *alive)).raise_if_unsafe()


def test_a_job_that_waits_though_its_trials_have_ended_is_taken_back():
    queued = attempt(job_id="18808", claimed_by="18808", job=job(QUEUED))
    found = replace(many(queued), runs={0: Run(0, {8: "complete"}, (queued,))})
    assert lines(decide(found)) == ["finish 0 complete", "cancel 18808"]
    running = replace(queued, job=job(RUNNING))
    assert lines(decide(replace(found, runs={0: Run(0, {8: "complete"}, (running,))}))) == ["finish 0 complete"]


def test_the_result_of_a_cancelled_trial_whose_job_ended_by_itself_may_show_late():
    def cancelled(state: JobState, ago: int) -> Observation:
        last = attempt(job_id="18808", claimed_by="18808", job=job(state, ended_at=NOW - timedelta(seconds=ago)))
        found = many(last)
        return replace(found, trials=tuple(replace(trial, cancelled=True) for trial in found.trials))

    assert lines(decide(cancelled(ENDED, 10))) == []
    assert lines(decide(cancelled(ENDED, 120))) == ["finish 0 cancelled"]
    assert lines(decide(cancelled(JobState.CANCELLED, 10))) == ["finish 0 cancelled"]


def test_cancelled_trials_may_vanish_as_many_as_they_are():
    gone = many(*(attempt(run=k, index=k, token=f"{k:012x}", job_id="18808") for k in range(MAX_VANISHED)))
    cancelled = replace(gone, trials=tuple(replace(trial, cancelled=True) for trial in gone.trials))
    decided = decide(cancelled)
    decided.raise_if_unsafe()
    assert lines(decided) == [f"finish {k} cancelled" for k in range(MAX_VANISHED)]


def test_a_run_that_cannot_be_read_waits_with_the_reason_and_keeps_its_place():
    found = many(None, None, None)
    found = replace(found, runs={**found.runs, 0: Run(0, unreadable="runs/0000/claims/1-0: torn")})
    decided = decide(found, capacity=LOCAL)
    assert lines(decided) == ["submit 1.1"]
    assert decided.waits[0].reason == "runs/0000/claims/1-0: torn"


def test_trials_that_failed_by_themselves_are_believed_however_many():
    failed = [attempt(run=k, job_id="18808", claimed_by="18808", ending=failing(), job=job(ENDED)) for k in range(99)]
    decide(many(*failed)).raise_if_unsafe()


def test_only_what_is_not_yet_due_depends_on_the_time():
    young = many(attempt(at=NOW - QUEUE.unlisted_grace + timedelta(seconds=1)))
    old = many(attempt(at=NOW - QUEUE.unlisted_grace))
    assert lines(decide(young)) == []
    assert isinstance(decide(old).actions[-1], Submit)


def test_tokens_that_differ_are_different_arrays():
    found = many(attempt(token=TOKEN, job_id="1_0", job=job(RUNNING)), attempt(run=1, token=OTHER, job_id="2_0"))
    assert lines(decide(found)) == ["lost 1.1", "submit 1.2"]
