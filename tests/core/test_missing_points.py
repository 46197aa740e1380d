"""Which trainings are missing: listed points first, each training once, whatever was killed in between."""

from dataclasses import replace
from typing import Any

from unetsweep.contract import DataConfig
from unetsweep.core.missing_points import are_listed, missing_listed, missing_points, trials_wanted
from unetsweep.core.space import Choices, Point, Range, Space
from unetsweep.core.spec import NO_SAMPLER, StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial

GRID = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-3, 1e-2)))
ANY = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Range(1e-5, 1e-2, log=True))


def point(epochs: int = 4, rate: float = 1e-3, **more: Any) -> dict[str, Any]:
    return {"epochs": epochs, "batch_size": 4, "learning_rate": rate, **more}


def sweep(points: list[dict[str, Any]], space: Space = GRID, added: tuple[Point, ...] = (), **study: Any) -> SweepSpec:
    return SweepSpec("s", DataConfig("images"), space, StudySpec(**study), points=tuple(points), added=added)


def alone(points: list[dict[str, Any]], **study: Any) -> SweepSpec:
    return sweep(points, sampler=NO_SAMPLER, **study)


def trials(spec: SweepSpec, *points: Point) -> list[StoredTrial]:
    """The trials of these points, as a reconciliation makes them one after the other."""
    found: list[StoredTrial] = []
    for number, each in enumerate(points):
        (is_listed,) = are_listed(spec, found, [each])
        params = {path: value for path, value in each.items() if path != "seed"}
        seed: Any = each.get("seed", spec.study.seed)
        found.append(StoredTrial(number, number, params=params, training_seed=seed, is_listed=is_listed))
    return found


def seeds(points: tuple[Point, ...]) -> list[object]:
    return [each["seed"] for each in points]


def test_a_point_that_is_listed_several_times_is_trained_with_seeds_of_its_own() -> None:
    spec = alone([point(), point(8), point(), point(seed=4), point()], seed=3)
    assert trials_wanted(spec) == 5
    assert seeds(missing_points(spec, [])) == [3, 3, 5, 4, 6]
    last = alone([point(), point()], seed=2**32 - 1)
    assert seeds(missing_points(last, [])) == [2**32 - 1, 0]


def test_no_kill_between_two_trials_loses_or_repeats_a_training() -> None:
    spec = alone([point(), point(8), point(), point(seed=9)])
    every = missing_points(spec, [])
    for count in range(len(every) + 1):
        assert missing_points(spec, trials(spec, *every[:count])) == every[count:]


def test_the_points_of_a_file_come_before_those_of_the_grid() -> None:
    spec = sweep([point(8, 1e-2), {"epochs": 8}, point(4, 1e-2)])
    assert trials_wanted(spec) == 4
    assert [(each["epochs"], each["learning_rate"]) for each in missing_points(spec, [])] == [
        (8, 1e-2),
        (8, 1e-3),
        (4, 1e-2),
        (4, 1e-3),
    ]


def test_a_point_of_a_grid_with_another_seed_is_another_training() -> None:
    spec = sweep([point(8, 1e-2, seed=7)])
    assert trials_wanted(spec) == 5
    first, *others = missing_points(spec, [])
    assert first == point(8, 1e-2, seed=7)
    assert len(others) == 4
    assert point(8, 1e-2) in others
    for count in range(5):
        made = trials(spec, first, *others[:count])
        assert missing_points(spec, made) == tuple(others[count:])


def test_a_partial_point_asks_for_one_trial_that_was_made_for_it() -> None:
    spec = sweep([{"epochs": 8, "batch_size": 4}], ANY, sampler="tpe", trials=3)
    assert trials_wanted(spec) == 3
    by_chance = trials(replace(spec, points=()), point(8, 2e-3))
    assert missing_listed(spec, by_chance) == spec.points
    made = trials(spec, point(8, 2e-3))
    assert made[0].is_listed
    assert missing_listed(spec, made) == ()


def test_a_partial_point_that_names_more_is_met_first() -> None:
    spec = sweep([{"batch_size": 4}, {"epochs": 8, "batch_size": 4}], ANY, sampler="tpe", trials=9)
    made = trials(replace(spec, points=spec.points[1:]), point(8, 2e-3))
    assert missing_listed(spec, made) == spec.points[:1]
    assert missing_listed(spec, trials(spec, point(8, 2e-3), point(8, 3e-3))) == ()


def test_added_points_come_on_top_of_what_the_file_asks_for() -> None:
    outside: Point = point(16, 0.5)
    spec = sweep([point(8)], ANY, (outside, {"epochs": 8, "batch_size": 4}), sampler="tpe", trials=3)
    assert trials_wanted(spec) == 5
    assert missing_listed(spec, []) == (point(8, seed=0), point(16, 0.5, seed=0), {"epochs": 8, "batch_size": 4})
    grid = sweep([], added=(outside, point(8), point(8, seed=5)))
    assert trials_wanted(grid) == 6, "the second one is a point of the grid"
    assert trials_wanted(sweep([], sampler="tpe", trials=9, added=(outside,))) == 5, "the space has four points"


def test_an_added_point_that_the_file_lists_later_is_trained_once() -> None:
    spec = replace(alone([point(), point(8)]), added=(point(8), point(4)))
    assert trials_wanted(spec) == len(missing_points(spec, [])) == 2
