"""The training step, its loss, optimizer and learning rate.

Rule 1: nothing is read back from the device within an epoch.
Rule 2: the learning rate is a function of the epoch, so a resumed run has no scheduler state to restore.
"""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from unetsweep.contract import TrialConfig
from unetsweep.training.data import Batch, scaled
from unetsweep.training.unet import UNet


class Segmentation(pl.LightningModule):
    """The U-Net as a LightningModule."""

    def __init__(self, config: TrialConfig, images: int) -> None:
        super().__init__()
        self.config = config
        self.images = images
        """Number of training images, by which the epoch's loss is divided."""
        self.unet = UNet(config.model)
        self._loss_sum: Tensor | None = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of this rank's losses (see data.share)."""
        counts = batch.weights > 0
        losses = sample_losses(self.unet(scaled(batch.images), counts.sum()), batch.masks, self.config.trainer.loss)
        loss = (losses * batch.weights).sum()
        if self._loss_sum is None:
            self._loss_sum = torch.zeros((), dtype=torch.float64, device=loss.device)
        self._loss_sum += (losses.detach() * counts).sum()
        return loss

    def epoch_loss(self) -> float:
        """Mean training loss of the epoch, measured during its steps. Every rank calls it, once an epoch."""
        total, self._loss_sum = self._loss_sum, None
        if total is None:
            return math.nan
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        return float(total) / self.images

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trainer, rate = self.config.trainer, self.config.learning_rate
        decay = trainer.weight_decay
        match trainer.optimizer:
            case "adam":
                return torch.optim.Adam(self.parameters(), lr=rate, weight_decay=decay)
            case "adamw":
                return torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=decay)
            case "sgd":
                return torch.optim.SGD(self.parameters(), lr=rate, weight_decay=decay, momentum=trainer.momentum)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Batch:
        return Batch(*(part.to(device, non_blocking=True) for part in batch))


def learning_rate(config: TrialConfig, epoch: int) -> float:
    """The learning rate of an epoch (from 1). `cosine` falls along half a wave, to zero after the last epoch."""
    if config.trainer.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / config.epochs)) / 2


def sample_losses(logits: Tensor, masks: Tensor, kind: str) -> Tensor:
    """The loss of each sample (float32, N) from N x C x H x W logits and N x H x W class numbers.

    One class: mean binary cross-entropy per pixel, with `bce_dice` plus 1 - soft Dice (Milletari et al. 2016,
    without the squares, with 1 added to numerator and denominator). C classes: cross-entropy, computed as a product
    with the one-hot truth, which is deterministic on a GPU.
    """
    logits = logits.float()
    if logits.shape[1] > 1:
        truth = F.one_hot(masks.long(), logits.shape[1]).movedim(-1, 1)
        return -(F.log_softmax(logits, dim=1) * truth).sum(1).mean((1, 2))
    logit, truth = logits[:, 0], masks.float()
    losses = F.binary_cross_entropy_with_logits(logit, truth, reduction="none").mean((1, 2))
    if kind == "bce_dice":
        predicted = torch.sigmoid(logit)
        intersection, total = (predicted * truth).sum((1, 2)), (predicted + truth).sum((1, 2))
        losses = losses + 1 - (2 * intersection + 1) / (total + 1)
    return losses
