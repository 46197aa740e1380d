"""The fake scheduler keeps the promises of the real ones, and those of a cluster: throttles, errors, refusals."""

import secrets
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import FakeScheduler
from schedulers.scheduler_contract import Rig, SchedulerContract

from unetsweep.core.observation import JobState
from unetsweep.core.ports import Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import LimitError, RefusedError, SchedulerError


class FakeRig(Rig):
    def __init__(self) -> None:
        self.scheduler: FakeScheduler = FakeScheduler()

    def submission(self, elements: int, throttle: int | None = None) -> Submission:
        return Submission(secrets.token_hex(6), "grid", Path("/nowhere"), elements, Resources(), throttle)

    def finish(self, submission: Submission, index: int) -> None:
        (job,) = [
            each for each in self.scheduler.found if (each.job.token, each.job.index) == (submission.token, index)
        ]
        self.scheduler.finish(job)

    def nudge(self) -> None:
        for each in self.scheduler.found:
            if each.job.state is JobState.QUEUED:
                self.scheduler.start(each)


@pytest.fixture
def rig() -> FakeRig:
    return FakeRig()


class TestFakeScheduler(SchedulerContract):
    pass


def test_an_array_never_runs_more_than_its_throttle(rig: FakeRig):
    rig.scheduler.submit(rig.submission(5, throttle=2))
    for _ in range(3):
        rig.scheduler.tick()
        assert 1 <= len(rig.scheduler.running()) <= 2
    rig.scheduler.tick()
    assert rig.scheduler.live() == []


def test_every_query_fails_while_the_scheduler_does_not_answer(rig: FakeRig):
    rig.scheduler.scheduler_error = "squeue: timed out"
    for ask in (
        lambda: rig.scheduler.jobs(["0" * 12]),
        lambda: rig.scheduler.submit(rig.submission(1)),
        rig.scheduler.max_elements,
        lambda: rig.scheduler.remaining_submissions(Resources()),
        lambda: rig.scheduler.cancel(["1"]),
    ):
        with pytest.raises(SchedulerError, match="timed out"):
            ask()
    assert rig.scheduler.found == []


def test_a_refused_submission_leaves_no_job(rig: FakeRig):
    rig.scheduler.limit = 2
    with pytest.raises(LimitError):
        rig.scheduler.submit(rig.submission(3))
    assert rig.scheduler.found == []
    rig.scheduler.refusal = "invalid partition"
    with pytest.raises(RefusedError, match="invalid partition"):
        rig.scheduler.submit(rig.submission(1))
    assert rig.scheduler.found == []


def test_a_lagging_controller_lists_a_job_late(rig: FakeRig):
    rig.scheduler.lag = timedelta(seconds=20)
    submission = rig.submission(1)
    rig.scheduler.submit(submission)
    assert rig.jobs(submission) == {}
    rig.scheduler.clock.advance(20)
    assert len(rig.jobs(submission)) == 1
