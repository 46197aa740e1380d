"""Estimates of what the open trainings will take."""

import pytest

from unetsweep.core.cost import JobResources
from unetsweep.core.estimate import OpenTraining, Settings, TrainingSample, estimate, format_estimate, settings_of

RESOURCES = JobResources(gpus=2, cpus=3)


def batch(size: int, **more: int) -> Settings:
    return settings_of({f"model.{name}": value for name, value in more.items()}, size)


def left(settings: Settings | None, epochs: int) -> OpenTraining:
    return OpenTraining(settings, (epochs, epochs))


DONE = [TrainingSample(batch(4), *took) for took in ((2.0, 10.0, 1000), (4.0, 20.0, 3000), (30.0, 15.0, 2000))]
OTHER = TrainingSample(batch(16), 1.0, 0.0, 7000)


def test_a_training_takes_from_the_fastest_to_the_slowest_of_the_same_settings_and_in_the_middle_their_medians():
    found = estimate([*DONE, OTHER], [left(batch(4), 100), left(batch(16), 50)], RESOURCES)
    seconds = 100 * 4 + 15 + 50
    assert found.gpu_hours == pytest.approx(2 * seconds / 3600)
    assert found.cpu_hours == pytest.approx(3 * seconds / 3600)
    assert found.gpu_hours_range == pytest.approx((2 * (100 * 2 + 10 + 50) / 3600, 2 * (100 * 30 + 15 + 50) / 3600))
    assert found.disk_bytes == 2000 + 7000
    text = format_estimate(found, gpus=True)
    assert text.startswith("GPU-hours 0.14 to 1.70 (about 0.26), disk 0.0 MB (")
    assert "3 with batch size 4, 4 s per epoch plus 15 s" in text


@pytest.mark.parametrize("settings", [None, batch(4, base=64)])
def test_without_finished_trainings_of_the_same_settings_the_range_is_that_of_all(settings: Settings | None):
    found = estimate([*DONE, OTHER], [left(settings, 10)], RESOURCES)
    assert found.gpu_hours_range == pytest.approx((2 * 10 * 1 / 3600, 2 * (10 * 30 + 15) / 3600))
    assert "for 1 training without a finished trial of the same settings, fastest to slowest of all" in (
        found.estimated_from
    )


def test_a_training_whose_epochs_are_not_known_takes_the_fewest_to_the_most():
    found = estimate([OTHER], [OpenTraining(None, (10, 30))], RESOURCES)
    assert found.gpu_hours_range == pytest.approx((2 * 10 / 3600, 2 * 30 / 3600))
    assert found.gpu_hours == pytest.approx(2 * 20 / 3600)


def test_many_groups_of_finished_trainings_are_counted_and_not_all_named():
    samples = [TrainingSample(batch(size), 1.0, 0.0, 0) for size in range(1, 9)]
    text = estimate(samples, [left(batch(size), 1) for size in range(1, 9)], RESOURCES).estimated_from
    assert text.endswith("1 with batch size 3, 1 s per epoch plus 0 s, 0.0 MB each; and 5 more groups")


@pytest.mark.parametrize(
    ("training", "names_batch", "why"),
    [
        (left(batch(8), 1), True, "no trial with batch size 8 has finished"),
        (left(batch(8), 1), False, "no trial has finished"),
        (left(None, 1), True, "no trial has finished"),
    ],
)
def test_before_a_training_has_ended_the_estimate_is_unknown_until_then(
    training: OpenTraining, names_batch: bool, why: str
):
    found = estimate([], [training], RESOURCES, names_batch=names_batch)
    assert format_estimate(found, gpus=True) == f"GPU-hours and disk unknown until one has ended ({why})"
    assert found.as_json() == {"gpu_hours": None, "cpu_hours": None, "disk_bytes": None, "estimated_from": why}


def test_a_trial_that_cannot_be_read_makes_the_estimate_unknown():
    text = format_estimate(estimate(DONE, [OpenTraining(None, None)], RESOURCES), gpus=True)
    assert text == "GPU-hours and disk unknown (the files of a trial cannot be read)"


def test_no_trainings_cost_nothing():
    found = estimate((), (), RESOURCES)
    assert format_estimate(found, gpus=True) == "GPU-hours 0.00, disk 0.0 MB (nothing is left to train)"
