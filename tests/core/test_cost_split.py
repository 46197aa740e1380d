"""Where the time of a sweep's jobs went."""

import pytest

from unetsweep.core.cost import Cost, RunTimeline, Start
from unetsweep.core.cost_split import CostSplit, cost_split, waiting_seconds


def timeline(*starts: Start, submitted: dict[int, float]) -> RunTimeline:
    return RunTimeline(dict.fromkeys(submitted, ()), starts, submitted=submitted)


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (timeline(submitted={1: 0.0}), 0.0),
        (timeline(Start(1, 40.0), submitted={1: 10.0}), 30.0),
        (timeline(Start(1, 40.0), Start(1, 90.0), submitted={1: 10.0}), 30.0),
        (timeline(Start(1, 40.0), Start(2, 90.0), submitted={1: 10.0, 2: 80.0}), 40.0),
        (timeline(Start(1, 5.0), submitted={1: 10.0}), 0.0),
        (timeline(Start(3, 5.0), submitted={1: 0.0}), 0.0),
    ],
    ids=["never started", "once", "requeued", "two attempts", "a clock that is behind", "an attempt that is not known"],
)
def test_an_attempt_waits_until_its_first_start(found: RunTimeline, seconds: float) -> None:
    assert waiting_seconds(found) == seconds


def split(seconds: float, lost: float, epochs: float, **more: float) -> CostSplit:
    cost = Cost(1, seconds, 4 * seconds, 2 * seconds, lost, **more)
    return cost_split(cost, [timeline(Start(1, 40.0), submitted={1: 10.0})], epochs, uses_gpus=True)


def test_what_is_neither_training_nor_repeated_is_idle() -> None:
    found = split(3600, 600, 2000)
    assert (found.waiting, found.training, found.repeated, found.idle, found.held) == (30, 2000, 600, 1000, 3600)
    assert (found.hours, found.unit, found.source) == (4.0, "GPU", "the sweep's files")


@pytest.mark.parametrize(
    ("seconds", "lost", "epochs"), [(100, 50, 80), (100, 300, 80), (0, 0, 80)], ids=["epochs", "lost", "nothing held"]
)
def test_the_parts_never_exceed_what_the_jobs_held(seconds: float, lost: float, epochs: float) -> None:
    found = split(seconds, lost, epochs)
    assert found.held == seconds
    assert min(found.training, found.repeated, found.idle) >= 0


def test_accounting_is_named_as_the_source_and_cpus_without_gpus() -> None:
    assert split(100, 0, 50, accounted_seconds=100).source == "sacct"
    found = cost_split(Cost(1, 3600, 0, 7200), [], 0, uses_gpus=False)
    assert (found.hours, found.unit) == (2.0, "CPU")
