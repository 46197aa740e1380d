"""Places in packed jobs: the board on the disk, and each training as a job of its own."""

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

HOST, LATER, OTHER = "a" * 12, "b" * 12, "c" * 12
RUNNING, QUEUED, ENDED = JobState.RUNNING, JobState.QUEUED, JobState.ENDED


class Cluster:
    """Stands where SLURM's commands would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listed: list[Job] = []
        self.sent: list[Submission] = []
        self.cancelled: list[str] = []
        self.reconcilers: list[ReconcilerRequest] = []
        monkeypatch.setattr(Slurm, "jobs", lambda _, tokens: self._jobs(tokens))
        monkeypatch.setattr(Slurm, "submit", lambda _, sent: self._submit(sent))
        monkeypatch.setattr(Slurm, "cancel", lambda _, ids: self.cancelled.extend(sorted(ids)))
        monkeypatch.setattr(Slurm, "final_states", lambda _, jobs: dict.fromkeys(jobs, (ENDED, "FAILED")))
        monkeypatch.setattr(
            Slurm, "submit_reconciler", lambda _, reconciler: self.reconcilers.append(reconciler) or "9"
        )

    def _jobs(self, tokens: Collection[str]) -> tuple[Job, ...]:
        return tuple(job for job in self.listed if job.token in tokens)

    def _submit(self, sent: Submission) -> Sequence[str]:
        self.sent.append(sent)
        return tuple(f"7_{index}" for index in range(sent.elements)) if sent.elements > 1 else ("7",)

    def run(self, *states: JobState, token: str = HOST) -> None:
        self.listed = [Job(f"7_{n}", token, n, state, state.name, node=f"n{n}") for n, state in enumerate(states)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


@pytest.fixture
def packed(tmp_path: Path, cluster: Cluster) -> PackedSlurm:
    return PackedSlurm(lambda _: print, tmp_path)


@pytest.fixture
def send(tmp_path: Path) -> Callable[..., Submission]:
    def submission(token: str, elements: int, jobs: int, throttle: int | None = None, **more: object) -> Submission:
        about = Submission(token, "s", tmp_path, elements, Resources(mem="4G"), throttle, 2, jobs)
        return replace(about, **more)

    return submission


def states(packed: PackedSlurm, *tokens: str) -> dict[str, tuple[str, JobState]]:
    return {job.job_id: (f"{job.token[0]}{job.index}", job.state) for job in packed.jobs(tokens)}


def test_what_waits_for_a_place_is_queued_and_what_has_one_is_as_its_job_is(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, send: Callable[..., Submission]
):
    assert packed.submit(send(HOST, 5, 2, throttle=4)) == tuple(f"7.{n}" for n in range(5))
    assert (cluster.sent[0].elements, cluster.sent[0].throttle) == (2, None)
    assert states(packed, HOST) == {}
    cluster.run(RUNNING, QUEUED)
    slots = SlotTableDir(tmp_path, HOST)
    assert slots.take(0, task=0, restart=0)
    assert not slots.take(0, task=1, restart=0)
    assert states(packed, HOST) == {"7.0": ("a0", RUNNING), **{f"7.{n}": (f"a{n}", QUEUED) for n in range(1, 5)}}
    cluster.run(RUNNING, RUNNING)
    (_, waits, *_) = packed.jobs([HOST])
    assert (waits.state, waits.reason) == (QUEUED, "waits for a free slot in job 7_0")
    slots.end(0)
    assert states(packed, HOST)["7.0"] == ("a0", ENDED)
    slots.take(1, task=1, restart=0)
    cluster.run(ENDED, JobState.NODE_FAILED)
    assert states(packed, HOST)["7.1"] == ("a1", JobState.NODE_FAILED)
    assert states(packed, HOST)["7.2"] == ("a2", JobState.NODE_FAILED)
    cluster.listed = cluster.listed[:1]
    assert "7.1" not in states(packed, HOST), "the queue has forgotten the job that took it"


def test_a_later_training_takes_a_free_place_and_needs_no_job(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, send: Callable[..., Submission]
):
    packed.submit(send(HOST, 2, 1))
    cluster.listed = [Job("7", HOST, 0, RUNNING, "RUNNING")]
    slots = SlotTableDir(tmp_path, HOST)
    slots.take(0, task=0, restart=0)
    slots.take(1, task=0, restart=0)
    packed.jobs([HOST])
    (tmp_path / paths.submission(HOST)).mkdir(parents=True)
    milestone = tmp_path / "4.json"
    write_text(tmp_path / paths.awaited(HOST, 1), f"{milestone}\n")
    assert not is_published(tmp_path, (HOST, 1))
    milestone.touch()  # its result is there, though its processes are not gone yet
    assert packed.submit(send(LATER, 1, 1)) == ("7.2",)
    assert len(cluster.sent) == 1
    assert states(packed, LATER) == {"7.2": ("b0", QUEUED)}
    assert packed.submit(send(OTHER, 1, 1)) == ("7.0",), "no place is free: a job of its own"
    assert len(cluster.sent) == 2


@pytest.mark.parametrize("why", ["memory", "node", "closed", "too many", "adopted"])
def test_a_training_takes_no_place_that_is_not_for_it(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, send: Callable[..., Submission], why: str
):
    packed.submit(send(HOST, 1, 1))
    cluster.run(RUNNING)
    SlotTableDir(tmp_path, HOST).take(0, task=0, restart=0)
    packed.jobs([HOST])
    sent = send(LATER, 2 if why == "too many" else 1, 1)
    if why == "memory":
        sent = replace(sent, resources=Resources(mem="8G"))
    elif why == "node":
        sent = replace(sent, exclude=("n0",))
    elif why == "closed":
        SlotTableDir(tmp_path, HOST).close(0)
    elif why == "adopted":
        SlotTableDir(tmp_path, HOST).abandon()
    packed.submit(sent)
    assert len(cluster.sent) == 2


def test_a_job_that_closes_as_somebody_is_invited_leaves_them_a_job_of_their_own(
    tmp_path: Path,
    cluster: Cluster,
    packed: PackedSlurm,
    send: Callable[..., Submission],
    monkeypatch: pytest.MonkeyPatch,
):
    packed.submit(send(HOST, 1, 1))
    cluster.run(RUNNING)
    SlotTableDir(tmp_path, HOST).take(0, task=0, restart=0)
    packed.jobs([HOST])
    reuse_slot = SlotTableDir.reuse_slot

    def late(self: SlotTableDir, reused: tuple[str, int]) -> int:
        self.close(0)
        return reuse_slot(self, reused)

    monkeypatch.setattr(SlotTableDir, "reuse_slot", late)
    packed.submit(send(LATER, 1, 1))
    assert len(cluster.sent) == 2
    cluster.listed.append(Job("8", LATER, 0, QUEUED, "PENDING"))
    assert states(packed, LATER) == {"8.0": ("b0", QUEUED)}, "the place that it did not get is no job"


def test_cancelling_one_leaves_its_job_to_the_others_and_cancelling_all_ends_it(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, send: Callable[..., Submission]
):
    packed.submit(send(HOST, 3, 1))
    cluster.run(RUNNING, ENDED)
    slots = SlotTableDir(tmp_path, HOST)
    slots.take(0, task=0, restart=0)
    packed.jobs([HOST])
    packed.cancel(["7.2", "5_1"])
    assert cluster.cancelled == ["5_1"]
    assert states(packed, HOST)["7.2"] == ("a2", JobState.CANCELLED)
    slots.end(0)
    packed.cancel(["7.1"])
    assert cluster.cancelled == ["5_1", "7_0"]


def test_one_that_we_end_is_ended_alone(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, send: Callable[..., Submission]
):
    packed.submit(send(HOST, 2, 1))
    cluster.run(RUNNING)
    packed.jobs([HOST])
    packed.end("7.1")
    assert SlotTableDir(tmp_path, HOST).read().stopped == {1}
    assert states(packed, HOST)["7.1"] == ("a1", ENDED), "nobody had taken it"
    assert cluster.cancelled == []


def test_last_words_and_reconcilers_are_those_of_the_job_that_took_it(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, send: Callable[..., Submission]
):
    packed.submit(send(HOST, 3, 2))
    cluster.run(ENDED, RUNNING)
    slots = SlotTableDir(tmp_path, HOST)
    slots.take(0, task=0, restart=0)
    slots.take(1, task=1, restart=0)
    packed.jobs([HOST])
    assert packed.final_states({"7.0": HOST, "7.2": HOST, "5": OTHER}) == {
        "7.0": (ENDED, "FAILED"),
        "5": (ENDED, "FAILED"),
    }
    packed.submit_reconciler(ReconcilerRequest(OTHER, "s", tmp_path, Resources(), ("7.1", "7.0", "5"), 60))
    assert cluster.reconcilers[0].after == ("5", "7_0", "7_1")


def test_a_torn_board_is_silence_and_no_end(
    tmp_path: Path, cluster: Cluster, packed: PackedSlurm, send: Callable[..., Submission]
):
    packed.submit(send(HOST, 1, 1))
    (tmp_path / paths.packed(HOST) / "0.taken.json").write_text("{")
    with pytest.raises(SchedulerError, match=r"packed.*0\.taken\.json"):
        packed.jobs([HOST])
