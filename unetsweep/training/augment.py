"""Augmentation by albumentations: on uint8, image and mask together, for training only.

Rule 1: albumentations is imported only when an augmentation is configured, and never checks for updates.
Rule 2: the random state is set before every sample, so that the result depends on (seed, epoch, index) and on nothing
        that happened before.
"""

import difflib
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from unetsweep.errors import ConfigError, Problem
from unetsweep.training.augment_steps import FIELD, albumentations, parse_list


def check_augment(value: object) -> list[Problem]:
    """The problems of a config's `augment`. Imports albumentations, except for `default` and `none`."""
    problems: list[Problem] = []
    if isinstance(value, str) and value in ("default", "none"):
        return problems
    if isinstance(value, str) or not isinstance(value, Sequence):
        near = difflib.get_close_matches(str(value), ["default", "none"], 1)
        hint = f"did you mean {near[0]!r}?" if near else "allowed: default, none, or a list of albumentations names"
        return [Problem(f"found {value!r}; {hint}", FIELD)]
    parse_list(value, problems)
    return problems


def build(value: object) -> Any | None:
    """Build the albumentations `Compose` of a config's `augment`, None for `none`. Raises ConfigError."""
    if value == "none":
        return None
    problems = check_augment(value)
    if problems:
        raise ConfigError("config.json", problems)
    A = albumentations()
    steps = _default(A) if value == "default" else parse_list(value, problems)
    return A.Compose(steps)


def apply(
    transform: Any, image: np.ndarray[Any, Any], mask: np.ndarray[Any, Any], key: Sequence[int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Transform image (H x W x C, uint8) and mask (H x W, 0 and 1) together; the result depends on `key` alone.

    The whole pipeline shares one generator: `Compose(seed=)` gives every transform the same stream, so that both flips
    always happen together (albumentations 2.0.8).
    """
    seed = int(np.random.SeedSequence(list(key)).generate_state(1)[0])
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311
    done = transform(image=image, mask=mask)
    image, moved = done["image"], (done["mask"] > 0).astype(np.uint8)  # a user's `fill_mask` may be 255
    height, width = mask.shape
    if height != width and moved.shape == (width, height):
        return _fit(image, height, width), _fit(moved, height, width)
    return image, moved


def _fit(array: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """Crop a rotated array, or extend it by mirroring, to this height and width: a batch needs images of one size."""
    for axis, size in ((0, height), (1, width)):
        have = array.shape[axis]
        if have > size:
            array = array.take(range((have - size) // 2, (have - size) // 2 + size), axis)
        elif have < size:
            pads = [(0, 0)] * array.ndim
            pads[axis] = ((size - have) // 2, size - have - (size - have) // 2)
            array = np.pad(array, pads, mode="reflect")
    return array


def _default(A: Any) -> list[Any]:
    import cv2  # a configuration is checked without it

    return [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.RandomRotate90(p=0.5),
        A.Affine(rotate=(-30, 30), scale=(0.9, 1.1), p=0.5, border_mode=cv2.BORDER_REFLECT_101),
        A.RandomBrightnessContrast(),
    ]
