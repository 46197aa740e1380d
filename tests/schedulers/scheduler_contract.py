"""The promises of every scheduler, as tests that run for each implementation and for the fake.

A subclass of Rig connects the tests to its cluster: `submission(elements)` makes a request, and its payloads wait until
`finish` or `scheduler.cancel` ends them.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

from unetsweep.app.executors import EXECUTORS
from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import Scheduler, Submission
from unetsweep.core.spec import Resources


class Rig(ABC):
    """A scheduler with control over what its jobs do."""

    scheduler: Scheduler
    patience_s = 30.0

    @abstractmethod
    def submission(self, elements: int) -> Submission:
        """A new request with a new token."""

    @abstractmethod
    def finish(self, submission: Submission, index: int) -> None:
        """Let the payload of this element end."""

    def nudge(self) -> None:
        """Let a short time pass."""
        time.sleep(0.05)

    def jobs(self, submission: Submission) -> dict[int, Job]:
        return {job.index: job for job in self.scheduler.jobs([submission.token])}

    def wait(self, submission: Submission, condition: Callable[[dict[int, Job]], bool]) -> dict[int, Job]:
        """The jobs of the submission by index, as soon as `condition` holds."""
        until = time.monotonic() + self.patience_s
        while not condition(found := self.jobs(submission)):
            assert time.monotonic() < until, found
            self.nudge()
        return found

    def started(self, submission: Submission) -> Sequence[str]:
        """Submit it and wait until all of its elements are listed; their job ids."""
        ids = self.scheduler.submit(submission)
        self.wait(submission, lambda jobs: len(jobs) == submission.elements)
        return ids


class SchedulerContract:
    """The tests; the module of the subclass needs a fixture `rig`."""

    def test_it_states_its_kind_and_its_limits(self, rig: Rig):
        assert rig.scheduler.kind in EXECUTORS
        assert rig.scheduler.max_elements() >= 1
        remaining = rig.scheduler.remaining_submissions(Resources())
        assert remaining is None or remaining >= 0

    def test_an_unknown_token_has_no_jobs(self, rig: Rig):
        assert list(rig.scheduler.jobs([])) == []
        assert list(rig.scheduler.jobs(["0" * 12])) == []

    def test_each_element_is_a_live_job_with_its_token_index_and_id(self, rig: Rig):
        submission = rig.submission(3)
        ids = rig.started(submission)
        assert len(set(ids)) == 3
        found = rig.jobs(submission)
        assert [found[index].job_id for index in range(3)] == list(ids)
        assert {job.token for job in found.values()} == {submission.token}
        assert all(job.state.is_live for job in found.values())
        rig.scheduler.cancel(ids)

    def test_a_job_without_an_array_has_index_0(self, rig: Rig):
        submission = rig.submission(1)
        (job_id,) = rig.started(submission)
        assert [(index, job.job_id) for index, job in rig.jobs(submission).items()] == [(0, job_id)]
        rig.scheduler.cancel([job_id])

    def test_only_jobs_of_the_requested_tokens_are_listed(self, rig: Rig):
        one, other = rig.submission(1), rig.submission(1)
        ids = [*rig.started(one), *rig.started(other)]
        assert len(set(ids)) == 2
        assert [job.job_id for job in rig.scheduler.jobs([other.token])] == ids[1:]
        assert len(rig.scheduler.jobs([one.token, other.token])) == 2
        rig.scheduler.cancel(ids)

    def test_an_ended_job_is_listed_as_ended_and_the_others_continue(self, rig: Rig):
        submission = rig.submission(2)
        ids = rig.started(submission)
        rig.wait(submission, lambda jobs: jobs[0].state is JobState.RUNNING)
        rig.finish(submission, 0)
        found = rig.wait(submission, lambda jobs: not jobs[0].state.is_live)
        assert found[0].state is JobState.ENDED
        assert found[1].state.is_live
        rig.scheduler.cancel(ids)

    def test_a_cancelled_job_ends_and_the_others_continue(self, rig: Rig):
        submission = rig.submission(2)
        ids = rig.started(submission)
        rig.scheduler.cancel([ids[1]])
        found = rig.wait(submission, lambda jobs: 1 not in jobs or not jobs[1].state.is_live)
        assert found[0].state.is_live
        rig.scheduler.cancel(ids)
        rig.wait(submission, lambda jobs: not any(job.state.is_live for job in jobs.values()))

    def test_cancelling_ended_or_unknown_jobs_is_no_error(self, rig: Rig):
        submission = rig.submission(1)
        ids = rig.started(submission)
        for _ in range(2):
            rig.scheduler.cancel([*ids, "999999"])
            rig.wait(submission, lambda jobs: not any(job.state.is_live for job in jobs.values()))
        rig.scheduler.cancel([])

    def test_a_job_id_is_never_reused(self, rig: Rig):
        first = rig.submission(1)
        ids = rig.started(first)
        rig.scheduler.cancel(ids)
        rig.wait(first, lambda jobs: not any(job.state.is_live for job in jobs.values()))
        second = replace(rig.submission(1), throttle=None)
        again = rig.started(second)
        assert set(ids).isdisjoint(again)
        rig.scheduler.cancel(again)
