"""Packed jobs: the slot table on disk, and each training listed as a job of its own."""

import errno
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from unetsweep.atomic import write_text
from unetsweep.core import paths
from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.packed.packed_slurm import PackedSlurm
from unetsweep.schedulers.packed.slot_table import SlotTableDir, is_published
from unetsweep.schedulers.slurm.scheduler import Slurm

FIRST, LATER, OTHER = "a" * 12, "b" * 12, "c" * 12
RUNNING, QUEUED, ENDED = JobState.RUNNING, JobState.QUEUED, JobState.ENDED


class Cluster:
    """A fake of SLURM's commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listed: list[Job] = []
        self.submissions: list[Submission] = []
        self.cancelled: list[str] = []
        self.reconcilers: list[ReconcilerRequest] = []
        monkeypatch.setattr(Slurm, "jobs", lambda _, tokens: self._jobs(tokens))
        monkeypatch.setattr(Slurm, "submit", lambda _, submission: self._submit(submission))
        monkeypatch.setattr(Slurm, "cancel", lambda _, ids: self.cancelled.extend(sorted(ids)))
        monkeypatch.setattr(Slurm, "final_states", lambda _, jobs: dict.fromkeys(jobs, (ENDED, "FAILED")))
        monkeypatch.setattr(
            Slurm, "submit_reconciler", lambda _, reconciler: self.reconcilers.append(reconciler) or "9"
        )

    def _jobs(self, tokens: Collection[str]) -> tuple[Job, ...]:
        return tuple(job for job in self.listed if job.token in tokens)

    def _submit(self, submission: Submission) -> Sequence[str]:
        self.submissions.append(submission)
        return tuple(f"7_{index}" for index in range(submission.elements)) if submission.elements > 1 else ("7",)

    def run(self, *states: JobState, token: str = FIRST) -> None:
        self.listed = [Job(f"7_{n}", token, n, state, state.name, node=f"n{n}") for n, state in enumerate(states)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


@pytest.fixture
def packed(tmp_path: Path, cluster: Cluster) -> PackedSlurm:
    return PackedSlurm(lambda _: print, tmp_path)


@pytest.fixture
def make_submission(tmp_path: Path) -> Callable[..., Submission]:
    def submission(token: str, elements: int, jobs: int, throttle: int | None = None, **more: object) -> Submission:
        about = Submission(token, "s", tmp_path, elements, Resources(mem="4G"), throttle, 2, jobs)
        return replace(about, **more)

    return submission


def states(packed: PackedSlurm, *tokens: str) -> dict[str, tuple[str, JobState]]:
    return {job.job_id: (f"{job.token[0]}{job.index}", job.state) for job in packed.jobs(tokens)}


def test_a_training_is_queued_until_it_has_a_slot_and_then_has_the_state_of_its_job(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, make_submission: Callable[..., Submission]
):
    assert packed.submit(make_submission(FIRST, 5, 2, throttle=4)) == tuple(f"7.{n}" for n in range(5))
    assert (cluster.submissions[0].elements, cluster.submissions[0].throttle) == (2, None)
    assert states(packed, FIRST) == {}
    cluster.run(RUNNING, QUEUED)
    slots = SlotTableDir(tmp_path, FIRST)
    assert slots.take(0, task=0, restart=0)
    assert not slots.take(0, task=1, restart=0)
    assert states(packed, FIRST) == {"7.0": ("a0", RUNNING), **{f"7.{n}": (f"a{n}", QUEUED) for n in range(1, 5)}}
    cluster.run(RUNNING, RUNNING)
    (_, waits, *_) = packed.jobs([FIRST])
    assert (waits.state, waits.reason) == (QUEUED, "waits for a free slot in job 7_0")
    slots.end(0)
    assert states(packed, FIRST)["7.0"] == ("a0", ENDED)
    slots.take(1, task=1, restart=0)
    cluster.run(ENDED, JobState.NODE_FAILED)
    assert states(packed, FIRST)["7.1"] == ("a1", JobState.NODE_FAILED)
    assert states(packed, FIRST)["7.2"] == ("a2", JobState.NODE_FAILED)
    cluster.listed = cluster.listed[:1]
    assert "7.1" not in states(packed, FIRST), "the queue has forgotten the job that took it"


def test_a_later_training_takes_a_free_slot_and_needs_no_job(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, make_submission: Callable[..., Submission]
):
    packed.submit(make_submission(FIRST, 2, 1))
    cluster.listed = [Job("7", FIRST, 0, RUNNING, "RUNNING")]
    slots = SlotTableDir(tmp_path, FIRST)
    slots.take(0, task=0, restart=0)
    slots.take(1, task=0, restart=0)
    packed.jobs([FIRST])
    (tmp_path / paths.submission(FIRST)).mkdir(parents=True)
    milestone = tmp_path / "4.json"
    write_text(tmp_path / paths.awaited(FIRST, 1), f"{milestone}\n")
    assert not is_published(tmp_path, (FIRST, 1))
    milestone.touch()  # its result exists, although its processes still run
    assert packed.submit(make_submission(LATER, 1, 1)) == ("7.2",)
    assert len(cluster.submissions) == 1
    assert states(packed, LATER) == {"7.2": ("b0", QUEUED)}
    assert packed.submit(make_submission(OTHER, 1, 1)) == ("7.0",), "no slot is free: it gets its own job"
    assert len(cluster.submissions) == 2


@pytest.mark.parametrize("why", ["memory", "node", "closed", "too many", "adopted"])
def test_a_training_takes_no_slot_that_does_not_fit_it(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, make_submission: Callable[..., Submission], why: str
):
    packed.submit(make_submission(FIRST, 1, 1))
    cluster.run(RUNNING)
    SlotTableDir(tmp_path, FIRST).take(0, task=0, restart=0)
    packed.jobs([FIRST])
    submission = make_submission(LATER, 2 if why == "too many" else 1, 1)
    if why == "memory":
        submission = replace(submission, resources=Resources(mem="8G"))
    elif why == "node":
        submission = replace(submission, exclude=("n0",))
    elif why == "closed":
        SlotTableDir(tmp_path, FIRST).close(0)
    elif why == "adopted":
        SlotTableDir(tmp_path, FIRST).abandon()
    packed.submit(submission)
    assert len(cluster.submissions) == 2


def test_a_training_gets_its_own_job_when_the_packed_job_closes_as_it_takes_a_slot(
    tmp_path: Path,
    cluster: Cluster,
    packed: PackedSlurm,
    make_submission: Callable[..., Submission],
    monkeypatch: pytest.MonkeyPatch,
):
    packed.submit(make_submission(FIRST, 1, 1))
    cluster.run(RUNNING)
    SlotTableDir(tmp_path, FIRST).take(0, task=0, restart=0)
    packed.jobs([FIRST])
    reuse_slot = SlotTableDir.reuse_slot

    def late(self: SlotTableDir, reused: tuple[str, int]) -> int:
        self.close(0)
        return reuse_slot(self, reused)

    monkeypatch.setattr(SlotTableDir, "reuse_slot", late)
    packed.submit(make_submission(LATER, 1, 1))
    assert len(cluster.submissions) == 2
    cluster.listed.append(Job("8", LATER, 0, QUEUED, "PENDING"))
    assert states(packed, LATER) == {"8.0": ("b0", QUEUED)}, "the slot that it did not get is no job"


def test_a_packed_job_is_cancelled_only_with_the_last_of_its_trainings(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, make_submission: Callable[..., Submission]
):
    packed.submit(make_submission(FIRST, 3, 1))
    cluster.run(RUNNING, ENDED)
    slots = SlotTableDir(tmp_path, FIRST)
    slots.take(0, task=0, restart=0)
    packed.jobs([FIRST])
    packed.cancel(["7.2", "5_1"])
    assert cluster.cancelled == ["5_1"]
    assert states(packed, FIRST)["7.2"] == ("a2", JobState.CANCELLED)
    slots.end(0)
    packed.cancel(["7.1"])
    assert cluster.cancelled == ["5_1", "7_0"]


def test_ending_one_training_does_not_end_its_job(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, make_submission: Callable[..., Submission]
):
    packed.submit(make_submission(FIRST, 2, 1))
    cluster.run(RUNNING)
    packed.jobs([FIRST])
    packed.end("7.1")
    assert SlotTableDir(tmp_path, FIRST).read().terminated == {1}
    assert states(packed, FIRST)["7.1"] == ("a1", ENDED), "no job had taken it"
    assert cluster.cancelled == []


def test_final_states_and_dependencies_are_those_of_the_job_that_took_the_slot(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, make_submission: Callable[..., Submission]
):
    packed.submit(make_submission(FIRST, 3, 2))
    cluster.run(ENDED, RUNNING)
    slots = SlotTableDir(tmp_path, FIRST)
    slots.take(0, task=0, restart=0)
    slots.take(1, task=1, restart=0)
    packed.jobs([FIRST])
    assert packed.final_states({"7.0": FIRST, "7.2": FIRST, "5": OTHER}) == {
        "7.0": (ENDED, "FAILED"),
        "5": (ENDED, "FAILED"),
    }
    packed.submit_reconciler(ReconcilerRequest(OTHER, "s", tmp_path, Resources(), ("7.1", "7.0", "5"), 60))
    assert cluster.reconcilers[0].after == ("5", "7_0", "7_1")


def test_a_corrupt_slot_table_is_a_scheduler_error_and_ends_no_job(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, make_submission: Callable[..., Submission]
):
    packed.submit(make_submission(FIRST, 1, 1))
    (tmp_path / paths.packed(FIRST) / "0.taken.json").write_text("{")
    with pytest.raises(SchedulerError, match=r"packed.*0\.taken\.json"):
        packed.jobs([FIRST])


def test_packed_jobs_are_cancelled_even_if_the_disk_is_full(
    cluster: Cluster,
    packed: PackedSlurm,
    make_submission: Callable[..., Submission],
    monkeypatch: pytest.MonkeyPatch,
):
    packed.submit(make_submission(FIRST, 4, 2))
    cluster.run(RUNNING, RUNNING)
    packed.jobs([FIRST])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SlotTableDir, "cancel", full)
    with pytest.raises(OSError, match="No space"):
        packed.cancel(["7.0"])
    assert cluster.cancelled == [], "the others are wanted"
    with pytest.raises(OSError, match="No space"):
        packed.cancel([f"7.{number}" for number in range(4)])
    assert cluster.cancelled == ["7_0", "7_1"]
