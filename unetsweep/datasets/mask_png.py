"""Masks as PNGs of one bit a pixel, as the records of `predicted_masks` have them."""

import base64

import cv2
import numpy as np

from unetsweep.datasets.decoding import Pixels
from unetsweep.datasets.predicted_masks import MAX_SIDE, PredictedMask, png_of
from unetsweep.errors import StateError


def encode_mask(image: str, mask: Pixels) -> PredictedMask:
    """Return a mask (height x width, 0 and 1) as a record. ValueError if it is larger than `MAX_SIDE`."""
    height, width = mask.shape
    if max(height, width) > MAX_SIDE:
        raise ValueError(f"found {width}x{height} pixels; at most {MAX_SIDE} a side are kept")
    _, content = cv2.imencode(".png", mask * np.uint8(255), [cv2.IMWRITE_PNG_BILEVEL, 1])
    return PredictedMask(image, width, height, base64.b64encode(content.tobytes()).decode())


def decode_mask(mask: PredictedMask, source: str) -> Pixels:
    """Return a mask, height x width, of 0 and 1; StateError, which names `source`, if it is damaged."""
    content = png_of(mask, source)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None or pixels.shape != (mask.height, mask.width):
        raise StateError(f"{source}: the mask of {mask.image!r} is not a complete PNG")
    return np.asarray(pixels > 0, np.uint8)
