"""Read image files: images as uint8, masks as 0 and 1 by a threshold.

Rule 1: a mask is never thresholded at `> 0` by default. `half` means above half of the mask's own range, so {0, 1},
        {0, 255}, 1-bit and grey-edged masks all mean the same; a number is a grey level from 0 to 255.
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

from unetsweep.datasets.layout import Pair
from unetsweep.errors import DataError, Problem

Pixels = NDArray[np.uint8]
Grey = NDArray[np.float32]

_ADVICE = "write it again as PNG, or remove image and mask"


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
    mask_threshold: str | float,
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


def read_pair(
    pair: Pair, image_size: int | None, mask_threshold: str | float, channels: int = 3
) -> tuple[Pixels, Pixels]:
    """Read an image and its mask; raises DataError if a file is unusable or their sizes differ."""
    image, mask = _decoded_pair(pair, channels)
    return _image(image, image_size), binary(mask, image_size, mask_threshold)


def _decoded_pair(pair: Pair, channels: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Decode an image and its mask; raises DataError if a file is unusable or their sizes differ."""
    problems: list[Problem] = []
    raw: list[NDArray[Any]] = []
    for file, flags in ((pair.image, _image_flags(channels)), (pair.mask, _MASK_FLAGS)):
        try:
            raw.append(_decoded(file, flags))
        except DataError as error:
            problems += [Problem(p.message, file.name) for p in error.problems]
    if len(raw) == 2 and raw[0].shape[:2] != raw[1].shape[:2]:
        text = f"is {size_of(raw[1])}, its image {pair.image.name} is {size_of(raw[0])}; both must have the same size"
        problems.append(Problem(text, pair.mask.name))
    if problems:
        raise DataError(str(pair.image.parent.parent), problems)
    return raw[0], raw[1]


def read_image(path: Path, image_size: int | None = None, channels: int = 3) -> Pixels:
    """Read an image, height x width x channels (3: RGB, 1: grey), resized to a square if a size is given."""
    return _image(_decoded(path, _image_flags(channels)), image_size)


def read_mask(path: Path, image_size: int | None = None, mask_threshold: str | float = "half") -> Pixels:
    """Read a mask, height x width, 1 for vessel, else 0."""
    return binary(_decoded(path, _MASK_FLAGS), image_size, mask_threshold)


def read_levels(path: Path) -> NDArray[Any]:
    """Read a mask's grey levels as they are in the file, height x width, 8 or 16 bits."""
    return _decoded(path, _MASK_FLAGS)


def binary(grey: NDArray[Any], image_size: int | None, mask_threshold: str | float) -> Pixels:
    """Return a mask's grey levels as 0 and 1: scaled to 0 to 255, resized, thresholded.

    >>> binary(np.array([[0, 1], [1, 1]], np.uint8), None, "half").tolist()
    [[0, 1], [1, 1]]
    """
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


# 16-bit masks keep their levels: reduced to 8 bits, {0, 1} would become {0, 0}.
_MASK_FLAGS = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH


def _image_flags(channels: int) -> int:
    return cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE


def _decoded(path: Path, flags: int) -> NDArray[Any]:
    """Decode a file with OpenCV; raises DataError if it is not an image of 8 or 16 bits.

    It is decoded from memory: OpenCV's own file reading fails for non-ASCII paths on some systems and accepts
    truncated files.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(str(path), [f"cannot be read ({error.strerror or error}); check the file"]) from error
    pixels = None
    if content.size:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our error says it
        try:
            pixels = cv2.imdecode(content, flags)
        except cv2.error:
            pixels = None
        finally:
            cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        found = f"{content.size:,} bytes that are not a complete {path.suffix[1:].upper()} image"
        raise DataError(str(path), [f"found {found if content.size else 'an empty file'}; {_ADVICE}"])
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(str(path), [f"found {pixels.dtype} pixels; 8 or 16 bits a channel are expected; {_ADVICE}"])
    return pixels


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
