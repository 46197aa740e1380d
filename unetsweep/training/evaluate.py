"""Scores whole images, each counted once, for validation, milestones, test and prediction.

Rule 1: the table has a row per image. A rank fills the rows of its images, and the sum over the ranks completes the
        table, so the scores are the same for any number of ranks and images.
Rule 2: IoU is that of the vessel class over the set, sum TP / sum (TP + FP + FN), at threshold 0.5.
        datasets.scores has the formulas, and their values for empty masks.
Rule 3: the loss is mean binary cross-entropy per pixel, whatever the training loss is.
Rule 4: masks cut at other thresholds (`data.also_score_at`) are counted in the same pass, in columns of their own.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetsweep.datasets import scores
from unetsweep.datasets.reading import Images
from unetsweep.training.data import image_tensor, scaled
from unetsweep.training.precision import LOW_PRECISION

TP, FP, FN, BCE, PIXELS = range(5)
THRESHOLD = 0.0
"""A pixel is vessel when its logit is above this, that is, its probability above 0.5."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The counts of an evaluation, and the scores computed from them."""

    names: tuple[str, ...]
    table: np.ndarray[Any, np.dtype[np.float64]]
    """N x 5: true positives, false positives, false negatives, sum of the cross-entropy, pixels."""
    also: np.ndarray[Any, np.dtype[np.float64]]
    """N x L x 3: true positives, false positives, false negatives against each of L additional masks per image."""

    @property
    def iou(self) -> float:
        """Vessel IoU over the whole set."""
        return scores.iou(*scores.summed(self.counts))

    @property
    def loss(self) -> float:
        """Mean binary cross-entropy per pixel over the whole set; may be NaN."""
        total = self.table.sum(axis=0)
        return float(total[BCE] / total[PIXELS])

    @property
    def counts(self) -> list[scores.Counts]:
        """(tp, fp, fn) of each image."""
        return _counts_in(self.table)

    @property
    def also_counts(self) -> list[list[scores.Counts]]:
        """The same for each of the additional masks."""
        return [_counts_in(self.also[:, level]) for level in range(self.also.shape[1])]

    def summary(self) -> dict[str, float]:
        """Scores over the set and statistics over its images, as in `Result.val_scores`."""
        return scores.over_set(self.counts) | scores.over_images(self.counts)

    def metrics(self) -> dict[str, float]:
        """What the metric of a config may be (`BUILT_IN_METRICS`), by name."""
        found = self.summary()
        more = {f"val_{name}": found[name] for name in scores.DATA_SET}
        return {"val_iou": self.iou, "val_loss": self.loss, "val_iou_mean": found["image_iou_mean"], **more}

    def per_image(self) -> tuple[dict[str, Any], ...]:
        """One `{image, tp, fp, fn, iou, loss}` per image; a loss that is not finite becomes None."""
        rows: list[dict[str, Any]] = []
        for name, counts, row in zip(self.names, self.counts, self.table.tolist(), strict=True):
            entry = dict(zip(("tp", "fp", "fn"), (int(n) for n in counts), strict=True))
            rows.append({"image": name, **entry, "iou": scores.iou(*counts), "loss": finite(row[BCE] / row[PIXELS])})
        return tuple(rows)


def finite(value: float) -> float | None:
    """Return the value, or None if it is infinite or NaN, which our JSON files cannot hold.

    >>> finite(0.5), finite(float("inf")), finite(float("nan"))
    (0.5, None, None)
    """
    return value if math.isfinite(value) else None


def _counts_in(table: np.ndarray[Any, Any]) -> list[scores.Counts]:
    return [(tp, fp, fn) for tp, fp, fn in table[:, :3].tolist()]


def evaluate(
    unet: nn.Module, images: Images, device: torch.device, precision: str = "32", rank: int = 0, size: int = 1
) -> Scores:
    """Score `unet` (one class) on whole images, one by one, in evaluation mode; its mode is restored afterwards.

    With `size` > 1 every rank must call it, with the same weights and buffers.
    """
    number, others = len(images.images), len(images.also)
    table = torch.zeros(number, 5 + 3 * others, dtype=torch.float64, device=device)
    with evaluating(unet, device, precision):
        for row in rows_of(number, rank, size):
            masks = (images.masks, *images.also)
            truths = [torch.from_numpy(np.ascontiguousarray(of[row])).to(device) for of in masks]
            table[row] += _count(logits(unet, images.images[row], device)[0], truths)
    if size > 1:
        gather(table)
    found = table.cpu().numpy()
    return Scores(images.names, found[:, :5], found[:, 5:].reshape(number, others, 3))


def rows_of(number: int, rank: int, size: int) -> range:
    """The indices of the images that a rank scores; each image belongs to one rank."""
    return range(rank, number, size)


def gather(table: Tensor) -> None:
    """Complete the table with the other ranks' rows. They are 0 here, so the sum is exact."""
    torch.distributed.all_reduce(table)


@contextlib.contextmanager
def evaluating(unet: nn.Module, device: torch.device, precision: str) -> Any:
    """A context with evaluation mode, no gradients and the training's precision; it restores the mode afterwards."""
    was = unet.training
    dtype = LOW_PRECISION.get(precision)
    mixed = torch.autocast(device.type, dtype=dtype) if dtype is not None else contextlib.nullcontext()
    unet.eval()
    try:
        with torch.no_grad(), mixed:
            yield
    finally:
        unet.train(was)


def logits(unet: nn.Module, image: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    """float32 C x H x W logits of one uint8 H x W x C image; call it inside `evaluating`."""
    out: Tensor = unet(scaled(image_tensor(image).to(device))[None])[0]
    return out.float()


def _count(logit: Tensor, truths: Sequence[Tensor]) -> Tensor:
    """Compute a row of the table from H x W logits and H x W truths of 0 and 1, the main one first, on the device."""
    predicted, (main, *others) = logit > THRESHOLD, truths
    bce = F.binary_cross_entropy_with_logits(logit, main.float(), reduction="none").double().sum()
    also = [n for truth in others for n in _confusion(predicted, truth)]
    return torch.stack([*_confusion(predicted, main), bce, torch.full_like(bce, main.numel()), *also])


def _confusion(predicted: Tensor, truth: Tensor) -> list[Tensor]:
    true = truth > 0
    return [n.sum().double() for n in (predicted & true, predicted & ~true, ~predicted & true)]
