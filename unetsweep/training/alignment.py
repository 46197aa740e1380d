"""Keeps image and mask aligned in transforms of albumentations that by default move one against the other.

Rule 1: a mask is resampled as the image is, to less than 0.1 pixel. OpenCV's nearest neighbour, the default of
        albumentations, shifts a resized mask by half a pixel; its exact nearest neighbour by a quarter if the factor is
        2, because two source pixels are equally near and it always takes the same one.
Rule 2: masks keep the share of their vessels: linear interpolation and a threshold make thin vessels thinner.
Rule 3: what a user sets (`mask_interpolation` and the other arguments) is used as it is.

tests/training/test_alignment.py measures the shift of every transform.
"""

import functools
import inspect
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

TIE = 0.005
"""Two source pixels are equally near if the middle between them is at most this many pixels away."""
_BAYER = np.array([[1, 5], [7, 3]]) / 8
"""Thresholds of neighbouring pixels: a level of one half is above every second one, as on a chessboard."""
REFUSED = {
    "GlassBlur": "it moves the image by about half a pixel, and not its mask; use GaussianBlur or Defocus",
    "ZoomBlur": "it enlarges the image by about 5%, and not its mask; use GaussianBlur or Defocus",
    "Lambda": "it needs Python functions, which a sweep cannot give it, and does nothing without them; remove it",
}
"""Transforms that move the image alone, which no argument prevents, or that do nothing."""


@functools.lru_cache(maxsize=8)
def _positions(height: int, width: int) -> np.ndarray[Any, Any]:
    """Row and column of each pixel, height x width x 2: after linear interpolation, where a pixel comes from."""
    return np.ascontiguousarray(np.moveaxis(np.indices((height, width), np.float32), 0, -1))


def refusal(cls: Any, arguments: Mapping[str, Any]) -> str | None:
    """Return why this transform cannot be used with an image and its mask; None if nothing is known against it."""
    if cls.__name__ == "PixelDropout" and arguments.get("mask_drop_value") is not None:
        return "mask_drop_value would drop other pixels of the mask than of the image; remove this argument"
    return REFUSED.get(cls.__name__)


def aligned_arguments(cls: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a transform, with those that keep image and mask aligned where the user sets none."""
    import cv2  # a configuration without a list of transforms is checked without it

    centred: dict[str, dict[str, Any]] = {
        "Downscale": {"interpolation_pair": {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_NEAREST}},
        "MotionBlur": {"allow_shifted": False, "direction_range": (0, 0)},
    }
    extra = centred.get(cls.__name__, {})
    if "mask_interpolation" in inspect.signature(cls.__init__).parameters:
        allowed = get_args(cls.InitSchema.model_fields["mask_interpolation"].annotation)
        nearest = (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT)
        exact = cv2.INTER_NEAREST_EXACT if cv2.INTER_NEAREST_EXACT in allowed else cv2.INTER_NEAREST
        images = arguments.get("interpolation")
        extra = {"mask_interpolation": images if images in nearest else exact}
    return {**extra, **arguments}


def settle_ties(step: Any, arguments: Mapping[str, Any]) -> None:
    """Let a transform that resamples masks of 0 and 1 treat source pixels that are equally near alike.

    Such a pixel of the result is vessel as often as the source pixels are, by ordered dithering (Bayer 1973). A
    transform for which the user has chosen a nearest neighbour or `mask_interpolation` stays as it is.
    """
    import cv2

    nearest_of_both = arguments.get("interpolation") in (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT)
    if not hasattr(step, "mask_interpolation") or "mask_interpolation" in arguments or nearest_of_both:
        return
    resample, nearest = step.apply_to_mask, step.mask_interpolation

    def apply_to_mask(mask: np.ndarray[Any, Any], **params: Any) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = resample(mask, **params).copy()
        step.mask_interpolation = cv2.INTER_LINEAR
        try:
            level = resample(mask.astype(np.float32), **params)
            sources = resample(_positions(*mask.shape), **params)
        finally:
            step.mask_interpolation = nearest
        rows, columns = np.nonzero((level > 0) & (level < 1))
        tie = (np.abs(sources[rows, columns] % 1 - 0.5) <= TIE).any(axis=1)
        rows, columns = rows[tie], columns[tie]
        found[rows, columns] = level[rows, columns] > _BAYER[rows % 2, columns % 2]
        return found

    step.apply_to_mask = apply_to_mask
    step.add_targets({"mask": "mask"})  # the transform has stored the function before
