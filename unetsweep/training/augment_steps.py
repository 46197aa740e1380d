"""Builds the transforms of a list in `trainer.augment`, and finds what is wrong with it.

Rule 1: what albumentations would only warn about, do without a word, or fail at in a training is a problem here.
"""

import difflib
import inspect
import os
import re
import resource
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unetsweep.errors import Problem
from unetsweep.training.alignment import aligned_arguments, refusal, settle_ties

FIELD = "trainer.augment"
GROUPS = ("OneOf", "SomeOf", "RandomOrder", "Sequential")
"""Compositions of albumentations that may stand in a list: `{OneOf: {transforms: [...], p: 0.5}}`."""
_SIDE = 512
"""Side of the image with which a transform is checked."""
_MOST_MEMORY = 2 << 30
"""Most memory that a transform may use for that image, in bytes."""


def albumentations() -> Any:
    """Import albumentations, which never checks for updates and uses one thread."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations  # takes a second, and `augment: none` does not need it
    import cv2

    cv2.setNumThreads(0)
    return albumentations


def parse_list(entries: Any, problems: list[Problem], at: str = FIELD) -> list[Any]:
    """Build the transforms of a list; each entry is a name or {name: {argument: value}}."""
    A = albumentations()
    steps: list[Any] = []
    for number, entry in enumerate(entries):
        here = f"{at}[{number}]"
        name, arguments = entry, None
        if isinstance(entry, Mapping) and len(entry) == 1:
            [(name, arguments)] = entry.items()
        if not isinstance(name, str) or not isinstance(arguments, Mapping | None):
            problems.append(Problem(f"found {entry!r}; a name or {{Name: {{argument: value}}}} is expected", here))
            continue
        found = _class(A, name)
        if found is None:
            hint = "; use Sequential" if name == "Compose" else _hint(name, _names(A))
            problems.append(Problem(f"albumentations has no {name!r}{hint}", here))
            continue
        build = _build_group if name in GROUPS else _build_step
        step = build(found, dict(arguments or {}), problems, here)
        steps += [] if step is None else [step]
    return steps


def _class(A: Any, name: str) -> Any | None:
    found = getattr(A, name, None)
    if name in GROUPS:
        return found
    fits = inspect.isclass(found) and issubclass(found, A.DualTransform | A.ImageOnlyTransform)
    return found if fits and ".core." not in found.__module__ else None


def _names(A: Any) -> list[str]:
    return [name for name in dir(A) if _class(A, name) is not None]


def _build_group(cls: Any, arguments: dict[str, Any], problems: list[Problem], at: str) -> Any | None:
    """Build a composition from its own list of transforms."""
    inner = arguments.pop("transforms", None)
    if not isinstance(inner, list | tuple) or not inner:
        found = f"{cls.__name__} needs a list of transforms; write {{{cls.__name__}: {{transforms: [HorizontalFlip]}}}}"
        problems.append(Problem(found, at))
        return None
    before = len(problems)
    _check_names(cls, arguments, problems, at)
    steps = parse_list(inner, problems, f"{at}.{cls.__name__}.transforms")
    problems += [Problem(f"{cls.__name__}: {each}", at) for each in _group_problems(cls, arguments, steps)]
    return None if len(problems) > before else _construct(cls, {"transforms": steps, **arguments}, problems, at)


def _group_problems(cls: Any, arguments: Mapping[str, Any], steps: Sequence[Any]) -> Iterator[str]:
    """What is wrong with the arguments of a composition, which albumentations does not check."""
    number = arguments.get("n", 1)
    if "p" in arguments and not (type(arguments["p"]) in (int, float) and 0 <= arguments["p"] <= 1):
        yield f"p: found {arguments['p']!r}; a number from 0 to 1"
    if type(number) is not int or number < 1:
        yield f"n: found {number!r}; a whole number of transforms, at least 1"
    if type(arguments.get("replace", False)) is not bool:
        yield f"replace: found {arguments['replace']!r}; true or false"
    if cls.__name__ == "OneOf" and steps and not any(step.p for step in steps):
        yield "each of its transforms has p: 0, so none can be chosen; give one of them a p above 0"


def _build_step(cls: Any, arguments: dict[str, Any], problems: list[Problem], at: str) -> Any | None:
    """Build one transform, so that it keeps image and mask aligned."""
    if _check_names(cls, arguments, problems, at):
        return None
    if reason := refusal(cls, arguments):
        problems.append(Problem(f"{cls.__name__}: {reason}", at))
        return None
    arguments = {name: tuple(v) if isinstance(v, list) else v for name, v in arguments.items()}
    step = _construct(cls, aligned_arguments(cls, arguments), problems, at)
    if step is None:
        return None
    settle_ties(step, arguments)
    if problem := _unfit(step):
        problems.append(Problem(problem, at))
        return None
    return step


def _check_names(cls: Any, arguments: Mapping[str, Any], problems: list[Problem], at: str) -> list[str]:
    """Return the unknown arguments, each of which is a problem; albumentations itself only warns."""
    known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    unknown = [name for name in arguments if name not in known]
    for name in unknown:
        hint = _hint(name, known) or f"; allowed are {', '.join(known)}"
        problems.append(Problem(f"{cls.__name__} has no argument {name!r}{hint}", at))
    return unknown


def _construct(cls: Any, arguments: dict[str, Any], problems: list[Problem], at: str) -> Any | None:
    try:
        with warnings.catch_warnings(), little_memory():
            warnings.simplefilter("error")
            return cls(**arguments)
    except MemoryError:
        problems.append(Problem(_too_much_memory(cls), at))
    except (TypeError, ValueError, Warning, NotImplementedError) as error:  # all that its constructors raise
        problems.append(Problem(f"{cls.__name__}: {first_error(error)}", at))
    return None


def _too_much_memory(cls: Any) -> str:
    need = f"{cls.__name__} needs more than {_MOST_MEMORY >> 30} GiB of memory for an image of {_SIDE}x{_SIDE}"
    return f"{need}; use smaller sizes"


def first_error(error: BaseException) -> str:
    """Return the first problem that pydantic found, or the error's message, on one line."""
    found = getattr(error.__cause__ or error, "errors", None)
    if callable(found):
        first = found()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return _PLACE_IN_OPENCV.sub("OpenCV: ", " ".join(str(error).split()))


