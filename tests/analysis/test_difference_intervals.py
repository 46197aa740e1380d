"""The interval of a leader's difference to the best belongs to the test that compares them."""

import numpy as np
import pytest
from drawn_sweeps import groups, handmade

from unetsweep.analysis.significance import ALPHA, Repeats, contenders, difference_intervals


@pytest.mark.parametrize("minimize", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_zero_is_outside_of_the_interval_of_two_configs_exactly_if_they_differ(seed: int, minimize: bool) -> None:
    sweep = handmade(np.random.default_rng(seed), 2, 4, 6, by_eye=0.02, by_seed=0.01)
    _, other = contenders(sweep, minimize=minimize)
    low, high = difference_intervals(sweep, minimize=minimize)[other.key]
    assert other.p is not None
    assert other.behind is not None
    assert (low > 0 or high < 0) == (other.p < ALPHA)
    assert (low + high) / 2 == pytest.approx(other.behind)


def test_some_of_these_pairs_differ_and_others_do_not() -> None:
    drawn = [handmade(np.random.default_rng(seed), 2, 4, 6, by_eye=0.02, by_seed=0.01) for seed in range(20)]
    pairs = [contenders(each)[1].p for each in drawn]
    assert 0 < sum(p is not None and p < ALPHA for p in pairs) < len(pairs)


def test_images_of_one_eye_count_as_one() -> None:
    sweep = handmade(np.random.default_rng(0), 2, 4, 5, duplicates=4, by_eye=0.02)
    (alone,) = difference_intervals(sweep).values()
    (grouped,) = difference_intervals(sweep, groups=groups(5, 4)).values()
    assert grouped[1] - grouped[0] > alone[1] - alone[0]


def test_a_config_that_cannot_be_tested_has_no_interval() -> None:
    runs = {"seeds": (1,), "val": (0.5,), "test": (None,), "per_image": ({"a": 0.5, "b": 0.6},)}
    one, other = Repeats(0, **runs), Repeats(1, **runs)
    empty = Repeats(2, (), (), (), ())
    assert difference_intervals([one, other, empty]) == {}
    assert difference_intervals([]) == {}


def test_the_same_difference_everywhere_has_an_interval_of_one_point() -> None:
    images = [dict.fromkeys("abc", 0.5), dict.fromkeys("abc", 0.25)]
    sweep = [
        Repeats(number, (1, 2, 3), (score,) * 3, (None,) * 3, (per_image,) * 3)
        for number, score, per_image in ((0, 0.5, images[0]), (1, 0.25, images[1]))
    ]
    assert difference_intervals(sweep) == {1: (0.25, 0.25)}
