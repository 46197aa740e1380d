"""Decode image files with OpenCV: images as 8 bits a channel, masks with the levels that they have.

Rule 1: files are decoded from memory: OpenCV's own file reading fails for non-ASCII paths on some systems and accepts
        truncated files.
Rule 2: an image of 16 bits that holds less is read with the bits that its brightest pixel needs: 8, 10, 12, 14 or 16.
        So the same file is read alike in every set, in training and in prediction.
Rule 3: orientation tags are not applied (`exif`).
Rule 4: a damaged JPEG is refused. libjpeg decodes it, and reports the damage only on standard error, or not (`jpeg`).
"""

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unetsweep.datasets.exif import orientation, without_turn
from unetsweep.datasets.jpeg import has_zeros
from unetsweep.errors import DataError

Pixels = NDArray[np.uint8]

MIN_SIDE = 16
"""Smaller images show no vessels, and no network with poolings can use them."""
_BITS = (8, 10, 12, 14, 16)
"""Bits of a pixel that cameras deliver."""
_DEPTH = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_ADVICE = "write it again as PNG, or remove image and mask"
_COMMENT = re.compile(rb"#[^\r\n]*")
# Some cameras fill a JPEG with zeros or ones before its end. Other bytes there are pixels that were not decoded.
_PADDING = re.compile(rb"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
_OF_LIBJPEG = (b"Corrupt JPEG", b"Premature end", b"Invalid")
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image as it is used."""

    pixels: Pixels
    """Height x width x 3 in BGR order, or height x width."""
    bits: int | None
    """Bits that were used of a file with 16 bits a channel; None for a file of 8 bits."""
    orientation: int
    """The orientation tag, which is not applied."""
    most_bits: int | None = None
    """Bits that all pixels need but the brightest 0.1 %; fewer than `bits` if a few pixels are far brighter."""


def decode_image(path: Path, channels: int) -> Decoded:
    """Decode an image (3: colour, 1: grey); raises DataError if it is damaged, too small or not of 8 or 16 bits."""
    content = _content(path)
    pixels = _decoded(path, content, _DEPTH | (cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE))
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        found = f"is {width}x{height}; an image needs at least {MIN_SIDE} pixels a side; remove image and mask"
        raise DataError(str(path), [found])
    tag = orientation(content)
    if pixels.dtype == np.uint8:
        return Decoded(np.asarray(pixels, np.uint8), None, tag)
    bits = used_bits(int(pixels.max()))
    most = used_bits(int(np.percentile(pixels, 99.9)))
    return Decoded((pixels >> (bits - 8)).astype(np.uint8), bits, tag, most)


def decode_mask(path: Path) -> tuple[NDArray[Any], int]:
    """Return the grey levels of a mask as they are in the file, height x width, of 8 or 16 bits; and its orientation.

    A colour has the grey level of its luminance. 16-bit masks keep their levels: reduced to 8 bits, {0, 1} would
    become {0, 0}. Raises DataError.
    """
    content = _content(path)
    return _decoded(path, content, _DEPTH | cv2.IMREAD_GRAYSCALE), orientation(content)


def decode_colours(path: Path) -> Pixels | None:
    """Return the colours of a mask, height x width x 3 in BGR order; None if the file is grey, or has 16 bits."""
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = _decoded(path, _content(path), flags)
    return np.asarray(pixels, np.uint8) if pixels.ndim == 3 and pixels.dtype == np.uint8 else None


def has_alpha(path: Path) -> bool:
    """Whether a file has a transparency that differs from pixel to pixel."""
    pixels = _decoded(path, _content(path), cv2.IMREAD_UNCHANGED)
    return pixels.ndim == 3 and pixels.shape[2] == 4 and bool(pixels[..., 3].min() < pixels[..., 3].max())


def used_bits(highest: int) -> int:
    """Return the bits that a camera with this highest level in its image has.

    >>> used_bits(255), used_bits(256), used_bits(4095), used_bits(65535)
    (8, 10, 12, 16)
    """
    return next(bits for bits in _BITS if highest < 1 << bits)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(str(path), [f"cannot be read ({error.strerror or error}); check the file"]) from error
    if content[:2] in (b"P1", b"P2", b"P3"):  # numbers as text, among which OpenCV does not accept all comments
        return _COMMENT.sub(b" ", content) + b"\n"
    return content


def _decoded(path: Path, content: bytes, flags: int) -> NDArray[Any]:
    pixels, damage = None, ""
    if content:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our error says it
        try:
            pixels, damage = _decoded_or_damaged(content, flags)
        except cv2.error:
            pixels = None
        finally:
            cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        found = f"{len(content):,} bytes that are not a complete {path.suffix[1:].upper()} image"
        raise DataError(str(path), [f"found {found if content else 'an empty file'}; {_ADVICE}"])
    if damage:
        advice = "restore it from its source, or remove image and mask"
        raise DataError(str(path), [f"is damaged ({damage}), so pixels are wrong; {advice}"])
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(str(path), [f"found {pixels.dtype} pixels; 8 or 16 bits a channel are expected; {_ADVICE}"])
    return pixels


def _decoded_or_damaged(content: bytes, flags: int) -> tuple[NDArray[Any] | None, str]:
    """Return the pixels, and what is known of damage."""
    with _one_at_a_time, _standard_error() as output:
        pixels = cv2.imdecode(np.frombuffer(without_turn(content), np.uint8), flags)
    damage = "zeros in its middle" if content.startswith(b"\xff\xd8") and has_zeros(content) else ""
    for line in output[0].splitlines():
        if line.startswith(_OF_LIBJPEG) and not _is_padding(line, content):
            damage = damage or line.decode("ascii", "replace").removeprefix("Corrupt JPEG data: ")
        elif line.strip() and not line.startswith((*_OF_LIBJPEG, b"libpng", b"TIFF")):
            os.write(2, line + b"\n")  # of another thread
    return pixels, damage


def _is_padding(line: bytes, content: bytes) -> bool:
    """Whether the bytes that libjpeg found before the end are no part of the pixels."""
    found = _PADDING.match(line)
    return found is not None and set(content.rstrip(b"\0")[-2 - int(found[1]) : -2]) <= {0x00, 0xFF}


@contextlib.contextmanager
def _standard_error() -> Iterator[list[bytes]]:
    """Collect what libraries write to standard error, in the first item of the list, when the context ends."""
    output = [b""]
    try:
        saved = os.dup(2)
    except OSError:  # it is closed
        yield output
        return
    with tempfile.TemporaryFile() as file:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(file.fileno(), 2)
        try:
            yield output
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            output[0] = file.read()
