"""Which trainings a sweep still asks for, if each of its points is trained with several seeds."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from unetsweep.config.changes import refused
from unetsweep.contract import DataConfig
from unetsweep.core.missing_points import (
    are_listed,
    describe_wanted,
    missing_points,
    missing_trainings,
    seeds_of,
    trials_wanted,
)
from unetsweep.core.space import Choices, Point, Range, Space
from unetsweep.core.spec import NO_SAMPLER, StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial

SPACE = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-3, 1e-2)))


def sweep(repeats: int = 2, **study: object) -> SweepSpec:
    return SweepSpec("s", DataConfig("images"), SPACE, StudySpec(repeats=repeats, **study))  # type: ignore[arg-type]


def trials(spec: SweepSpec, points: Sequence[Point]) -> list[StoredTrial]:
    """The trials of these trainings, as a reconciliation makes them one after the other."""
    found: list[StoredTrial] = []
    for number, each in enumerate(points):
        (is_listed,) = are_listed(spec, found, [each])
        params = {path: value for path, value in each.items() if path != "seed"}
        seed = int(each.get("seed", spec.study.seed))  # type: ignore[arg-type]
        found.append(StoredTrial(number, number, params=params, training_seed=seed, is_listed=is_listed))
    return found


def missing(spec: SweepSpec, taken: Sequence[Point], count: int = 100) -> list[Point]:
    known = trials(spec, taken)
    return missing_trainings(spec, known, count, lambda points: missing_points(spec, known)[:points])


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


def listed(*points: Point, added: Sequence[Point] = (), **study: object) -> SweepSpec:
    return replace(sweep(**study), points=points, added=tuple(added))  # type: ignore[arg-type]


def point(epochs: int = 4, rate: float = 1e-3) -> Point:
    return {"epochs": epochs, "batch_size": 4, "learning_rate": rate}


def test_missing_repeats_come_before_listed_points_and_these_before_the_grid() -> None:
    spec = listed(point(8, 1e-2), added=[point(16)])
    assert trials_wanted(spec) == 10
    there = [{**point(4, 1e-2), "seed": 0}]
    assert pairs(missing(spec, there))[:7] == [
        (4, 1e-2, 1),
        (8, 1e-2, 0),
        (8, 1e-2, 1),
        (16, 1e-3, 0),
        (16, 1e-3, 1),
        (4, 1e-3, 0),
        (4, 1e-3, 1),
    ]
    assert len(missing(spec, there)) == 9


def test_without_a_sampler_only_listed_points_are_repeated() -> None:
    spec = listed(point(), sampler=NO_SAMPLER, seed=5)
    assert trials_wanted(spec) == 2
    other = {**point(8), "seed": 5}  # of an earlier file
    assert pairs(missing(spec, [other])) == [(4, 1e-3, 5), (4, 1e-3, 6)]
    assert pairs(missing(listed(point(), added=[point(8)], sampler=NO_SAMPLER, seed=5), [other]))[0] == (8, 1e-3, 6)


def test_a_listed_point_that_a_trial_has_is_not_trained_again() -> None:
    spec = listed(point(8), added=[point(8)])
    assert trials_wanted(spec) == 8
    first = missing(spec, [], 1)
    assert pairs(first) == [(8, 1e-3, 0)]
    assert pairs(missing(spec, first))[0] == (8, 1e-3, 1)
    assert len(missing(spec, first)) == 7


def test_all_trainings_of_a_point_that_was_made_for_a_partial_one_have_its_mark() -> None:
    space = replace(SPACE, parameters=(*SPACE.parameters[:2], replace(SPACE.parameters[2], domain=Range(1e-5, 1e-2))))
    spec = replace(listed({"epochs": 8}, {"epochs": 8}, sampler="tpe", trials=3), space=space)
    drawn = [{**point(8, rate), "seed": seed} for rate in (2e-3, 3e-3, 4e-3) for seed in (0, 1)]
    assert are_listed(spec, [], drawn) == [True] * 4 + [False] * 2
    for count in range(6):  # also when it is killed between two trainings
        assert [trial.is_listed for trial in trials(spec, drawn)][count] is (count < 4)
        assert are_listed(spec, trials(spec, drawn[:count]), drawn[count:]) == ([True] * 4 + [False] * 2)[count:]
    assert missing_points(replace(spec, study=StudySpec(NO_SAMPLER, repeats=2)), trials(spec, drawn[:2])) == (
        {"epochs": 8},
    )


def test_raising_the_repeats_repeats_listed_points_and_keeps_those_that_were_listed_twice() -> None:
    before = listed(point(), point(), point(8), sampler=NO_SAMPLER, repeats=1)
    after = listed(point(), point(8), sampler=NO_SAMPLER, repeats=2)
    assert refused(before, after) == ()
    there = [{**point(), "seed": 0}, {**point(), "seed": 1}, {**point(8), "seed": 0}]
    assert pairs(missing(after, there)) == [(8, 1e-3, 1)]
    (reason,) = refused(before, listed(point(8), sampler=NO_SAMPLER, repeats=2))
    assert reason.startswith("points: 3 -> 1 point")


def test_the_repeats_of_a_sweep_with_an_added_seed_cannot_be_raised() -> None:
    before, after = (listed(added=[{**point(), "seed": 9}], repeats=repeats) for repeats in (1, 2))
    assert refused(before, after) == (
        "study.repeats: 1 -> 2; points that `unetsweep add` has added name seeds of their own",
    )
