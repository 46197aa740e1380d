"""The orientation tag (EXIF) of a JPEG, PNG or TIFF file: how a viewer turns the stored pixels.

Rule 1: the tag is never applied, to images or masks. A mask is drawn for stored pixels or for turned ones, and no file
        says for which; so both stay as they are stored, and a pair of which only one has a tag is named.
"""

import struct
from collections.abc import Iterator

from unetsweep.datasets.jpeg import segments

_TAG = 0x0112
TURNS = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "transposed",
    6: "turned by 90 degrees clockwise",
    7: "transposed and turned by 180 degrees",
    8: "turned by 90 degrees counter-clockwise",
}
"""What a viewer does with the stored pixels, by the value of the tag (CIPA DC-008, section 4.6.4); 1 is nothing."""


def orientation(content: bytes) -> int:
    """Return the orientation tag of a file, 1 to 8; 1 if it has none, or if it cannot be read."""
    for block in _tiff_blocks(content):
        try:
            value, _ = _tag_in(block)
        except struct.error:  # a damaged block
            continue
        if value in TURNS:
            return value
    return 1


def without_turn(content: bytes) -> bytes:
    """Return a TIFF file with an orientation of 1, because libtiff always applies another one; other files as is."""
    if content[:2] not in (b"II", b"MM") or orientation(content) == 1:
        return content
    _, at = _tag_in(content)
    return content[:at] + (b"\1\0" if content[:2] == b"II" else b"\0\1") + content[at + 2 :]


def _tiff_blocks(content: bytes) -> Iterator[bytes]:
    """Yield what may have the tag: the file itself, or the Exif blocks of a JPEG or PNG."""
    if content[:2] in (b"II", b"MM"):
        yield content
    elif content[:2] == b"\xff\xd8":
        for marker, segment in segments(content):
            if marker == 0xE1 and segment.startswith(b"Exif\0\0"):
                yield segment[6:]
    elif content.startswith(b"\x89PNG\r\n\x1a\n"):
        at = 8
        while at + 8 <= len(content):
            length, kind = struct.unpack_from(">I4s", content, at)
            if kind == b"eXIf":
                yield content[at + 8 : at + 8 + length]
            at += 12 + length


def _tag_in(block: bytes) -> tuple[int, int]:
    """Return the tag of the first directory of a TIFF block, and where it is; 1 if there is none. May raise
    struct.error."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1, 0
    (first,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, first)
    for entry in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", block, first + 2 + 12 * entry)
        if tag == _TAG and kind == 3:
            at = first + 10 + 12 * entry
            return int(struct.unpack_from(f"{order}H", block, at)[0]), at
    return 1, 0
