"""Augmentation by albumentations: on uint8, image and mask together, for training only.

Rule 1: albumentations is imported only when an augmentation is configured, and never checks for updates.
Rule 2: the random state is set before every sample, so that the result depends on (seed, epoch, index) and on nothing
        that happened before.
"""

import difflib
import inspect
import os
import random
import resource
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unetsweep.errors import ConfigError, Problem

FIELD = "trainer.augment"
_SIDE = 512
"""Side of the image with which a transform is checked."""
_MOST_MEMORY = 2 << 30
"""Most memory that a transform may use for that image, in bytes."""


def check_augment(value: object) -> list[Problem]:
    """The problems of a config's `augment`. Imports albumentations, except for `default` and `none`."""
    problems: list[Problem] = []
    if isinstance(value, str) and value in ("default", "none"):
        return problems
    if isinstance(value, str) or not isinstance(value, Sequence):
        near = difflib.get_close_matches(str(value), ["default", "none"], 1)
        hint = f"did you mean {near[0]!r}?" if near else "allowed: default, none, or a list of albumentations names"
        return [Problem(f"found {value!r}; {hint}", FIELD)]
    _parse_list(value, problems)
    return problems


def build(value: object) -> Any | None:
    """Build the albumentations `Compose` of a config's `augment`, None for `none`. Raises ConfigError."""
    if value == "none":
        return None
    problems = check_augment(value)
    if problems:
        raise ConfigError("config.json", problems)
    A = _albumentations()
    steps = _default(A) if value == "default" else _parse_list(value, problems)
    return A.Compose(steps)


def augmented_size(value: object, width: int, height: int) -> tuple[int, int]:
    """Width and height of an image of this size after every transform of a config's `augment`."""
    problems: list[Problem] = []
    steps = _parse_list(value, problems) if isinstance(value, list) else []
    try:
        with _little_memory():
            image, mask = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
            for step in steps:
                step.p = 1.0
                done = step(image=image, mask=mask)
                image, mask = done["image"], done["mask"]
        return mask.shape[1], mask.shape[0]
    except Exception:
        return width, height  # if it fails with the real images too, the training reports that


def apply(
    transform: Any, image: np.ndarray[Any, Any], mask: np.ndarray[Any, Any], key: Sequence[int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Transform image (H x W x C) and mask (H x W), both uint8, together; the result depends on `key` alone.

    The whole pipeline shares one generator: `Compose(seed=)` gives every transform the same stream, so that both flips
    always happen together (albumentations 2.0.8).
    """
    seed = int(np.random.SeedSequence(list(key)).generate_state(1)[0])
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311
    done = transform(image=image, mask=mask)
    height, width = mask.shape
    if height != width and done["mask"].shape == (width, height):
        return _fit(done["image"], height, width), _fit(done["mask"], height, width)
    return done["image"], done["mask"]


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


def _albumentations() -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations  # takes a second, and `augment: none` does not need it
    import cv2

    cv2.setNumThreads(0)
    return albumentations


def _default(A: Any) -> list[Any]:
    import cv2  # a configuration is checked without it

    return [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.RandomRotate90(p=0.5),
        A.Affine(rotate=(-30, 30), scale=(0.9, 1.1), p=0.5, border_mode=cv2.BORDER_REFLECT_101),
        A.RandomBrightnessContrast(),
    ]


def _parse_list(entries: Any, problems: list[Problem]) -> list[Any]:
    """Build the transforms of a list; each entry is a name or {name: {argument: value}}."""
    A = _albumentations()
    steps: list[Any] = []
    for number, entry in enumerate(entries):
        at = f"{FIELD}[{number}]"
        name, arguments = entry, None
        if isinstance(entry, Mapping) and len(entry) == 1:
            [(name, arguments)] = entry.items()
        if not isinstance(name, str) or not isinstance(arguments, Mapping | None):
            problems.append(Problem(f"found {entry!r}; a name or {{Name: {{argument: value}}}} is expected", at))
            continue
        found = _class(A, name)
        if found is None:
            problems.append(Problem(f"albumentations has no {name!r}{_hint(name, _names(A))}", at))
            continue
        step = _build_step(found, dict(arguments or {}), problems, at)
        steps += [] if step is None else [step]
    return steps


def _class(A: Any, name: str) -> Any | None:
    found = getattr(A, name, None)
    fits = inspect.isclass(found) and issubclass(found, A.DualTransform | A.ImageOnlyTransform)
    return found if fits and ".core." not in found.__module__ else None


def _names(A: Any) -> list[str]:
    return [name for name in dir(A) if _class(A, name) is not None]


def _build_step(cls: Any, arguments: dict[str, Any], problems: list[Problem], at: str) -> Any | None:
    """Build one transform. An unknown argument is a problem; albumentations itself only warns."""
    known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    unknown = [name for name in arguments if name not in known]
    for name in unknown:
        hint = _hint(name, known) or f"; allowed are {', '.join(known)}"
        problems.append(Problem(f"{cls.__name__} has no argument {name!r}{hint}", at))
    if unknown:
        return None
    try:
        with warnings.catch_warnings(), _little_memory():
            warnings.simplefilter("error")
            step = cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in arguments.items()})
        keeps_uint8 = _keeps_uint8(step)
    except MemoryError:
        found = f"{cls.__name__} needs more than {_MOST_MEMORY >> 30} GiB of memory for an image of {_SIDE}x{_SIDE}"
        problems.append(Problem(f"{found}; use smaller sizes", at))
        return None
    except (TypeError, ValueError, Warning, NotImplementedError) as error:  # all that its constructors raise
        problems.append(Problem(f"{cls.__name__}: {_first_error(error)}", at))
        return None
    if not keeps_uint8:
        problems.append(Problem(f"{cls.__name__} does not return a uint8 image; remove it, scaling is built in", at))
        return None
    return step


def _first_error(error: BaseException) -> str:
    """The first problem that pydantic found, or the error's message, on one line."""
    found = getattr(error.__cause__ or error, "errors", None)
    if callable(found):
        first = found()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return " ".join(str(error).split())


def _keeps_uint8(step: Any) -> bool:
    """Whether the transform returns image and mask as uint8 arrays of three and two dimensions.

    MemoryError if it needs too much memory.
    """
    chance, step.p = step.p, 1.0
    try:
        with _little_memory():
            done = step(image=np.zeros((_SIDE, _SIDE, 3), np.uint8), mask=np.zeros((_SIDE, _SIDE), np.uint8))
    except MemoryError:
        raise
    except Exception as error:
        if "Insufficient memory" in str(error):  # cv2.error
            raise MemoryError from error
        return True  # it may need another image size; if it fails with the real images too, the training reports that
    finally:
        step.p = chance
    image, mask = done["image"], done["mask"]
    arrays = isinstance(image, np.ndarray) and isinstance(mask, np.ndarray)
    return bool(arrays and image.dtype == mask.dtype == np.uint8 and image.ndim == 3 and mask.ndim == 2)


@contextmanager
def _little_memory() -> Iterator[None]:
    """Let the `with` block allocate only so much memory, so that a huge size in a config is an error."""
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = [limit for limit in (before, used + _MOST_MEMORY) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
