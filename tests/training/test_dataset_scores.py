"""The formulas against scikit-learn and torchmetrics, on any masks, empty ones too."""

import metric_checks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unetsweep.datasets import scores

MASKS = st.integers(1, 12).flatmap(lambda size: st.tuples(arrays(bool, size), arrays(bool, size)))


def counts_of(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[scores.Counts]:
    return [metric_checks.confusion(true, predicted) for true, predicted in pairs]


@given(st.lists(MASKS, min_size=1, max_size=4))
def test_scores_of_a_set_equal_those_of_the_references(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    counts = counts_of(pairs)
    found = {"iou": scores.iou(*scores.summed(counts)), **scores.over_set(counts)}
    true, predicted = (np.concatenate(side) for side in zip(*pairs, strict=True))
    assert found == pytest.approx(metric_checks.by_sklearn(true, predicted), abs=1e-12)
    cases = [metric_checks.Case(true, predicted.astype(float)) for true, predicted in pairs]
    assert found == pytest.approx(metric_checks.by_torchmetrics(cases), abs=1e-6)


@given(st.lists(MASKS, min_size=2, max_size=6))
def test_scores_over_images_equal_those_of_the_references(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    each = [metric_checks.by_sklearn(true, predicted)["iou"] for true, predicted in pairs]
    found = scores.over_images(counts_of(pairs))
    assert found == pytest.approx({"image_iou_mean": np.mean(each), "image_iou_sd": np.std(each, ddof=1)}, abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ((0, 0, 0), (1.0, 1.0, 1.0, 1.0)),  # nothing there, nothing found
        ((0, 5, 0), (0.0, 0.0, 0.0, 0.0)),  # nothing there, something found
        ((0, 0, 5), (0.0, 0.0, 0.0, 0.0)),  # something there, nothing found
        ((5, 0, 0), (1.0, 1.0, 1.0, 1.0)),
    ],
)
def test_empty_masks_and_predictions_have_defined_scores(counts: scores.Counts, found: tuple[float, ...]) -> None:
    assert tuple(of(*counts) for of in (scores.iou, scores.dice, scores.precision, scores.sensitivity)) == found


def test_different_levels_have_different_keys() -> None:
    levels = [0.0, 0.1234567, 0.1234568, 127.0, 127.5]
    assert [scores.level_key(level) for level in levels] == ["0", "0.1234567", "0.1234568", "127", "127.5"]
