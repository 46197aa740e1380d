"""Keeps the predicted masks of a few validation images of each milestone, for the pictures of the report.

Rule 1: a report must not load torch, so the training writes what its pictures need.
Rule 2: masks are no result. Nothing that a training computes depends on them, and without room for them it continues.
"""

import contextlib

import torch
from torch import nn

from unetsweep import contract
from unetsweep.datasets.mask_png import encode_mask
from unetsweep.datasets.predicted_masks import MAX_SIDE, PredictedMask, PredictionsFile, chosen, file_name
from unetsweep.datasets.reading import Images
from unetsweep.training.checkpoints import ArtifactWriter
from unetsweep.training.evaluate import THRESHOLD, evaluating, logits


def predict_some(
    unet: nn.Module, images: Images, device: torch.device, precision: str = "32"
) -> tuple[PredictedMask, ...]:
    """Predict the images whose masks are kept, at the size at which they are scored; images that are too large not."""
    with evaluating(unet, device, precision):
        return tuple(
            encode_mask(images.names[at], (logits(unet, images.images[at], device)[0] > THRESHOLD).byte().cpu().numpy())
            for at in chosen(images.names)
            if max(images.images[at].shape[:2]) <= MAX_SIDE
        )


def write_masks(artifacts: ArtifactWriter, epochs: int, weights_sha256: str, masks: tuple[PredictedMask, ...]) -> None:
    """Write the masks of a milestone into the folder of the run, if that is possible."""
    text = contract.dumps({"schema": contract.SCHEMA, **contract.encode(PredictionsFile(weights_sha256, masks))})
    with contextlib.suppress(OSError):  # such as a full disk: writing the result will say so
        artifacts.publish(file_name(epochs), lambda stream: stream.write(text.encode()))
