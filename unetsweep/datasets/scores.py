"""Segmentation scores, from pixel counts of the vessel class.

Rule 1: standard library only, so that training and report share one definition of each score.
Rule 2: every score is a number from 0 to 1. Without vessels in mask and prediction all scores are 1; otherwise a score
        with denominator 0 is 0.

The score of a dataset is that of its summed counts; `over_images` describes how the images differ.
"""

import statistics
from collections.abc import Mapping, Sequence

DATA_SET = ("dice", "precision", "sensitivity")
"""Scores of the summed counts, besides the IoU."""
OVER_IMAGES = ("image_iou_mean", "image_iou_sd")

Counts = tuple[float, float, float]
"""True positives, false positives, false negatives, in pixels."""


def iou(tp: float, fp: float, fn: float) -> float:
    """Intersection over union, the Jaccard index: TP / (TP + FP + FN).

    >>> iou(2, 1, 1), iou(0, 0, 3), iou(0, 0, 0)
    (0.5, 0.0, 1.0)
    """
    union = tp + fp + fn
    return tp / union if union else 1.0


def dice(tp: float, fp: float, fn: float) -> float:
    """Dice coefficient, the F1 score: 2 TP / (2 TP + FP + FN).

    >>> dice(2, 1, 3), dice(0, 0, 3), dice(0, 0, 0)
    (0.5, 0.0, 1.0)
    """
    both = 2 * tp + fp + fn
    return 2 * tp / both if both else 1.0


def precision(tp: float, fp: float, fn: float) -> float:
    """Share of the predicted vessel pixels that are vessel: TP / (TP + FP).

    >>> precision(3, 1, 9), precision(0, 0, 3), precision(0, 0, 0)
    (0.75, 0.0, 1.0)
    """
    predicted = tp + fp
    return tp / predicted if predicted else float(not fn)


def sensitivity(tp: float, fp: float, fn: float) -> float:
    """Share of the vessel pixels that were predicted, the recall: TP / (TP + FN).

    >>> sensitivity(3, 9, 1), sensitivity(0, 3, 0), sensitivity(0, 0, 0)
    (0.75, 0.0, 1.0)
    """
    true = tp + fn
    return tp / true if true else float(not fp)


def over_set(counts: Sequence[Counts]) -> dict[str, float]:
    """Return the scores `DATA_SET`, from the counts of each image."""
    total = summed(counts)
    return {"dice": dice(*total), "precision": precision(*total), "sensitivity": sensitivity(*total)}


def over_images(counts: Sequence[Counts]) -> dict[str, float]:
    """Return `OVER_IMAGES`: mean and sample standard deviation (N - 1) of the images' IoU.

    The standard deviation of one image is left out.

    >>> over_images([(1, 1, 0), (0, 0, 0)]) == {"image_iou_mean": 0.75, "image_iou_sd": 0.125**0.5}
    True
    >>> over_images([(1, 1, 0)])
    {'image_iou_mean': 0.5}
    """
    each = [iou(*image) for image in counts]
    found = {"image_iou_mean": statistics.fmean(each)}
    if len(each) > 1:
        found["image_iou_sd"] = statistics.stdev(each)
    return found


def summed(counts: Sequence[Counts]) -> Counts:
    """Return the sums of the counts of all images."""
    tp, fp, fn = (sum(column) for column in zip(*counts, strict=True))
    return tp, fp, fn


def level_key(level: float) -> str:
    """Return a mask threshold as text, for keys of `Result.also_scored` and column names.

    >>> level_key(0), level_key(0.0), level_key(127.5)
    ('0', '0', '127.5')
    """
    return repr(float(level)).removesuffix(".0")


def under_other_masks(
    levels: Sequence[float], val: Sequence[Sequence[Counts]], test: Sequence[Sequence[Counts]]
) -> Mapping[str, Mapping[str, float]]:
    """Return `Result.also_scored`: IoU and Dice of each part at each mask threshold.

    `val` and `test` are the images' counts by level; a part that was not scored is empty and has no keys.

    >>> under_other_masks([0.0], [[(1, 1, 0)]], [])
    {'0': {'val_iou': 0.5, 'val_dice': 0.6666666666666666}}
    """
    found: dict[str, dict[str, float]] = {level_key(level): {} for level in levels}
    for part, by_level in (("val", val), ("test", test)):
        for level, counts in zip(levels, by_level, strict=False):
            total = summed(counts)
            found[level_key(level)] |= {f"{part}_iou": iou(*total), f"{part}_dice": dice(*total)}
    return found
