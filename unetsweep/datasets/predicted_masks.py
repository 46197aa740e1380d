"""Predicted masks that a training keeps for the report: a few validation images of each milestone, in one JSON file.

Rule 1: the images are evenly spaced over the names of the validation set, so all trials of a sweep keep the same ones.
Rule 2: what is read may be damaged. Sizes are limited, and the head of a PNG is checked before `mask_png` decodes it.
Rule 3: standard library only: `repair` reads these files too.
"""

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.errors import StateError
from unetsweep.record_files import read_record

MOST = 6
"""How many images a file has: enough to see where vessels are missed, and few enough for a page of many trials."""
MAX_SIDE = 8192
"""Pixels. No camera for eyes delivers more."""
_HEAD = struct.Struct(">8s4x4sIIBB")
_PNG = b"\x89PNG\r\n\x1a\n"
_BITS, _GREY = 1, 0


@dataclass(frozen=True, slots=True)
class PredictedMask:
    """The predicted mask of one image."""

    image: str
    """Name of the image, as in the split."""
    width: int
    """In pixels, at the size at which the training scored it; so is the height."""
    height: int
    png: str
    """The mask as a PNG of one bit a pixel, in base64. White is vessel."""


@dataclass(frozen=True, slots=True)
class PredictionsFile:
    """`milestones/E.predictions.json`: the predicted masks of a milestone's best checkpoint."""

    weights_sha256: str
    """Digest of the weights that predicted them: that of the result that they belong to."""
    masks: tuple[PredictedMask, ...] = ()


def file_name(epochs: int) -> str:
    """Path of a milestone's file within the folder of its run.

    >>> file_name(100)
    'milestones/100.predictions.json'
    """
    return f"milestones/{epochs}.predictions.json"


def chosen(names: Sequence[str]) -> list[int]:
    """Return the indices of the images whose masks are kept, in the order of their names.

    >>> chosen(["c", "a", "b"]), chosen([f"{k:02d}" for k in range(11)])
    ([1, 2, 0], [0, 2, 4, 6, 8, 10])
    """
    ordered = sorted(range(len(names)), key=names.__getitem__)
    if len(ordered) <= MOST:
        return ordered
    return [ordered[round(at * (len(ordered) - 1) / (MOST - 1))] for at in range(MOST)]


def read_predictions(path: Path) -> PredictionsFile:
    """Read a file; StateError if it is damaged, FileNotFoundError if there is none."""
    found = read_record(PredictionsFile, path)
    if len(found.masks) > MOST:
        raise StateError(f"{path}: found {len(found.masks)} masks; at most {MOST} are kept")
    for mask in found.masks:
        png_of(mask, str(path))
    return found


def png_of(mask: PredictedMask, source: str) -> bytes:
    """Return the bytes of the PNG; StateError, which names `source`, if its head is not what the record says."""
    try:
        content = base64.b64decode(mask.png, validate=True)
        head = _HEAD.unpack_from(content)
    except (binascii.Error, struct.error, ValueError) as error:
        raise StateError(f"{source}: the mask of {mask.image!r} is no PNG in base64 ({error})") from error
    if head != (_PNG, b"IHDR", mask.width, mask.height, _BITS, _GREY):
        raise StateError(f"{source}: the mask of {mask.image!r} is no PNG of one bit and {mask.width}x{mask.height}")
    return content
