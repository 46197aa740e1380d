"""What a reconciliation does about a running training whose trials are all cancelled."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from plan_rows import LONG_AGO, NOW, attempt, decide, grid, job, lines

from unetsweep.core.cancellation import CHECKPOINT_WAIT, SAVES_CHECKPOINT
from unetsweep.core.observation import Ending, EpochReport, JobState, Observation, PruneDecision, Run, Trial

LATE = NOW - CHECKPOINT_WAIT


def seconds_ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


LAST_EPOCH = seconds_ago(1)


def training(
    cancelled_at: datetime | None = NOW,
    epoch_s: float = 2.0,
    last_epoch: datetime | None = LAST_EPOCH,
    *,
    raw_state: str = "RUNNING",
    state: JobState = JobState.RUNNING,
    **more: Any,
) -> Observation:
    """A training of trial 0 to epoch 8 that has finished one epoch, and whose trial was cancelled."""
    last = attempt(milestones=(8,), job_id="18808", job=replace(job(state), raw_state=raw_state), claimed_at=LONG_AGO)
    progress = (EpochReport(1, {}, last_epoch, epoch_s),)
    run = Run(0, attempts=(last,), progress=progress, last_progress_at=last_epoch, **more)
    trials = (Trial(0, 0, 8, cancelled=True, cancelled_at=cancelled_at),)
    return Observation(0, trials, {0: run})


def test_a_training_that_soon_finishes_an_epoch_is_asked_to_stop_there() -> None:
    planned = decide(training())
    assert lines(planned) == ["prune 0.1"]
    assert [(wait.trial, wait.reason) for wait in planned.waits] == [(0, SAVES_CHECKPOINT)]


def test_it_is_asked_once_and_its_job_is_cancelled_when_the_time_is_over() -> None:
    asked = {"prune_decision": PruneDecision(1, 0, (8,), 1, "you cancelled it")}
    assert lines(decide(training(LATE + timedelta(seconds=0.1), last_epoch=seconds_ago(3), **asked))) == []
    assert lines(decide(training(LATE, **asked))) == ["cancel 18808"]


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(training(epoch_s=31, last_epoch=NOW), id="its epoch ends too late"),
        pytest.param(training(last_epoch=None), id="it has reported no epoch"),
        pytest.param(training(None), id="the time of the cancellation cannot be read"),
        pytest.param(training(NOW + timedelta(seconds=1)), id="a clock was set back"),
        pytest.param(training(state=JobState.QUEUED, raw_state="PENDING"), id="it waits to start again"),
        pytest.param(training(raw_state="SUSPENDED"), id="it is suspended"),
        pytest.param(training(state=JobState.UNRECOGNISED, raw_state="?"), id="its state is not known"),
    ],
)
def test_otherwise_its_job_is_cancelled_at_once(found: Observation) -> None:
    assert lines(decide(found)) == ["cancel 18808"]


def test_a_long_epoch_that_is_about_to_end_is_finished() -> None:
    assert lines(decide(training(epoch_s=300, last_epoch=seconds_ago(290)))) == ["prune 0.1"]


@pytest.mark.parametrize(("resumes", "expected"), [(False, "cancel 18808"), (True, "prune 0.1")])
def test_a_trainer_command_is_waited_for_only_if_it_can_continue(resumes: bool, expected: str) -> None:
    spec = grid(1)
    spec = replace(spec, trainer=replace(spec.trainer, command="train {config}", resumes=resumes))
    assert lines(decide(training(), spec)) == [expected]


def test_the_training_of_several_cancelled_trials_has_the_time_since_the_last_cancellation() -> None:
    found = training(LATE)
    other = Trial(1, 0, 4, cancelled=True, cancelled_at=seconds_ago(1))
    assert lines(decide(replace(found, trials=(*found.trials, other)))) == ["prune 0.1"]


@pytest.mark.parametrize(
    ("ending", "asked", "expected"),
    [
        (Ending("exit", "status 0", status=0), True, ["finish 0 cancelled"]),
        (Ending("exit", "status 0", status=0), False, []),
        (None, True, []),
    ],
)
def test_a_trial_whose_training_was_asked_to_stop_and_ended_waits_for_no_late_result(
    ending: Ending | None, asked: bool, expected: list[str]
) -> None:
    prune = PruneDecision(1, 0, (8,), 1, "you cancelled it") if asked else None
    found = training(state=JobState.ENDED, raw_state="COMPLETED", prune_decision=prune)
    run = found.runs[0]
    assert run.last is not None
    assert run.last.job is not None
    job = replace(run.last.job, ended_at=seconds_ago(5))
    run = replace(run, attempts=(replace(run.last, ending=ending, job=job),))
    assert lines(decide(replace(found, runs={0: run}))) == expected


def test_a_published_pruned_result_ends_the_trial_as_cancelled() -> None:
    assert lines(decide(training(published_states={8: "pruned"}))) == ["finish 0 cancelled"]
