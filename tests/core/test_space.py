"""Points of a space with conditions and exclusions."""

import pytest

from unetsweep.contract import DataConfig, TrainerConfig
from unetsweep.core.corners import corners
from unetsweep.core.run_sharing import assign_runs, sharing_key
from unetsweep.core.space import Choices, Condition, Parameter, Range, Space, grid_points, remaining_grid_points
from unetsweep.core.space_size import PointCounts, count_points, leaves_nothing, size
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import params_of, trial_config

THREE = Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,))).parameters
OPTIMIZER = Parameter("trainer.optimizer", Choices(("adam", "sgd")))
MOMENTUM = Parameter("trainer.momentum", Choices((0.8, 0.9)), (Condition("trainer.optimizer", ("sgd",)),))
NESTED = Parameter("model.depth", Choices((2, 3)), (Condition("trainer.momentum", (0.9,)),))
SPACE = Space((*THREE, OPTIMIZER, MOMENTUM, NESTED))


def varied(space: Space) -> list[dict[str, object]]:
    """The points of the grid without the three parameters that are the same in all."""
    return [{path: value for path, value in point.items() if "." in path} for point in grid_points(space)]


def test_a_parameter_is_part_of_a_point_only_where_its_conditions_hold() -> None:
    assert varied(SPACE) == [
        {"trainer.optimizer": "adam"},
        {"trainer.optimizer": "sgd", "trainer.momentum": 0.8},
        {"trainer.optimizer": "sgd", "trainer.momentum": 0.9, "model.depth": 2},
        {"trainer.optimizer": "sgd", "trainer.momentum": 0.9, "model.depth": 3},
    ]
    assert count_points(SPACE) == PointCounts(8, 4, 0)
    assert size(SPACE) == 4


def test_the_order_of_the_file_does_not_matter_for_conditions() -> None:
    turned = Space((*THREE, NESTED, MOMENTUM, OPTIMIZER))
    assert {SPACE.key(point) for point in grid_points(turned)} == {SPACE.key(point) for point in grid_points(SPACE)}


def test_a_parameter_that_is_not_used_does_not_make_a_point_another_one() -> None:
    plain = {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3, "trainer.optimizer": "adam"}
    assert SPACE.point_of({**plain, "trainer.momentum": 0.8, "model.depth": 3}) == plain
    assert len(remaining_grid_points(SPACE, [plain])) == 3


def test_conditions_in_a_circle_have_no_order() -> None:
    circle = Parameter("trainer.optimizer", OPTIMIZER.domain, (Condition("trainer.momentum", (0.8,)),))
    with pytest.raises(ValueError, match="circle"):
        Space((circle, MOMENTUM)).by_dependence()


def test_a_config_has_the_setting_of_the_sweep_where_a_parameter_is_absent_and_gives_the_point_back() -> None:
    spec = SweepSpec("s", DataConfig("/d"), SPACE, trainer=TrainerConfig(momentum=0.5))
    configs = [trial_config(spec, point) for point in grid_points(SPACE)]
    assert [config.trainer.momentum for config in configs] == [0.5, 0.8, 0.9, 0.9]
    assert [params_of(config, SPACE) for config in configs] == list(grid_points(SPACE))


def test_points_that_contain_an_excluded_one_are_left_out() -> None:
    space = Space(SPACE.parameters, ((("trainer.momentum", 0.9), ("model.depth", 2)), (("trainer.optimizer", "adam"),)))
    assert varied(space) == [
        {"trainer.optimizer": "sgd", "trainer.momentum": 0.8},
        {"trainer.optimizer": "sgd", "trainer.momentum": 0.9, "model.depth": 3},
    ]
    assert count_points(space) == PointCounts(8, 4, 2)
    assert not leaves_nothing(space)


def test_exclusions_that_leave_nothing_are_found_in_finite_and_infinite_spaces() -> None:
    all_of_it = ((("trainer.optimizer", "adam"),), (("trainer.optimizer", "sgd"),))
    rate = Parameter("learning_rate", Range(1e-5, 1e-2, log=True))
    assert leaves_nothing(Space((OPTIMIZER,), all_of_it))
    assert leaves_nothing(Space((OPTIMIZER, rate), all_of_it))
    assert not leaves_nothing(Space((OPTIMIZER, rate), all_of_it[:1]))


def test_a_space_is_counted_only_if_it_can_be() -> None:
    assert count_points(Space((*THREE, Parameter("model.dropout", Range(0.0, 0.5))))) is None
    assert count_points(Space((*THREE, Parameter("model.base", Range(8, 64, step=8))))) == PointCounts(8, 0, 0)


def test_corners_are_all_points_of_a_small_space_and_the_ends_of_a_large_one() -> None:
    small = SweepSpec("s", DataConfig("/d"), Space((*THREE, OPTIMIZER, MOMENTUM)))
    assert [(c.trainer.optimizer, c.trainer.momentum) for c in corners(small)] == [("adam", 0.9), ("sgd", 0.8)]
    widths = Parameter("model.base", Choices(tuple(range(1, 1001))))
    large = SweepSpec("s", DataConfig("/d"), Space((*THREE, OPTIMIZER, widths)))
    assert [(c.trainer.optimizer, c.model.base) for c in corners(large)] == [
        ("adam", 1000),
        ("adam", 1),
        ("sgd", 1000),
        ("sgd", 1),
    ]


def test_excluded_corners_are_not_checked() -> None:
    widths = Parameter("model.base", Choices((8, 64)))
    spec = SweepSpec("s", DataConfig("/d"), Space((*THREE, OPTIMIZER, widths), ((("model.base", 64),),)))
    assert {config.model.base for config in corners(spec)} == {8}


def test_trials_with_a_schedule_that_depends_on_the_epochs_share_no_run() -> None:
    epochs = Parameter("epochs", Choices((4, 8)))
    schedule = Parameter("trainer.schedule", Choices(("constant", "cosine")))
    spec = SweepSpec("s", DataConfig("/d"), Space((schedule, epochs, *THREE[1:])))
    configs = [trial_config(spec, point) for point in grid_points(spec.space)]
    assert assign_runs([(sharing_key(config), config.epochs) for config in configs], 0, [], None) == [0, 0, 2, 3]
