"""A dataset of synthetic fundus photographs with the structure of the 100-image set.

Each training eye has four images (as drawn, both flips, a rotation with mirrored border), each test eye one. Masks have
grey edges. `groups.csv` lists the images of each eye.
"""

import csv
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unetsweep.atomic import rename_folder
from unetsweep.datasets.layout import find_pairs
from unetsweep.datasets.synthetic_eye import grow
from unetsweep.datasets.synthetic_fundus import photograph
from unetsweep.errors import DataError, UsageError
from unetsweep.texts import counted

Pixels = NDArray[np.uint8]

_CANVAS = 2.2
"""The canvas is this much larger than the images: shrinking it gives the masks grey edges, as in the 100-image set."""
_VARIANTS = 4
MAX_SIZE = 4096
"""Larger images take gigabytes of memory and minutes for each eye."""
_TITLE = "# Synthetic fundus photographs"
_ABOUT = (
    _TITLE
    + """

Drawn by `unetsweep data sample`; no person's eyes. Four pictures in train show one eye: split by `groups.csv`.

size {size}, eyes {eyes}, test eyes {test_eyes}, seed {seed}
"""
)


def draw_sample(root: Path, size: int = 256, eyes: int = 20, test_eyes: int = 20, seed: int = 0) -> bool:
    """Draw the dataset into `root`; return False if it exists already.

    It is drawn in a temporary folder and renamed at the end, so `root` is complete or absent.
    Raises UsageError for numbers that are too small or too large, DataError if something else is at `root`.
    """
    if not 32 <= size <= MAX_SIZE or eyes < 2 or test_eyes < 1:
        found = f"found size {size}, {eyes} eyes, {test_eyes} test eyes"
        raise UsageError(f"{found}; a sample needs 32 to {MAX_SIZE} pixels, at least 2 eyes and 1 test eye")
    about = _ABOUT.format(size=size, eyes=eyes, test_eyes=test_eyes, seed=seed)
    if root.exists() and not _is_empty(root):
        _refuse_unless_complete(root, about, (_VARIANTS * eyes, test_eyes))
        return False
    root.parent.mkdir(parents=True, exist_ok=True)
    drawn = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        _draw(drawn, size, eyes, test_eyes, seed)
        (drawn / "README.md").write_text(about, encoding="utf-8")
        drawn.chmod(0o755)
        return rename_folder(drawn, root)  # also replaces an empty folder
    finally:
        shutil.rmtree(drawn, ignore_errors=True)


def _is_empty(root: Path) -> bool:
    return root.is_dir() and not any(root.iterdir())


def _refuse_unless_complete(root: Path, about: str, wanted: tuple[int, int]) -> None:
    advice = "draw into another folder, or remove this one first"
    readme = root / "README.md"
    found = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    if not found.startswith(_TITLE):
        raise DataError(str(root), [f"exists and is not a sample dataset; {advice}"])
    if found != about:
        drawn = found.splitlines()[-1]
        raise DataError(str(root), [f"found a sample {drawn!r}, not {about.splitlines()[-1]!r}; {advice}"])
    parts = find_pairs(root)
    counts = len(parts["train"]), len(parts.get("test", ()))
    if counts != wanted or not (root / "groups.csv").is_file():
        groups = "" if (root / "groups.csv").is_file() else " and no groups.csv"
        text = f"found {counts[0]} train and {counted(counts[1], 'test image')}{groups}"
        raise DataError(str(root), [f"{text}; a complete sample has {wanted[0]}, {wanted[1]} and groups.csv; {advice}"])


def _draw(root: Path, size: int, eyes: int, test_eyes: int, seed: int) -> None:
    for part in ("train", "test"):
        for kind in ("image", "mask"):
            (root / part / kind).mkdir(parents=True)
    digits = max(2, len(str(max(_VARIANTS * eyes, test_eyes))))
    rows: list[tuple[str, str]] = []
    for eye in range(eyes):
        # The seed contains the part, so more training eyes do not change the test eyes.
        rng = np.random.default_rng([seed, 0, eye])
        image, mask = _photograph(rng, size)
        for number, variant in enumerate(variants(image, mask, rng)):
            name = f"{_VARIANTS * eye + number + 1:0{digits}d}.png"
            rows.append((name, f"eye-{eye + 1:02d}"))
            _write(root / "train", name, *variant, size)
    for eye in range(test_eyes):
        image, mask = _photograph(np.random.default_rng([seed, 1, eye]), size)
        _write(root / "test", f"{eye + 1:0{digits}d}.png", image, mask, size)
    with (root / "groups.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("file", "group"), *rows])


def _photograph(rng: Generator, size: int) -> tuple[Pixels, Pixels]:
    return photograph(grow(rng), round(size * _CANVAS), rng)


def variants(image: Pixels, mask: Pixels, rng: Generator) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield (image, mask) four times, as in the 100-image set: original, both flips, a rotation within 45 degrees."""
    flips: tuple[Callable[[Pixels], Pixels], ...] = (lambda p: p, lambda p: p[:, ::-1], lambda p: p[::-1])
    for flip in flips:
        yield flip(image), flip(mask)
    angle = float(rng.uniform(-45, 45))
    yield _rotated(image, angle, cv2.INTER_LINEAR), _rotated(mask, angle, cv2.INTER_NEAREST)


def _rotated(pixels: Pixels, angle: float, method: int) -> Pixels:
    height, width = pixels.shape[:2]
    rotation = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, 1.0)
    rotated = cv2.warpAffine(pixels, rotation, (width, height), flags=method, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(rotated, np.uint8)


def _write(part: Path, name: str, image: Pixels, mask: Pixels, size: int) -> None:
    for kind, pixels in (("image", np.ascontiguousarray(image[:, :, ::-1])), ("mask", np.ascontiguousarray(mask))):
        sized = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)
        ok, content = cv2.imencode(".png", sized, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        if not ok:
            raise DataError(str(part / kind / name), ["OpenCV cannot write PNG here; check its installation"])
        (part / kind / name).write_bytes(content.tobytes())
