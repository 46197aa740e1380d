"""The metric checks can fail: common mistakes of metric code are planted here, and the checks catch each of them.

The mistakes are planted in real processes that communicate over gloo. The checks are those of `test_evaluate.py`.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import metric_checks
import numpy as np
import pytest
import torch
import training_scenes
from metric_checks import check_counts, check_data_set, check_images, check_other_masks
from torch import distributed

from unetsweep.datasets import reading, scores
from unetsweep.training import evaluate
from unetsweep.training.evaluate import FN, FP, PIXELS, TP, Scores

pytestmark = pytest.mark.train

SIZE, UNEVEN, EVEN = 3, 5, 6


@contextlib.contextmanager
def padded_duplicates() -> Iterator[None]:
    """Every rank gets equally many images, and repeated ones count twice, as with DistributedSampler."""

    def rows(number: int, rank: int, size: int) -> list[int]:
        padded = [*range(number), *range(-number % size)]
        return padded[rank::size]

    with mock.patch.object(evaluate, "rows_of", rows):
        yield


@contextlib.contextmanager
def mean_of_the_ranks() -> Iterator[None]:
    """The IoU is the mean over the ranks, as with `sync_dist=True` of a logged metric."""
    whole = evaluate.gather

    def gather(table: torch.Tensor) -> None:
        own = torch.tensor(scores.iou(*table.sum(0)[:3].tolist()), dtype=torch.float64)
        distributed.all_reduce(own)
        whole(table)
        mean.append(float(own) / distributed.get_world_size())

    mean: list[float] = []
    with (
        mock.patch.object(evaluate, "gather", gather),
        mock.patch.object(Scores, "iou", property(lambda self: mean[-1])),
    ):
        yield


@contextlib.contextmanager
def background_counted() -> Iterator[None]:
    """The IoU is the mean of two classes, the default of many libraries."""

    def iou(self: Scores) -> float:
        tp, fp, fn = scores.summed(self.counts)
        tn = float(self.table[:, PIXELS].sum()) - tp - fp - fn
        return (scores.iou(tp, fp, fn) + scores.iou(tn, fp, fn)) / 2

    with mock.patch.object(Scores, "iou", property(iou)):
        yield


@contextlib.contextmanager
def half_as_a_logit() -> Iterator[None]:
    """The threshold 0.5 is applied to logits instead of probabilities."""
    with mock.patch.object(evaluate, "THRESHOLD", 0.5):
        yield


@contextlib.contextmanager
def rows_not_gathered() -> Iterator[None]:
    """The sums come from all ranks, but the table of images from this rank only."""
    whole, honest = evaluate.gather, Scores.per_image

    def gather(table: torch.Tensor) -> None:
        own.append(table[:, [TP, FP, FN]].numpy().copy())
        whole(table)

    def per_image(self: Scores) -> Any:
        table = self.table.copy()
        table[:, [TP, FP, FN]] = own[-1]
        return honest(Scores(self.names, table, self.also))

    own: list[np.ndarray] = []
    with mock.patch.object(evaluate, "gather", gather), mock.patch.object(Scores, "per_image", per_image):
        yield


@contextlib.contextmanager
def mean_over_images() -> Iterator[None]:
    """The IoU of the set is the mean of the IoU of its images."""
    mean = property(lambda self: self.summary()["image_iou_mean"])
    with mock.patch.object(Scores, "iou", mean):
        yield


@contextlib.contextmanager
def any_grey_is_vessel() -> Iterator[None]:
    """The main score uses `mask > 0`."""
    honest = reading.binary

    def binary(grey: Any, image_size: int | None, mask_threshold: str | float) -> Any:
        return honest(grey, image_size, 0.0 if mask_threshold == "half" else mask_threshold)

    with mock.patch.object(reading, "binary", binary):
        yield


@contextlib.contextmanager
def other_masks_are_the_main_one() -> Iterator[None]:
    """The scores under other thresholds use the usual masks."""
    honest = reading.binary
    with mock.patch.object(reading, "binary", lambda grey, size, cut: honest(grey, size, "half")):
        yield


PLANTS: dict[str, tuple[Callable[[], Any], tuple[Callable[..., None], ...]]] = {
    "padded duplicates": (padded_duplicates, (check_counts, check_data_set, check_images)),
    "mean of the ranks": (mean_of_the_ranks, (check_data_set,)),
    "background": (background_counted, (check_data_set,)),
    "0.5 on logits": (half_as_a_logit, (check_counts, check_data_set, check_images, check_other_masks)),
    "rows not gathered": (rows_not_gathered, (check_images,)),
    "mean over images": (mean_over_images, (check_data_set,)),
    "mask > 0": (any_grey_is_vessel, (check_counts, check_data_set, check_images)),
    "other masks are the main one": (other_masks_are_the_main_one, (check_other_masks,)),
}
"""Each mistake, and the checks that must catch it."""


@pytest.fixture(scope="module")
def scores_by_mistake(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, int], Any]]:
    """The data set, and the ranks' scores with each mistake, by (mistake, number of images)."""
    out = tmp_path_factory.mktemp("planted")
    root = metric_checks.write_set(out / "set")
    plants = {"none": contextlib.nullcontext, **{name: plant for name, (plant, _) in PLANTS.items()}}
    counts = {name: [UNEVEN, EVEN] for name in plants}
    assert training_scenes.run(metric_checks.scene, out, root, counts, plants, size=SIZE) == [0] * SIZE
    return root, metric_checks.read_scores(out, 0)


@pytest.mark.parametrize("check", metric_checks.CHECKS)
def test_without_a_mistake_every_check_passes(check: Any, scores_by_mistake: Any) -> None:
    root, found = scores_by_mistake
    for number in (UNEVEN, EVEN):
        check(found["none", number], root)


@pytest.mark.parametrize(
    ("plant", "check"), [(name, check) for name, (_, checks) in PLANTS.items() for check in checks]
)
def test_every_mistake_is_caught_by_its_checks(plant: str, check: Any, scores_by_mistake: Any) -> None:
    root, found = scores_by_mistake
    with pytest.raises(AssertionError):
        check(found[plant, UNEVEN], root)


@pytest.mark.parametrize("plant", list(PLANTS))
def test_every_mistake_changes_the_scores(plant: str, scores_by_mistake: Any) -> None:
    _, found = scores_by_mistake
    assert found[plant, UNEVEN] != found["none", UNEVEN]


def test_padded_duplicates_change_nothing_if_the_ranks_divide_the_number_of_images(scores_by_mistake: Any) -> None:
    _, found = scores_by_mistake
    assert found["padded duplicates", EVEN] == found["none", EVEN]
