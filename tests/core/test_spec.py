"""How many points a space has, and in which order a grid lists them."""

import math

import pytest

from unetsweep.contract import DataConfig
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.space import Choices, Domain, Range, Space, grid_points, remaining_grid_points
from unetsweep.core.space_size import size
from unetsweep.core.spec import Resources, StudySpec, SweepSpec
from unetsweep.core.trials import params_of, trial_config

EPOCHS, BATCHES, RATES = Choices((100, 400)), Choices((4, 16)), Choices((1e-4, 5e-5))


def space(epochs: Domain = EPOCHS, batch: Domain = BATCHES, rate: Domain = RATES) -> Space:
    return Space.of(epochs=epochs, batch_size=batch, learning_rate=rate)


def sweep(space_: Space, **more) -> SweepSpec:
    return SweepSpec("s", DataConfig("images"), space_, StudySpec(**more))


def test_a_grid_has_every_point_once_with_epochs_outermost_and_learning_rate_innermost():
    points = [tuple(point.values()) for point in grid_points(space())]
    assert points == [
        (100, 4, 1e-4),
        (100, 4, 5e-5),
        (100, 16, 1e-4),
        (100, 16, 5e-5),
        (400, 4, 1e-4),
        (400, 4, 5e-5),
        (400, 16, 1e-4),
        (400, 16, 5e-5),
    ]


def test_the_values_of_a_config_have_the_types_of_its_fields():
    spec = sweep(space(Choices((100.0,)), Choices((4.0,)), Choices((1,))))
    (point,) = grid_points(spec.space)
    values = params_of(trial_config(spec, point), spec.space)
    assert [type(value) for value in values.values()] == [int, int, float]


def test_a_space_with_a_range_has_no_grid():
    assert grid_points(space(rate=Range(1e-5, 1e-2, log=True))) == ()


SIZES = [
    pytest.param(space(), 8, id="choices multiply"),
    pytest.param(space(rate=Range(1e-5, 1e-2)), math.inf, id="a continuous rate has no end"),
    pytest.param(space(rate=Range(1e-3, 1e-3)), 4, id="a range of one value has one"),
    pytest.param(space(rate=Range(0.1, 0.3, step=0.1)), 12, id="a step counts both ends, rounding or not"),
    pytest.param(space(epochs=Range(10, 12)), 12, id="whole numbers step by one"),
    pytest.param(space(epochs=Range(10, 19, step=5)), 8, id="a step that misses the upper end stops below it"),
]


@pytest.mark.parametrize(("of", "expected"), SIZES)
def test_the_size_of_a_space_is_the_product_of_its_domains(of: Space, expected: float):
    assert size(of) == expected


WANTED = [
    pytest.param(sweep(space()), 8, id="a grid wants all its points"),
    pytest.param(sweep(space(), trials=5), 5, id="a grid with study.trials wants that many"),
    pytest.param(
        sweep(space(), sampler="tpe", trials=99), 8, id="no sampler wants more trials than the space has points"
    ),
    pytest.param(
        sweep(space(rate=Range(1e-5, 1e-2)), sampler="tpe", trials=99), 99, id="a continuous space has no such limit"
    ),
]


@pytest.mark.parametrize(("spec", "expected"), WANTED)
def test_a_sweep_wants_as_many_trials_as_asked_for_and_available(spec: SweepSpec, expected: int):
    assert trials_wanted(spec) == expected


def test_a_trial_config_has_the_settings_of_the_sweep_and_the_values_of_the_point():
    spec = SweepSpec("s", DataConfig("images"), space(), StudySpec(seed=7), slurm=Resources(gpus=2, processes=2))
    config = trial_config(spec, {"epochs": 100.0, "batch_size": 4.0, "learning_rate": 1e-4})
    assert (config.epochs, config.batch_size, config.learning_rate) == (100, 4, 1e-4)
    assert (config.seed, config.processes, config.accelerator) == (7, 2, "gpu")
    assert config.data == spec.data


def test_the_remaining_points_of_a_grid_keep_their_order():
    space = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-4, 1e-3)))
    everything = grid_points(space)
    assert remaining_grid_points(space, []) == everything
    assert remaining_grid_points(space, everything[1:3]) == (everything[0], everything[3])
    assert remaining_grid_points(space, everything) == ()
