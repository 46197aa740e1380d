"""Damage of a JPEG that libjpeg decodes without a word: zeros in the middle, as a full disk or a broken copy leaves.

The codes of a JPEG find their way back after damage, so libjpeg notices only pixels that are missing or left over.
"""

import re
import struct
from collections.abc import Iterator

_ZEROS = re.compile(rb"\0{32,}")
"""Of these 256 bits at least one block would have 63 coefficients of -1, which no photograph has."""
_BASELINE, _TABLES, _SCAN = (0xC0, 0xC1), 0xC4, 0xDA


def segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of each segment up to the first pixels; the last one starts the scan."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        (length,) = struct.unpack_from(">H", content, at + 2)
        yield content[at + 1], content[at + 4 : at + 2 + length]
        if content[at + 1] == _SCAN:
            return
        at += 2 + length


def has_zeros(content: bytes) -> bool:
    """Whether a baseline JPEG has zeros where coded pixels must be.

    If the code of zeros means "end of block", as in some optimised files, flat areas are zeros; then this is False.
    """
    found = list(segments(content))
    markers = {marker for marker, _ in found}
    if _SCAN not in markers or not markers.intersection(_BASELINE):
        return False
    tables = b"".join(segment for marker, segment in found if marker == _TABLES)
    start = 2 + sum(len(segment) + 4 for _, segment in found)
    zeros = _ZEROS.search(content, start, max(start, content.rfind(b"\xff\xd9")))
    return zeros is not None and _shortest_code(tables) not in (None, 0)


def _shortest_code(tables: bytes) -> int | None:
    """Return what the code of zeros means in the first table of coefficients (ITU-T T.81, B.2.4.2); None if missing."""
    at = 0
    while at + 17 < len(tables):
        if tables[at] == 0x10:
            return tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return None
