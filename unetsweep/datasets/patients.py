"""Two eyes of one person, as far as file names tell."""

import re
from collections.abc import Sequence

_MARK = re.compile(r"(?<![A-Za-z])(left|right|od|os|l|r)(?![A-Za-z])", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "od": "os", "os": "od", "l": "r", "r": "l"}


def left_right(names: Sequence[str]) -> dict[str, str]:
    """The person of each name that has a partner which differs only in a mark of left and right.

    >>> left_right(["Image_01L", "Image_01R", "Image_02L", "12_left", "12_right", "01_OD", "01_OS"])
    {'Image_01L': 'Image_01', 'Image_01R': 'Image_01', '12_left': '12', '12_right': '12', '01_OD': '01', '01_OS': '01'}
    """
    marked = {name: [_parts(name, found) for found in _MARK.finditer(name)] for name in names}
    known = {each for found in marked.values() for each in found}
    patients: dict[str, str] = {}
    for name, found in marked.items():
        for before, mark, after in found:
            if (before, _OTHER[mark], after) in known:
                patients[name] = re.sub(r"[_\-. ]+$", "", before) + after or name
                break
    return patients


def _parts(name: str, found: re.Match[str]) -> tuple[str, str, str]:
    return name[: found.start()], found.group().lower(), name[found.end() :]
