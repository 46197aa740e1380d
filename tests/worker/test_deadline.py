"""A training stops if another epoch does not fit before the end of its job; what a signal means for that."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm.commands import SIGNAL_LEAD_S
from unetsweep.worker.deadline import EARLY_S, MARGIN_S, Deadline, listen

NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def _listening() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR2)
    listen()
    yield
    signal.signal(signal.SIGUSR2, before)


class Squeue:
    """A fake squeue: returns when the job ends, and counts its calls."""

    def __init__(self, *ends: float | None) -> None:
        self.ends, self.calls = list(ends), 0

    def __call__(self, job_id: str, timeout: float) -> float | None:
        assert job_id == "7_1"
        self.calls += 1
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if end is None:
            raise SchedulerError("squeue gave no answer")
        return end


def ends_in(seconds: float, squeue: Squeue) -> Deadline:
    """The deadline of a job that ends in so many seconds, by its environment."""
    environment = {"SLURM_JOB_END_TIME": f"{NOW + seconds:.0f}"}
    return Deadline("7_1", environment, squeue, lambda: NOW)


def test_a_training_continues_while_another_epoch_and_the_exit_hook_fit() -> None:
    squeue = Squeue(NOW + 100)
    end = ends_in(100, squeue)
    assert end(100 - MARGIN_S) is None
    assert squeue.calls == 0  # the environment has the end, so squeue is not called
    assert end(101 - MARGIN_S) == "the time limit is near: 100 s are left, and another epoch may need 91 s"


def test_a_limit_that_an_administrator_raised_stops_nothing() -> None:
    squeue = Squeue(NOW + 5000)
    end = ends_in(100, squeue)
    assert end(200) is None
    assert end(200) is None
    assert squeue.calls == 1


def test_without_an_end_in_the_environment_squeue_is_asked_once() -> None:
    squeue = Squeue(NOW + 100)
    end = Deadline("7_1", {}, squeue, lambda: NOW)
    assert (end.end, end(50), end(60)) == (NOW + 100, None, None)
    assert squeue.calls == 1


def test_squeue_is_asked_again_for_an_unknown_end_once_a_minute() -> None:
    squeue, now = Squeue(None, None, NOW + 300), [NOW]
    end = Deadline("7_1", {}, squeue, lambda: now[0])
    assert (end(1e9), squeue.calls) == (None, 1)
    for passed, calls in ((61, 2), (119, 2), (122, 3)):
        now[0] = NOW + passed
        assert (end(10), squeue.calls) == (None, calls)
    assert str(end(200)).startswith("the time limit is near: 178 s are left")


def test_an_unknown_end_stops_nothing_until_a_signal_comes() -> None:
    for end in (Deadline("7_1", {}, Squeue(None), lambda: NOW), Deadline()):
        assert end.end is None
        assert end(1e9) is None
        os.kill(os.getpid(), signal.SIGUSR2)
        assert end(1.0) == "a signal announced the end of the job"


def test_a_signal_far_from_the_limit_announces_a_preemption() -> None:
    far = SIGNAL_LEAD_S + EARLY_S
    end = ends_in(3600, Squeue(NOW + far + 1))
    os.kill(os.getpid(), signal.SIGUSR2)
    assert end(1.0) == "preemption announced"


def test_a_training_continues_after_a_signal_near_the_limit_while_epochs_fit() -> None:
    end = ends_in(80, Squeue(NOW + 80))
    os.kill(os.getpid(), signal.SIGUSR2)
    assert end(10) is None
    os.kill(os.getpid(), signal.SIGUSR2)
    assert str(end(75)).startswith("the time limit is near")


def test_a_signal_for_a_limit_that_was_lowered_is_believed() -> None:
    end = ends_in(3600, Squeue(NOW + 40))
    os.kill(os.getpid(), signal.SIGUSR2)
    assert str(end(35)).startswith("the time limit is near: 40 s are left")


def test_a_cluster_that_does_not_answer_leaves_the_known_end() -> None:
    end = ends_in(100, Squeue(None))
    assert str(end(200)).startswith("the time limit is near")
    os.kill(os.getpid(), signal.SIGUSR2)
    assert end(10) is None


def test_usr1_prints_the_stacks_and_ends_nothing(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w+b") as stream:
        saved = os.dup(2)
        os.dup2(stream.fileno(), 2)
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
        finally:
            os.dup2(saved, 2)
            os.close(saved)
    output = (tmp_path / "stderr").read_text()
    assert "test_usr1_prints_the_stacks_and_ends_nothing" in output
    assert "most recent call first" in output
