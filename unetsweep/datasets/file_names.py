"""Names of image files: which are read, and which mask belongs to which image.

Rule 1: names are compared in Unicode's composed form (NFC), because macOS stores and copies them decomposed (NFD): `é`
        is one character or two, and looks the same.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".webp"}
)
KINDS_OF_FILES = "PNG, JPEG, TIFF, GIF, BMP, WebP, PPM, PGM or PBM"

_SEPARATORS = "_-. "
_WORD_AT_END = re.compile(r"[_\-. ][A-Za-z]+$")


def composed(name: str) -> str:
    r"""Return a name in the form in which names are compared.

    >>> composed("e\u0301") == composed("\u00e9") == "\u00e9"
    True
    """
    return unicodedata.normalize("NFC", name)


def stem_of(file: Path) -> str:
    """Return the name of a pair: the file's name without its suffix, composed."""
    return composed(file.stem)


def printable(name: object) -> str:
    r"""Return a name or path as UTF-8 text; bytes of another encoding become escapes.

    >>> printable("01.png"), printable("\udce9.png")
    ('01.png', '\\udce9.png')
    """
    return str(name).encode("utf-8", "backslashreplace").decode()


def location(file: Path) -> str:
    """Return a file's path below the root of its dataset.

    >>> location(Path("/data/drive/training/images/21_training.tif"))
    'training/images/21_training.tif'
    """
    return printable("/".join(file.parts[-3:]))


def masks_by_stem(stems: Sequence[str], masks: Sequence[Path]) -> dict[str | None, list[Path]]:
    """Return the masks of each image stem; masks of no image are under None."""
    known, short = frozenset(stems), _shortened(stems)
    found: dict[str | None, list[Path]] = {}
    for mask in masks:
        stem = stem_of(mask)
        found.setdefault(stem if stem in known else owner(stem, stems, short), []).append(mask)
    return found


def owner(mask: str, stems: Sequence[str], shortened: Mapping[str, str] | None = None) -> str | None:
    """Return the stem of the image that a mask belongs to: the same stem, else the longest one that it starts with.

    >>> owner("Image_12R_1stHO", ["Image_12L", "Image_12R"]), owner("im0235.ah", ["im0235"])
    ('Image_12R', 'im0235')
    >>> owner("21_manual1", ["21_training", "22_training"]), owner("10", ["1", "01"])
    ('21_training', None)
    """
    if mask in stems:
        return mask
    prefixes = [stem for stem in stems if mask.startswith(stem) and mask[len(stem)] in _SEPARATORS]
    if prefixes:
        return max(prefixes, key=len)
    short = _shortened(stems) if shortened is None else shortened
    fits = [base for base in short if mask == base or (mask.startswith(base) and mask[len(base)] in _SEPARATORS)]
    return short[max(fits, key=len)] if fits else None


def _shortened(stems: Sequence[str]) -> dict[str, str]:
    """Map stems without their last word (`21` for `21_training`) to the stems, if that is unambiguous."""
    stems_of: dict[str, list[str]] = {}
    for stem in stems:
        base = _WORD_AT_END.sub("", stem)
        if base and base != stem:
            stems_of.setdefault(base, []).append(stem)
    return {base: some[0] for base, some in stems_of.items() if len(some) == 1 and base not in stems}
