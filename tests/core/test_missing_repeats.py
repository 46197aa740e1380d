"""Which trainings a sweep still asks for, if each of its points is trained with several seeds."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from unetsweep.config.changes import refused
from unetsweep.contract import DataConfig
from unetsweep.core.missing_points import describe_wanted, missing_trainings, seeds_of
from unetsweep.core.space import Choices, Point, Space, remaining_grid_points
from unetsweep.core.spec import StudySpec, SweepSpec, trials_wanted

SPACE = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-3, 1e-2)))


def sweep(repeats: int = 2, **study: object) -> SweepSpec:
    return SweepSpec("s", DataConfig("images"), SPACE, StudySpec(repeats=repeats, **study))  # type: ignore[arg-type]


def missing(spec: SweepSpec, taken: Sequence[Point], count: int = 100) -> list[Point]:
    return missing_trainings(spec, taken, count, lambda points: remaining_grid_points(spec.space, taken)[:points])


def pairs(points: Sequence[Point]) -> list[tuple[object, object, object]]:
    return [(point["epochs"], point["learning_rate"], point["seed"]) for point in points]


def test_every_point_of_a_grid_gets_each_seed_and_its_trainings_follow_each_other() -> None:
    assert pairs(missing(sweep(seed=7), [])) == [
        (epochs, rate, seed) for epochs in (4, 8) for rate in (1e-3, 1e-2) for seed in (7, 8)
    ]


def test_without_repeats_points_have_no_seed() -> None:
    assert missing(sweep(1), [])[0] == {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}


def test_missing_repeats_of_points_that_exist_come_before_new_points() -> None:
    first = missing(sweep(3), [], 4)  # killed after the first training of the second point
    assert pairs(missing(sweep(3), first, 3)) == [(4, 1e-2, 1), (4, 1e-2, 2), (8, 1e-3, 0)]


def test_a_repeat_that_is_missing_in_the_middle_is_found() -> None:
    everything = missing(sweep(3), [])
    assert missing(sweep(3), everything[:4] + everything[5:]) == [everything[4]]


def test_raising_the_repeats_adds_trainings_to_all_points() -> None:
    before = [{**point, "seed": 0} for point in missing(sweep(1), [])]  # as the trials' files say
    assert pairs(missing(sweep(2), before)) == [(epochs, rate, 1) for epochs in (4, 8) for rate in (1e-3, 1e-2)]
    assert refused(sweep(1), sweep(2)) == ()
    assert refused(sweep(2), sweep(1)) == ("study.repeats: 2 -> 1",)


def test_the_seed_after_the_largest_is_0() -> None:
    assert seeds_of(StudySpec(seed=2**32 - 1, repeats=2)) == (2**32 - 1, 0)


def test_trials_are_points_times_repeats() -> None:
    assert trials_wanted(sweep(3)) == 12
    assert describe_wanted(sweep(3)) == "4 points, 3 trainings of each: 12 trials"
    assert describe_wanted(sweep(1)) == "4 trials"
    assert trials_wanted(replace(sweep(3), study=StudySpec("random", trials=2, repeats=3))) == 6


@given(st.integers(1, 4), st.lists(st.integers(0, 5), max_size=30), st.randoms(use_true_random=False))
def test_in_whatever_parts_trials_are_added_every_pair_is_added_once(repeats, counts, lost) -> None:
    """Of each part only some trials are written before the reconciliation is killed."""
    spec, taken = sweep(repeats), list[Point]()
    for count in [*counts, *[100] * 2]:
        proposed = missing(spec, taken, count)
        assert len(proposed) <= count
        kept = len(proposed) if count == 100 else lost.randint(0, len(proposed))
        taken += [{"seed": 0, **point} for point in proposed[:kept]]
    assert len(taken) == len(set(pairs(taken))) == 4 * repeats
