"""Estimates of what the open trainings will take."""

import pytest

from unetsweep.core.cost import JobResources
from unetsweep.core.estimate import Open, TrainingSample, estimate, line

RESOURCES = JobResources(gpus=2, cpus=3)
DONE = [TrainingSample(4, 2.0, 10.0, 1000), TrainingSample(4, 4.0, 20.0, 3000), TrainingSample(4, 30.0, 15.0, 2000)]
OTHER = TrainingSample(16, 1.0, 0.0, 7000)


def test_each_training_is_estimated_by_the_medians_of_its_batch_size():
    found = estimate([*DONE, OTHER], [Open(4, 100), Open(16, 50)], RESOURCES)
    seconds = 100 * 4 + 15 + 50
    assert found.gpu_hours == pytest.approx(2 * seconds / 3600)
    assert found.cpu_hours == pytest.approx(3 * seconds / 3600)
    assert found.disk_bytes == 2000 + 7000
    assert "3 with batch size 4, 4 s an epoch and 15 s besides" in line(found, gpus=True)


@pytest.mark.parametrize(
    ("trainings", "why"),
    [
        ([Open(4, 1), Open(8, 1)], "no trial with batch size 8 has finished"),
        ([Open(None, 8)], "drawn"),
        ([Open(4, None)], "drawn"),
    ],
)
def test_an_estimate_without_data_is_unknown_and_says_why(trainings: list[Open], why: str):
    text = line(estimate(DONE, trainings, RESOURCES), gpus=True)
    assert text.startswith("GPU-hours unknown, disk unknown (")
    assert why in text


def test_no_trainings_cost_nothing():
    assert estimate((), (), RESOURCES).gpu_hours == 0.0
