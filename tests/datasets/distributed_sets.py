"""Miniature copies of the public sets: their folders and file names as they are distributed, with tiny images.

The names are from public sources (see unetsweep/datasets/public_sets.py); the sets themselves are not here.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from images_drawn import write

Member = tuple[str, str, tuple[str, ...]]
"""An image of a set: part, image, masks of its observers, as paths below the folder of the set."""
STARE = (1, 2, 3, 4, 5, 44, 77, 81, 82, 139, 162, 163, 235, 236, 239, 240, 255, 291, 319, 324)
FIVES = {"train": 12, "test": 4}
"""Pairs of the miniature; the set has 600 and 200."""


def names(key: str) -> Iterator[Member]:
    """Yield the images of a set."""
    return {"drive": _drive, "stare": _stare, "chase_db1": _chase, "hrf": _hrf, "fives": _fives}[key]()


def _drive() -> Iterator[Member]:
    for number in range(1, 41):
        part = "training" if number > 20 else "test"
        masks = [f"DRIVE/{part}/1st_manual/{number:02d}_manual1.gif"]
        masks += [f"DRIVE/test/2nd_manual/{number:02d}_manual2.gif"] if part == "test" else []
        yield "train" if number > 20 else "test", f"DRIVE/{part}/images/{number:02d}_{part}.tif", tuple(masks)


def _stare() -> Iterator[Member]:
    for place, number in enumerate(STARE):
        name = f"im{number:04d}"
        masks = (f"labels-ah/{name}.ah.ppm.gz", f"labels-vk/{name}.vk.ppm.gz")
        yield "train" if place < 10 else "test", f"stare-images/{name}.ppm.gz", masks


def _chase() -> Iterator[Member]:
    for child in range(1, 15):
        for name in (f"Image_{child:02d}{eye}" for eye in "LR"):
            yield "train" if child <= 10 else "test", f"{name}.jpg", (f"{name}_1stHO.png", f"{name}_2ndHO.png")


def _hrf() -> Iterator[Member]:
    for number in range(1, 16):
        for name in (f"{number:02d}_{kind}" for kind in ("h", "dr", "g")):
            image = f"images/{name}.{'JPG' if 'dr' in name else 'jpg'}"
            yield "train" if number <= 5 else "test", image, (f"manual1/{name}.tif",)


def _fives() -> Iterator[Member]:
    for part, number in FIVES.items():
        for name in (f"{place + 1}_{'ADGN'[place * 4 // number]}.png" for place in range(number)):
            yield part, f"FIVES/{part}/Original/{name}", (f"FIVES/{part}/Ground truth/{name}",)


def draw(key: str, folder: Path) -> Path:
    """Write the miniature of a set below `folder`, with the files that lie beside the images in the real one."""
    for seed, (_, image, masks) in enumerate(names(key)):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        _write(folder / image, pixels)
        for mask in masks:
            _write(folder / mask, cv2.threshold(pixels[..., 0], 200, 255, cv2.THRESH_BINARY)[1])
        if key in ("drive", "hrf"):  # the field of view
            view = Path(image.replace("/images/", "/mask/").replace("images/", "mask/"))
            suffix = ".gif" if key == "drive" else ".tif"
            _write(folder / view.with_name(f"{view.stem}_mask{suffix}"), np.full((16, 16), 255, np.uint8))
    (folder / ".DS_Store").touch()
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._Image_01L.jpg").touch()
    return folder


def _write(file: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix != ".gz":
        write(file, pixels)
        return
    plain = write(file.with_suffix(""), pixels)
    file.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()
