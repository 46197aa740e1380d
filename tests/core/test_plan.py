"""The decisions of a plan, as tables: an observation and the actions that follow."""

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
    observation,
)

from unetsweep.core.actions import Submit
from unetsweep.core.causes import Cause
from unetsweep.core.observation import JobState, Observation, Run
from unetsweep.core.plan import MAX_VANISHED
from unetsweep.core.spec import Retries
from unetsweep.errors import UnsafePlan

QUEUED, RUNNING, ENDED = JobState.QUEUED, JobState.RUNNING, JobState.ENDED

ONE_RUN = [
    pytest.param(observation(), ["submit 0.1"], id="a new run is submitted"),
    pytest.param(observation(attempt(at=JUST_NOW)), [], id="an intent without a job waits within the grace time"),
    pytest.param(
        observation(attempt()), ["lost 0.1", "submit 0.2"], id="an intent that never reached the queue is resubmitted"
    ),
    pytest.param(
        observation(attempt(at=JUST_NOW, job_id="18808")), [], id="a job that squeue does not list yet is waited for"
    ),
    pytest.param(
        observation(attempt(job_id="18808")), ["lost 0.1", "submit 0.2"], id="a job gone from the queue is resubmitted"
    ),
    pytest.param(
        observation(attempt(job_id="18808"), scheduler_error="timed out"),
        [],
        id="no answer from the queue does not mean that the job is gone",
    ),
    pytest.param(
        observation(scheduler_error="timed out"), [], id="nothing is submitted to a queue that does not answer"
    ),
    pytest.param(
        observation(attempt(lost="its node died"), scheduler_error="timed out"),
        [],
        id="nothing is resubmitted while the queue does not answer",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808")),
        ["lost 0.1", "submit 0.2"],
        id="a claimed job that is gone is resubmitted and continues from its checkpoint",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808"), scheduler_error="timed out"),
        [],
        id="a claimed job is kept while the queue does not answer",
    ),
    pytest.param(
        observation(attempt(claimed_by="18808", at=JUST_NOW)),
        ["record 0.1 18808"],
        id="an orphan is adopted from its claim",
    ),
    pytest.param(
        observation(attempt(job=job(QUEUED))),
        ["record 0.1 18808"],
        id="an orphan is adopted from the queue, by its token",
    ),
    pytest.param(
        observation(attempt(job_id="18808", job=job(QUEUED))),
        [],
        id="a queued job is waited for, however long ago it was submitted",
    ),
    pytest.param(observation(attempt(job_id="18808", job=job(RUNNING))), [], id="a running job is waited for"),
    pytest.param(
        observation(attempt(job_id="18808", job=job(JobState.UNRECOGNISED))),
        [],
        id="an unknown state word counts as alive",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", job=job(JobState.NODE_FAILED))),
        ["lost 0.1", "submit 0.2"],
        id="a job is resubmitted when its node failed",
    ),
    pytest.param(
        observation(attempt(job_id="18808", job=job(ENDED))),
        ["lost 0.1", "submit 0.2"],
        id="a job that ended before any claim is resubmitted",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", job=job(ENDED))),
        ["lost 0.1", "submit 0.2"],
        id="a job that ended after its claim, without result or error, is resubmitted",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", job=job(ENDED, ended_at=JUST_NOW))),
        [],
        id="a file may be invisible for a minute after its job ended",
    ),
    pytest.param(
        observation(attempt(job_id="18808", job=job(JobState.CANCELLED))),
        ["finish 0 cancelled"],
        id="a job that somebody cancelled is not resubmitted",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", ending=failing(), job=job(ENDED))),
        ["finish 0 failed"],
        id="an error file ends the trial",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", ending=failing(), job=job(RUNNING))),
        ["finish 0 failed"],
        id="an error file ends the trial even before its job is gone",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", ending=failing("exit", 1), job=job(RUNNING))),
        [],
        id="an exit status alone decides nothing: the job is waited for while its exit hook runs",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", ending=failing("exit", 143), job=job(QUEUED))),
        [],
        id="a requeued job is alive, whatever its first start left behind",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", ending=failing(), job=job(QUEUED))),
        [],
        id="a requeued job is alive, though its first start left an error",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", ending=failing("exit", 0), job=job(RUNNING))),
        [],
        id="a job is waited for after exit status 0, because its result may appear late",
    ),
    pytest.param(
        observation(attempt(job_id="18808", claimed_by="18808", ending=failing("exit", 0), job=job(ENDED))),
        ["lost 0.1", "submit 0.2"],
        id="exit status 0 without a result is no success",
    ),
    pytest.param(
        observation(attempt(job_id="18808", job=job(RUNNING)), result="complete"),
        ["finish 0 complete"],
        id="a result outranks a running job",
    ),
    pytest.param(
        observation(attempt(job_id="18808", ending=failing(), job=job(JobState.NODE_FAILED)), result="complete"),
        ["finish 0 complete"],
        id="a result outranks error, exit status and queue",
    ),
    pytest.param(
        observation(attempt(lost="its node died"), result="complete", scheduler_error="timed out"),
        ["finish 0 complete"],
        id="a result finishes the trial even while the queue does not answer",
    ),
    pytest.param(
        observation(attempt(), result="diverged"),
        ["finish 0 diverged"],
        id="a result finishes the trial with its own state",
    ),
    pytest.param(
        observation(attempt(), cancelled=True, result="complete"),
        ["finish 0 complete"],
        id="a result outranks a cancellation",
    ),
    pytest.param(
        observation(cancelled=True), ["finish 0 cancelled"], id="a cancelled trial that was never submitted is finished"
    ),
    pytest.param(
        observation(attempt(job_id="18808", job=job(RUNNING)), cancelled=True),
        ["cancel 18808"],
        id="the job of a cancelled trial is ended first",
    ),
    pytest.param(
        observation(attempt(job=job(QUEUED)), cancelled=True),
        ["record 0.1 18808", "cancel 18808"],
        id="the orphan of a cancelled trial is adopted and ended",
    ),
    pytest.param(
        observation(attempt(claimed_by="18808", job_id="18808", ending=failing(), job=job(ENDED)), cancelled=True),
        ["finish 0 cancelled"],
        id="a trial that died of its cancellation is cancelled, not failed",
    ),
    pytest.param(
        observation(attempt(lost="gone")), ["submit 0.2"], id="an attempt given up before a crash is resubmitted"
    ),
]


