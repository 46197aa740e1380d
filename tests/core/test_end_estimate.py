"""When a sweep ends, as a range."""

import pytest

from unetsweep.core.end_estimate import EndEstimate, RunningTraining, estimate_end
from unetsweep.core.estimate import OpenTraining, TrainingSample

SMALL, LARGE = (("model.base", 16),), (("model.base", 64),)
TEN = OpenTraining(SMALL, (10, 10))


def sample(epoch_seconds: float, other_seconds: float = 0.0, settings=SMALL) -> TrainingSample:
    return TrainingSample(settings, epoch_seconds, other_seconds, 0)


def test_a_running_training_takes_what_its_own_epochs_took_from_quartile_to_quartile() -> None:
    running = RunningTraining(SMALL, 10, (500.0, 10.0, 20.0, 30.0, 40.0, 50.0))  # the first epoch does not count
    assert estimate_end([running], [], [sample(1.0)], None).seconds == (200.0, 400.0)


def test_the_end_of_a_training_takes_at_most_as_long_as_that_of_finished_ones() -> None:
    running = RunningTraining(SMALL, 0, (10.0, 10.0))
    assert estimate_end([running], [], [sample(10.0, 30.0), sample(10.0, 5.0)], None).seconds == (0.0, 30.0)


def test_the_time_since_the_last_epoch_counts_at_most_as_one_epoch() -> None:
    for idle, left in ((4.0, 96.0), (4000.0, 90.0)):
        running = RunningTraining(SMALL, 10, (10.0,) * 4, idle)
        assert estimate_end([running], [], [], None).seconds == (left, left)


def test_a_training_without_an_epoch_is_compared_with_those_of_its_settings() -> None:
    begun = RunningTraining(SMALL, 10, (), 25.0)
    known = [sample(10.0), sample(12.0, 5.0), sample(1000.0, 0.0, LARGE)]
    assert estimate_end([begun], [], known, None).seconds == (75.0, 100.0)


@pytest.mark.parametrize(("slots", "seconds"), [(1, 500.0), (2, 300.0), (4, 200.0), (9, 100.0)])
def test_trainings_that_wait_start_as_soon_as_a_slot_is_free(slots: int, seconds: float) -> None:
    running = [RunningTraining(SMALL, 10, (10.0, 10.0))]
    found = estimate_end(running, [TEN] * 4, [], slots)
    assert found.seconds == (seconds, seconds)
    assert f"{slots} at once" in found.why


def test_if_more_run_than_there_are_slots_the_next_one_waits_for_several_ends() -> None:
    running = [RunningTraining(SMALL, left, (10.0, 10.0)) for left in (1, 2, 3)]
    assert estimate_end(running, [TEN], [], 1).seconds == (130.0, 130.0)


def test_points_that_are_not_proposed_yet_take_from_the_shortest_to_the_longest() -> None:
    assert estimate_end([], [OpenTraining(None, (10, 20))], [sample(1.0), sample(3.0, 0.0, LARGE)], 1).seconds == (
        10,
        60,
    )


@pytest.mark.parametrize(
    ("running", "waiting", "samples", "why"),
    [
        ([], [TEN], [], "unknown until a training has finished an epoch"),
        ([RunningTraining(SMALL, 3, ())], [], [], "unknown until a training has finished an epoch"),
        ([], [TEN], [sample(1.0)], "unknown until a training runs"),
        ([], [OpenTraining(None, None)], [sample(1.0)], "unknown until the files of all trials can be read"),
    ],
)
def test_the_estimate_names_what_is_not_known(running, waiting, samples, why: str) -> None:
    assert estimate_end(running, waiting, samples, None) == EndEstimate(None, why)


def test_many_trainings_are_estimated_fast_and_compared_with_a_few_of_each_settings() -> None:
    running = [RunningTraining((("base", i % 5),), 10, (1.0,) * 50) for i in range(1000)]
    waiting = [OpenTraining((("base", i % 5),), (10, 10)) for i in range(10_000)]
    assert estimate_end(running, waiting, [], 1000).seconds == (110.0, 110.0)