_PLACE_IN_OPENCV = re.compile(r"^OpenCV\S* \S+:\d+: error: (\([^)]*\) )?")
"""The version, file and line of OpenCV's sources at the start of its messages."""


def _unfit(step: Any) -> str | None:
    """Return why a transform cannot be used with an image and a mask; None if it can."""
    name = type(step).__name__
    if "image" not in step.available_keys:
        return f"{name} is for volumes and would leave images as they are; remove it"
    if missing := set(step.targets_as_params) - {"image", "mask"}:
        return f"{name} needs {' and '.join(sorted(missing))}, which a sweep cannot give it; remove it"
    chance, step.p = step.p, 1.0
    try:
        with little_memory():
            done = step(image=np.zeros((_SIDE, _SIDE, 3), np.uint8), mask=np.zeros((_SIDE, _SIDE), np.uint8))
    except MemoryError:
        return _too_much_memory(type(step))
    except KeyError as error:
        return f"{name} needs {error.args[0]}, which a sweep cannot give it; remove it"
    except Exception as error:
        if "Insufficient memory" in str(error):  # cv2.error
            return _too_much_memory(type(step))
        return None  # it may need another image size: `size_problems` tries it with the sizes of the real images
    finally:
        step.p = chance
    image, mask = done["image"], done["mask"]
    arrays = isinstance(image, np.ndarray) and isinstance(mask, np.ndarray)
    if arrays and image.dtype == mask.dtype == np.uint8 and image.ndim == 3 and mask.ndim == 2:
        return None
    return f"{name} does not return a uint8 image; remove it, scaling is built in"


@contextmanager
def little_memory() -> Iterator[None]:
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
