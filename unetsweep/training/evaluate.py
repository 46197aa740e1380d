"""One evaluation for validation, horizons, test and prediction: whole images, each counted once.

Rule 1: the table has a row an image. A rank fills the rows of its slice and the sum over the ranks
        completes it, so the scores are the same for any number of ranks and images.
Rule 2: IoU is that of the vessel class over the set, sum TP / sum (TP + FP + FN), at threshold 0.5.
        Where neither truth nor prediction holds a vessel there is nothing to miss: it is 1.
Rule 3: the loss is mean binary cross-entropy a pixel, whatever the training loss is.
"""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetsweep.training.data import image_tensor, scaled

if TYPE_CHECKING:
    from unetsweep.images.read import Images

TP, FP, FN, BCE, PIXELS = range(5)


@dataclass(frozen=True, slots=True)
class Scores:
    """What an evaluation found."""

    names: tuple[str, ...]
    table: np.ndarray[Any, np.dtype[np.float64]]
    """N x 5: true positives, false positives, false negatives, sum of the cross-entropy, pixels."""

    @property
    def iou(self) -> float:
        """Vessel IoU over the whole set."""
        return iou(*self.table.sum(axis=0)[:3].tolist())

    @property
    def loss(self) -> float:
        """Mean binary cross-entropy a pixel over the whole set; may be NaN."""
        total = self.table.sum(axis=0)
        return float(total[BCE] / total[PIXELS])

    def per_image(self) -> tuple[dict[str, Any], ...]:
        """One `{image, tp, fp, fn, iou, loss}` an image."""
        rows: list[dict[str, Any]] = []
        for name, row in zip(self.names, self.table.tolist(), strict=True):
            counts = [int(n) for n in row[:3]]
            entry = dict(zip(("tp", "fp", "fn"), counts, strict=True))
            rows.append({"image": name, **entry, "iou": iou(*counts), "loss": row[BCE] / row[PIXELS]})
        return tuple(rows)


def iou(tp: float, fp: float, fn: float) -> float:
    """Intersection over union of counted pixels.

    >>> iou(2, 1, 1), iou(0, 0, 3), iou(0, 0, 0)
    (0.5, 0.0, 1.0)
    """
    union = tp + fp + fn
    return tp / union if union else 1.0


def evaluate(
    unet: nn.Module, images: "Images", device: torch.device, precision: str = "32", rank: int = 0, size: int = 1
) -> Scores:
    """Score `unet` (one class) on whole images, one by one, in evaluation mode; it is left as it was.

    With `size` > 1 every rank must call it, with the same weights and buffers.
    """
    table = torch.zeros(len(images.images), 5, dtype=torch.float64, device=device)
    with evaluating(unet, device, precision):
        for row in range(rank, len(images.images), size):
            truth = torch.from_numpy(np.ascontiguousarray(images.masks[row])).to(device)
            table[row] = _counts(logits(unet, images.images[row], device), truth)
    if size > 1:
        torch.distributed.all_reduce(table)
    return Scores(images.names, table.cpu().numpy())


@contextlib.contextmanager
def evaluating(unet: nn.Module, device: torch.device, precision: str) -> Any:
    """Evaluation mode, no gradients, the precision of the training; the mode is put back."""
    was = unet.training
    kind = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}.get(precision)
    mixed = torch.autocast(device.type, dtype=kind) if kind is not None else contextlib.nullcontext()
    unet.eval()
    try:
        with torch.no_grad(), mixed:
            yield
    finally:
        unet.train(was)


def logits(unet: nn.Module, image: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    """float32 C x H x W logits of one uint8 H x W x C image; call it within `evaluating`."""
    out: Tensor = unet(scaled(image_tensor(image).to(device))[None])[0]
    return out.float()


def _counts(logit: Tensor, truth: Tensor) -> Tensor:
    """A row of the table, on the device, from 1 x H x W logits and H x W truth of 0 and 1."""
    said, true = logit[0] > 0, truth > 0
    bce = F.binary_cross_entropy_with_logits(logit[0], truth.float(), reduction="none").double().sum()
    counts = [(said & true).sum(), (said & ~true).sum(), (~said & true).sum()]
    return torch.stack([*(n.double() for n in counts), bce, torch.full_like(bce, truth.numel())])
