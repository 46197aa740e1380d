"""Leaks of a split are counted exactly."""

import numpy as np
import pytest

from unetsweep.datasets.duplicates import Duplicates, connect
from unetsweep.datasets.leaks import Leak, expected_leak, find_leak


def duplicates_of(*groups: str) -> Duplicates:
    """Groups such as `train/1 train/2 test/1`."""
    return Duplicates(tuple(tuple(sorted(group.split())) for group in groups), (), ())


def test_each_leaking_image_is_listed_with_its_duplicate_in_training() -> None:
    duplicates = duplicates_of("train/1 train/2 train/3", "train/4", "train/5 test/4", "test/1 train/3x")
    leak = find_leak(duplicates, training=["1", "4", "3x"], validation=["2", "3", "5"], test=["1", "2", "4"])
    assert leak.val == (("2", "1"), ("3", "1"))
    assert leak.test == (("1", "3x"), ("4", "5"))
    assert (leak.val_images, leak.test_images, bool(leak)) == (3, 3, True)
    assert leak.messages() == {
        "val": "2 of 3 validation images have a duplicate in training (for example 2 duplicates 1)",
        "test": "2 of 3 test images have a duplicate in training or validation (for example 1 duplicates 3x)",
    }


def test_images_with_the_same_name_in_both_parts_are_not_duplicates() -> None:
    leak = find_leak(duplicates_of("train/01", "train/02", "test/01"), ["01"], ["02"], ["01"])
    assert leak == Leak((), 1, (), 1)
    assert not leak
    assert leak.messages() == {}


def test_duplicates_within_validation_do_not_leak() -> None:
    assert not find_leak(duplicates_of("train/1 train/2", "train/3"), ["3"], ["1", "2"], [])


def test_the_leak_of_the_100_image_set_is_as_computed_by_hand() -> None:
    assert expected_leak([4] * 20, 0.25) == pytest.approx(1 - 19 * 18 * 17 / (79 * 78 * 77), abs=1e-12)


@pytest.mark.parametrize(("groups", "val"), [([4] * 5, 0.25), ([1, 2, 3, 7], 0.4), ([2, 2], 0.01), ([3, 3], 0.99)])
def test_the_expected_leak_is_that_of_random_splits(groups: list[int], val: float) -> None:
    eye = np.repeat(np.arange(len(groups)), groups)
    drawn = min(max(round(val * len(eye)), 1), len(eye) - 1)
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(4000):
        order = rng.permutation(len(eye))
        shares.append(np.isin(eye[order[:drawn]], eye[order[drawn:]]).mean())
    assert expected_leak(groups, val) == pytest.approx(np.mean(shares), abs=0.02)


def test_nothing_leaks_if_every_eye_has_one_image() -> None:
    assert expected_leak([1] * 9, 0.25) == 0
    assert expected_leak([], 0.25) == expected_leak([1], 0.25) == 0


def test_links_connect_transitively() -> None:
    assert connect(["a", "b", "c", "d"], [("d", "c"), ("c", "a")]) == (("a", "c", "d"), ("b",))
