"""Read image files: images as uint8, masks as 0 and 1 by a threshold.

Rule 1: a mask is never thresholded at `> 0` by default. `half` means above half of the mask's own range, so {0, 1},
        {0, 255}, 1-bit and grey-edged masks all mean the same; a number is a grey level from 0 to 255. Named levels
        (`mask_values`) are vessel, and all others are not.
Rule 2: image and mask are resized alike, the mask as grey levels, which are thresholded afterwards.
Rule 3: a mask of a single value has no range: it is all vessel from the middle grey level up, else empty.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.contract import DataConfig
from unetsweep.datasets.decoding import Pixels as Pixels
from unetsweep.datasets.decoding import decode_image, decode_mask
from unetsweep.datasets.layout import Pair
from unetsweep.errors import DataError, Problem

Cut = str | float | tuple[int, ...]
"""Which pixels of a mask are vessel: those above `half` or a grey level, or those with one of these levels."""


@dataclass(frozen=True, slots=True)
class Images:
    """Decoded pairs of one part."""

    names: tuple[str, ...]
    images: tuple[Pixels, ...]
    """Height x width x channels, 0 to 255, in RGB order."""
    masks: tuple[Pixels, ...]
    """Height x width, 1 for vessel, else 0."""
    also: tuple[tuple[Pixels, ...], ...] = ()
    """The same masks at other thresholds: one tuple a threshold. Only scored, never trained on."""


def read_pairs(
    pairs: Sequence[Pair],
    image_size: int | None,
    mask_threshold: Cut,
    channels: int = 3,
    also: Sequence[float] = (),
) -> Images:
    """Read all pairs, the masks also at the thresholds `also`; raises DataError with every file that is unusable."""
    images: list[Pixels] = []
    masks: list[list[Pixels]] = [[] for _ in (mask_threshold, *also)]
    problems: list[Problem] = []
    for pair in pairs:
        try:
            image, mask = _decoded_pair(pair, channels)
        except DataError as error:
            problems += [Problem(p.text(error.source)) for p in error.problems]
        else:
            images.append(_image(image, image_size))
            for at, cut in zip(masks, (mask_threshold, *also), strict=True):
                at.append(binary(mask, image_size, cut))
    if problems:
        raise DataError(str(pairs[0].image.parent.parent.parent), problems)
    main, *others = (tuple(at) for at in masks)
    return Images(tuple(pair.name for pair in pairs), tuple(images), main, tuple(others))


def read_pair(pair: Pair, image_size: int | None, mask_threshold: Cut, channels: int = 3) -> tuple[Pixels, Pixels]:
    """Read an image and its mask; raises DataError if a file is unusable or their sizes differ."""
    image, mask = _decoded_pair(pair, channels)
    return _image(image, image_size), binary(mask, image_size, mask_threshold)


def cut_of(data: DataConfig) -> Cut:
    """Return which pixels of a mask are vessel, by `mask_values` or `mask_threshold`."""
    return data.mask_values or data.mask_threshold


def _decoded_pair(pair: Pair, channels: int) -> tuple[Pixels, NDArray[Any]]:
    """Decode an image and its mask; raises DataError if a file is unusable or their sizes differ."""
    problems: list[Problem] = []
    image = mask = None
    try:
        image = decode_image(pair.image, channels).pixels
    except DataError as error:
        problems += [Problem(p.message, pair.image.name) for p in error.problems]
    try:
        mask = decode_mask(pair.mask)[0]
    except DataError as error:
        problems += [Problem(p.message, pair.mask.name) for p in error.problems]
    if image is not None and mask is not None:
        if image.shape[:2] == mask.shape[:2]:
            return image, mask
        text = f"is {size_of(mask)}, its image {pair.image.name} is {size_of(image)}; both must have the same size"
        problems.append(Problem(text, pair.mask.name))
    raise DataError(str(pair.image.parent.parent), problems)


def read_image(path: Path, image_size: int | None = None, channels: int = 3) -> Pixels:
    """Read an image, height x width x channels (3: RGB, 1: grey), resized to a square if a size is given."""
    return _image(decode_image(path, channels).pixels, image_size)


def read_mask(path: Path, image_size: int | None = None, mask_threshold: Cut = "half") -> Pixels:
    """Read a mask, height x width, 1 for vessel, else 0."""
    return binary(decode_mask(path)[0], image_size, mask_threshold)


def binary(grey: NDArray[Any], image_size: int | None, mask_threshold: Cut) -> Pixels:
    """Return a mask's grey levels as 0 and 1: scaled to 0 to 255, resized, thresholded.

    >>> binary(np.array([[0, 1], [1, 1]], np.uint8), None, "half").tolist()
    [[0, 1], [1, 1]]
    """
    if isinstance(mask_threshold, tuple):
        grey, mask_threshold = np.isin(grey, mask_threshold).astype(np.uint8) * np.uint8(255), 127.5
    top = float(np.iinfo(grey.dtype).max)
    low, high = float(grey.min()), float(grey.max())
    spread = mask_threshold == "half" and low < high
    low, high = (low, high) if spread else (0.0, top)
    levels = (grey.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    cut = 127.5 if mask_threshold == "half" else float(mask_threshold)
    return (_resized(levels, image_size) > cut).astype(np.uint8)


def manifest(train: Images, val: Images, test: Images) -> dict[str, Any]:
    """Return the names in each part, and a sha256 over all names, shapes and pixels.

    Masks at other thresholds (`Images.also`) are left out: they do not change the training.
    """
    digest = hashlib.sha256()
    parts = {"train": train, "val": val, "test": test}
    for part, images in parts.items():
        for name, image, mask in zip(images.names, images.images, images.masks, strict=True):
            digest.update(f"{part}/{name} {image.shape} {mask.shape}\n".encode())
            digest.update(np.ascontiguousarray(image).tobytes())
            digest.update(np.ascontiguousarray(mask).tobytes())
    return {part: list(images.names) for part, images in parts.items()} | {"sha256": digest.hexdigest()}


def size_of(pixels: NDArray[Any]) -> str:
    """Return width and height as text, `999x960`."""
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _image(raw: NDArray[Any], image_size: int | None) -> Pixels:
    sized = np.asarray(_resized(raw, image_size), np.uint8)
    if sized.ndim == 2:
        return np.ascontiguousarray(sized[:, :, None])
    return np.asarray(cv2.cvtColor(sized, cv2.COLOR_BGR2RGB), np.uint8)


def _resized(pixels: NDArray[Any], size: int | None) -> NDArray[Any]:
    """Resize to a square: area means to shrink, bilinear to enlarge, unchanged at its own size."""
    height, width = pixels.shape[:2]
    if size is None or (height, width) == (size, size):
        return pixels
    method = cv2.INTER_AREA if size <= min(height, width) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=method))
