"""What the inspection of masks says of masks of vessels, and of masks that are something else.

`python -m tests.datasets.plausibility [FOLDER]` prints two tables over the synthetic sample at sizes from 64 to 1024,
and over CHASE_DB1 with both observers (FOLDER; without it from where the tests find it, or not at all): masks of
vessels, of which none may be refused, and other masks, which should be named. Each row is a set of images, as
`data check` sees it. It takes some minutes; `EYES=2` in the environment draws fewer eyes.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.levels import plateaus
from unetsweep.datasets.odd_masks import OddMask, odd_masks
from unetsweep.datasets.plausibility import measure
from unetsweep.datasets.reading import binary
from unetsweep.datasets.sample import variants
from unetsweep.datasets.synthetic_eye import grow
from unetsweep.datasets.synthetic_fundus import photograph

Pixels = NDArray[np.uint8]
Eye = tuple[Pixels, Pixels]
"""Image, height x width x 3 in BGR order, and the grey levels of its mask."""

SIZES = (64, 96, 128, 192, 256, 384, 512, 768, 1024)
_KERNEL = np.ones((3, 3), np.uint8)


def sample_eyes(size: int, count: int) -> list[Eye]:
    """Return eyes of the sample, each as drawn and rotated with a mirrored border; masks have grey edges."""
    found = []
    for eye in range(count):
        rng = np.random.default_rng([0, 0, eye])
        drawn = list(variants(*photograph(grow(rng), round(size * 2.2), rng), rng))
        for image, mask in (drawn[0], drawn[3]):
            sized = [cv2.resize(np.ascontiguousarray(p), (size, size)) for p in (image[:, :, ::-1], mask)]
            found.append((np.asarray(sized[0], np.uint8), np.asarray(sized[1], np.uint8)))
    return found


def chase_eyes(folder: Path, observer: str, size: int | None) -> list[Eye]:
    """Return all eyes of CHASE_DB1 with the masks of an observer (`mask` or `mask2`), resized by area means."""
    found = []
    for image in sorted(folder.glob("*/image/*.jpg")):
        (mask,) = (image.parent.parent / observer).glob(f"{image.stem}_*")
        pair = [cv2.imread(str(image)), cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)]
        if size is not None:
            pair = [cv2.resize(p, (size, size), interpolation=cv2.INTER_AREA) for p in pair if p is not None]
        found.append((np.asarray(pair[0], np.uint8), np.asarray(pair[1], np.uint8)))
    return found


def _cut(mask: Pixels) -> Pixels:
    return np.asarray(np.where(mask > 127, 255, 0), np.uint8)


def _jpeg(quality: int) -> Callable[[Pixels], Pixels]:
    def compressed(mask: Pixels) -> Pixels:
        _, content = cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)

    return compressed


def _shifted(share: float) -> Callable[[Pixels], Pixels]:
    return lambda mask: np.roll(mask, max(1, round(share * max(mask.shape))), axis=1)


def _resampled(mask: Pixels) -> Pixels:
    """Return the mask after it was shrunk to half and enlarged again."""
    height, width = mask.shape
    half = cv2.resize(mask, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


OF_VESSELS: dict[str, Callable[[Pixels], Pixels]] = {
    "as drawn": lambda mask: mask,
    "0 and 1": lambda mask: np.asarray(mask > 127, np.uint8),
    "thinned by 1": lambda mask: np.asarray(cv2.erode(_cut(mask), _KERNEL), np.uint8),
    "thickened by 1": lambda mask: np.asarray(cv2.dilate(_cut(mask), _KERNEL), np.uint8),
    "thickened by 2": lambda mask: np.asarray(cv2.dilate(_cut(mask), _KERNEL, iterations=2), np.uint8),
    "JPEG 75": _jpeg(75),
    "JPEG 50": _jpeg(50),
    "resized twice": _resampled,
}
OTHER: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "inverted": ("inverted-mask", lambda mask: np.asarray(255 - mask, np.uint8)),
    "upside down": ("misplaced-mask", lambda mask: mask[::-1].copy()),
    "mirrored": ("misplaced-mask", lambda mask: mask[:, ::-1].copy()),
    "turned by 180": ("misplaced-mask", lambda mask: mask[::-1, ::-1].copy()),
    "shifted by 3%": ("misplaced-mask", _shifted(0.03)),
    "shifted by 10%": ("misplaced-mask", _shifted(0.10)),
    "empty": ("empty-mask", lambda mask: np.zeros_like(mask)),
    "full": ("full-mask", lambda mask: np.full_like(mask, 255)),
    "noise": ("foreign-mask", lambda mask: _noise(mask.shape)),
}
"""What is done to each mask, and how it should be named."""


def _noise(shape: tuple[int, ...]) -> Pixels:
    return np.asarray(np.where(np.random.default_rng(0).random(shape) < 0.1, 255, 0), np.uint8)


def fields_of_view(eyes: Sequence[Eye]) -> list[Eye]:
    """Return the eyes with the area of the bright field as their masks."""
    return [(image, np.asarray(np.where(image.max(axis=2) > 30, 255, 0), np.uint8)) for image, _ in eyes]


def of_other_eyes(eyes: Sequence[Eye]) -> list[Eye]:
    """Return each image with the mask of the eye that is two later: the next one may be a rotation of the same eye."""
    return [(image, eyes[(number + 2) % len(eyes)][1]) for number, (image, _) in enumerate(eyes)]


def changed(eyes: Sequence[Eye], change: Callable[[Pixels], Pixels]) -> list[Eye]:
    """Return the eyes with changed masks."""
    return [(image, change(mask)) for image, mask in eyes]


def patches(eyes: Sequence[Eye], size: int) -> list[Eye]:
    """Return squares cut out of the eyes, some of each."""
    rng, found = np.random.default_rng(0), []
    for image, mask in eyes:
        for _ in range(4):
            top, left = (int(rng.integers(0, length - size)) for length in mask.shape)
            area = np.s_[top : top + size, left : left + size]
            if image[area].mean() > 20:
                found.append((image[area].copy(), mask[area].copy()))
    return found


def judged(eyes: Sequence[Eye]) -> tuple[list[OddMask], int]:
    """Return the findings of a set, and how many of its masks have unclear levels."""
    measures = {f"train/{n:02d}": measure(image, binary(mask, None, "half")) for n, (image, mask) in enumerate(eyes)}
    return odd_masks(measures), sum(not plateaus(mask).are_clear for _, mask in eyes)


def sets(folder: Path | None, eyes: int) -> Iterator[tuple[str, list[Eye]]]:
    """Yield the sets by name."""
    for size in SIZES:
        yield f"sample {size}", sample_eyes(size, eyes if size <= 512 else max(2, eyes // 4))
    if folder is not None:
        for observer, name in (("mask", "1st"), ("mask2", "2nd")):
            for size in (None, 512, 256, 128, 64):
                yield f"CHASE_DB1 {size or '999x960'} {name} observer", chase_eyes(folder, observer, size)


def _print_row(name: str, change: str, eyes: Sequence[Eye], expected: str) -> int:
    """Print the findings of a set; return the number of masks that were refused wrongly, or not named."""
    found, unclear = judged(eyes)
    errors = Counter({each.kind: len(each.names) for each in found if each.level == "error"})
    warnings = Counter({each.kind: len(each.names) for each in found if each.level == "warning"})
    wrong = sum(errors.values()) + unclear if not expected else len(eyes) - errors[expected]
    refused = ", ".join(f"{count} {kind}" for kind, count in errors.items()) or "-"
    warned = ", ".join(f"{count} {kind}" for kind, count in warnings.items()) or "-"
    print(f"| {name} | {change} | {len(eyes)} | {refused} | {warned} | {unclear} | {wrong} |", flush=True)
    return wrong


def main(folder: Path | None) -> bool:
    """Print both tables; return whether no mask of vessels was refused."""
    head = "| set | masks | number | errors | warnings | unclear levels |"
    alarms = missed = 0
    print(f"Masks of vessels\n\n{head} false alarms |\n|---|---|---|---|---|---|---|")
    kept = list(sets(folder, int(os.environ.get("EYES", "8"))))
    for name, eyes in kept:
        for change, apply in OF_VESSELS.items():
            alarms += _print_row(name, change, changed(eyes, apply), "")
        if eyes[0][0].shape[0] >= 384:
            for size in (64, 128, 256):
                alarms += _print_row(name, f"patches of {size}", patches(eyes, size), "")
    print(f"\nOther masks\n\n{head} not named |\n|---|---|---|---|---|---|---|")
    for name, eyes in kept:
        missed += _print_row(name, "field of view", fields_of_view(eyes), "field-of-view")
        missed += _print_row(name, "of other eyes", of_other_eyes(eyes), "foreign-mask")
        for change, (expected, apply) in OTHER.items():
            missed += _print_row(name, change, changed(eyes, apply), expected)
    print(f"\n{alarms} false alarms, {missed} masks not named as what they are")
    return alarms == 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    from chase import CHASE

    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else CHASE
    sys.exit(not main(chosen if (chosen / "train").is_dir() else None))