@pytest.mark.parametrize(("found", "expected"), ONE_RUN)
def test_the_state_of_a_run_decides_its_actions(found: Observation, expected: list[str]):
    assert lines(decide(found)) == expected


def lost(times: int, *, refused: bool = False, job_id: str | None = "18800"):
    return tuple(attempt(k + 1, lost="its node died", refused=refused, job_id=job_id) for k in range(times))


RETRIES = [
    pytest.param(observation(*lost(2)), ["submit 0.3"], id="two losses with two retries: submitted a third time"),
    pytest.param(observation(*lost(3)), ["finish 0 failed"], id="three losses with two retries: failed"),
    pytest.param(
        observation(*lost(2), attempt(3, job_id="18808")),
        ["lost 0.3", "finish 0 failed"],
        id="a loss found in this plan counts as well",
    ),
    pytest.param(observation(*lost(9, refused=True)), ["submit 0.10"], id="refusals are not losses"),
    pytest.param(
        observation(*lost(2), *(replace(each, number=each.number + 2) for each in lost(5, refused=True))),
        ["submit 0.8"],
        id="refusals after losses do not count either",
    ),
    pytest.param(
        observation(*lost(9, job_id=None)),
        ["submit 0.10"],
        id="an attempt that never reached the queue is no loss of the training",
    ),
    pytest.param(
        observation(*lost(MAX_VANISHED + 1, job_id=None)),
        ["finish 0 failed"],
        id="an attempt that never reaches the queue is not retried for ever",
    ),
]


@pytest.mark.parametrize(("found", "expected"), RETRIES)
def test_lost_attempts_are_resubmitted_up_to_the_limit(found: Observation, expected: list[str]):
    assert lines(decide(found, grid(1, retries=Retries(node=2)))) == expected


def test_a_failed_trial_names_its_losses_its_error_and_the_file_to_read():
    (finish,) = decide(observation(*lost(4))).actions
    assert (
        finish.reason == "the job vanished from the queue, 4 times (run.retries.node is 3); the last time its node died"
    )
    (finish,) = decide(observation(attempt(claimed_by="18808_3", ending=failing(), job=job(ENDED)))).actions
    assert finish.reason == "ValueError: no (see runs/0000/error-0.json)"
    assert finish.job_id == "18808_3"


def test_a_pending_element_that_vanishes_from_a_listed_array_counts_as_cancelled():
    assert lines(decide(many(element(0, RUNNING), element(1, None)))) == ["finish 1 cancelled"]


def test_an_element_that_began_or_that_we_ended_does_not_count_as_cancelled():
    began, ended = element(1, None, began=True), element(1, None, terminated_for=Cause.PAUSED)
    assert lines(decide(many(element(0, RUNNING), began))) == ["lost 1.1", "submit 1.2"]
    assert lines(decide(many(element(0, RUNNING), ended))) == ["lost 1.1", "submit 1.2"]


def test_a_vanished_element_counts_as_cancelled_after_all_other_trials_of_its_array_ended():
    found = replace(many(None, ended=3), runs={0: Run(0, {}, (element(0, None),))})
    assert lines(decide(replace(found, listed=frozenset({TOKEN})))) == ["finish 0 cancelled"]
    assert lines(decide(found)) == ["lost 0.1", "submit 0.2"]


