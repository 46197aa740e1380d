"""Write small datasets to disk."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def write(path: Path, pixels: NDArray[Any] | None = None) -> Path:
    """Write pixels (BGR or grey; by default a speckled square) in the format of the file name."""
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    if pixels.ndim == 2 and path.suffix in (".gif", ".ppm"):  # OpenCV writes these only in colour
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    ok, content = cv2.imencode(path.suffix.lower(), pixels)
    assert ok
    path.write_bytes(content.tobytes())
    return path


def make_set(root: Path, train: int = 4, test: int = 2, size: int = 48) -> Path:
    """Write images with a dark bar as vessel: `root/{train,test}/{image,mask}/01.png`, …"""
    for part, count in (("train", train), ("test", test)):
        for kind in ("image", "mask"):
            (root / part / kind).mkdir(parents=True)
        for number in range(1, count + 1):
            rng = np.random.default_rng([train, test, part == "test", number])
            image = rng.integers(100, 200, (size, size, 3)).astype(np.uint8)
            mask = np.zeros((size, size), np.uint8)
            mask[:, number : number + 3] = 255
            image[mask > 0] //= 3
            write(root / part / "image" / f"{number:02d}.png", image)
            write(root / part / "mask" / f"{number:02d}.png", mask)
    return root
