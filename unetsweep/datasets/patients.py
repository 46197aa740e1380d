"""Left and right eyes of a patient, recognized by their file names."""

import re
from collections.abc import Sequence

_MARK = re.compile(r"(?<![A-Za-z])(left|right|od|os|l|r)(?![A-Za-z])", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "od": "os", "os": "od", "l": "r", "r": "l"}


def left_right(names: Sequence[str]) -> dict[str, str]:
    """Return the patient of each name whose partner differs only in the mark of left or right.

    >>> left_right(["Image_01L", "Image_01R", "Image_02L", "12_left", "12_right", "01_OD", "01_OS"])
    {'Image_01L': 'Image_01', 'Image_01R': 'Image_01', '12_left': '12', '12_right': '12', '01_OD': '01', '01_OS': '01'}
    """
    marks_of = {name: [_parts(name, match) for match in _MARK.finditer(name)] for name in names}
    known = {mark for marks in marks_of.values() for mark in marks}
    patients: dict[str, str] = {}
    for name, marks in marks_of.items():
        for before, mark, after in marks:
            if (before, _OTHER[mark], after) in known:
                patients[name] = re.sub(r"[_\-. ]+$", "", before) + after or name
                break
    return patients


def _parts(name: str, mark: re.Match[str]) -> tuple[str, str, str]:
    return name[: mark.start()], mark.group().lower(), name[mark.end() :]