def test_a_local_process_that_never_appeared_is_resubmitted_regardless_of_the_others():
    found = many(element(0, RUNNING), element(1, None))
    assert lines(decide(found, capacity=LOCAL)) == ["lost 1.1", "submit 1.2"]


def test_a_cancelled_element_is_recognised_beside_one_that_ran():
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
def test_a_plan_is_unsafe_when_too_many_jobs_vanish_at_once(more):
    gone = [attempt(run=k, index=k, token=f"{k:012x}", **more) for k in range(MAX_VANISHED)]
    with pytest.raises(UnsafePlan, match="--force"):
        decide(many(*gone)).raise_if_unsafe()
    decide(many(*gone[1:])).raise_if_unsafe()
    never = [attempt(run=k, index=k, token=f"{k:012x}") for k in range(MAX_VANISHED)]
    decide(many(*never)).raise_if_unsafe()  # a submitter that died before sbatch explains them
    ended_by_us = [attempt(run=k, index=k, job_id="18808", terminated_for=Cause.PAUSED) for k in range(MAX_VANISHED)]
    decide(many(*ended_by_us)).raise_if_unsafe()  # we ended these ourselves
    ended = [attempt(run=k, index=k, token=f"{k:012x}", job=job(ENDED), **more) for k in range(MAX_VANISHED)]
    decide(many(*ended)).raise_if_unsafe()  # the queue says that they ended
    alive = [
        attempt(run=MAX_VANISHED + k, index=k, job_id="18809", token=OTHER, job=job(RUNNING))
        for k in range(MAX_VANISHED + 1)
    ]
    decide(many(*gone, *alive)).raise_if_unsafe()


def test_a_queued_job_is_cancelled_when_its_trials_have_ended():
    queued = attempt(job_id="18808", claimed_by="18808", job=job(QUEUED))
    found = replace(many(queued), runs={0: Run(0, {8: "complete"}, (queued,))})
    assert lines(decide(found)) == ["finish 0 complete", "cancel 18808"]
    running = replace(queued, job=job(RUNNING))
    assert lines(decide(replace(found, runs={0: Run(0, {8: "complete"}, (running,))}))) == ["finish 0 complete"]


def test_a_cancelled_trial_waits_for_a_late_result_when_its_job_ended_on_its_own():
    def cancelled(state: JobState, ago: int) -> Observation:
        last = attempt(job_id="18808", claimed_by="18808", job=job(state, ended_at=NOW - timedelta(seconds=ago)))
        found = many(last)
        return replace(found, trials=tuple(replace(trial, cancelled=True) for trial in found.trials))

    for state in (ENDED, JobState.NODE_FAILED):
        assert lines(decide(cancelled(state, 10))) == []
        assert lines(decide(cancelled(state, 120))) == ["finish 0 cancelled"]
    assert lines(decide(cancelled(JobState.CANCELLED, 10))) == ["finish 0 cancelled"]


def test_any_number_of_cancelled_trials_may_vanish():
    gone = many(*(attempt(run=k, index=k, token=f"{k:012x}", job_id="18808") for k in range(MAX_VANISHED)))
    cancelled = replace(gone, trials=tuple(replace(trial, cancelled=True) for trial in gone.trials))
    decided = decide(cancelled)
    decided.raise_if_unsafe()
    assert lines(decided) == [f"finish {k} cancelled" for k in range(MAX_VANISHED)]


def test_an_unreadable_run_waits_with_the_reason_and_keeps_its_slot():
    found = many(None, None, None)
    found = replace(found, runs={**found.runs, 0: Run(0, unreadable="runs/0000/claims/1-0: corrupt")})
    decided = decide(found, capacity=LOCAL)
    assert lines(decided) == ["submit 1.1"]
    assert decided.waits[0].reason == "runs/0000/claims/1-0: corrupt"


def test_any_number_of_trials_may_fail_with_an_error_of_their_own():
    failed = [attempt(run=k, job_id="18808", claimed_by="18808", ending=failing(), job=job(ENDED)) for k in range(99)]
    decide(many(*failed)).raise_if_unsafe()


def test_an_unlisted_attempt_is_lost_only_after_the_grace_time():
    young = many(attempt(at=NOW - QUEUE.unlisted_grace + timedelta(seconds=1)))
    old = many(attempt(at=NOW - QUEUE.unlisted_grace))
    assert lines(decide(young)) == []
    assert isinstance(decide(old).actions[-1], Submit)


def test_attempts_with_different_tokens_are_different_arrays():
    found = many(attempt(token=TOKEN, job_id="1_0", job=job(RUNNING)), attempt(run=1, token=OTHER, job_id="2_0"))
    assert lines(decide(found)) == ["lost 1.1", "submit 1.2"]
