"""Estimates of what the open trainings will take."""

import pytest

from unetsweep.core.cost import JobResources
from unetsweep.core.estimate import OpenTraining, TrainingSample, estimate, format_estimate

RESOURCES = JobResources(gpus=2, cpus=3)
DONE = [TrainingSample(4, 2.0, 10.0, 1000), TrainingSample(4, 4.0, 20.0, 3000), TrainingSample(4, 30.0, 15.0, 2000)]
OTHER = TrainingSample(16, 1.0, 0.0, 7000)


def test_each_training_is_estimated_by_the_medians_of_its_batch_size():
    found = estimate([*DONE, OTHER], [OpenTraining(4, 100), OpenTraining(16, 50)], RESOURCES)
    seconds = 100 * 4 + 15 + 50
    assert found.gpu_hours == pytest.approx(2 * seconds / 3600)
    assert found.cpu_hours == pytest.approx(3 * seconds / 3600)
    assert found.disk_bytes == 2000 + 7000
    assert "3 with batch size 4, 4 s per epoch plus 15 s" in format_estimate(found, gpus=True)


@pytest.mark.parametrize(
    ("trainings", "why"),
    [
        ([OpenTraining(4, 1), OpenTraining(8, 1)], "no trial with batch size 8 has finished"),
        ([OpenTraining(None, 8)], "not proposed yet"),
        ([OpenTraining(4, None)], "not proposed yet"),
    ],
)
def test_an_estimate_without_data_is_unknown_and_says_why(trainings: list[OpenTraining], why: str):
    text = format_estimate(estimate(DONE, trainings, RESOURCES), gpus=True)
    assert text.startswith("GPU-hours unknown, disk unknown (")
    assert why in text


def test_no_trainings_cost_nothing():
    assert estimate((), (), RESOURCES).gpu_hours == 0.0
