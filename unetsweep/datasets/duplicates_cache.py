"""What was found in a set of images, remembered by their content.

Rule 1: the key is the content of all files in their order and the version of the method; names and places matter
        no further, so a cache never answers otherwise than the work itself would.
Rule 2: a cache may be lost, torn, foreign or closed to us at any time: then the work is done anew.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.datasets.fingerprints import DOUBTFUL, SURE

METHOD = 2
"""Raised with every change that may find something else."""


@dataclass(frozen=True, slots=True)
class Found:
    """Two contents that show, or may show, one eye."""

    a: str
    """sha256 of the file's bytes."""
    b: str
    correlation: float
    how: str


@dataclass(frozen=True, slots=True)
class Contents:
    """All that was found among different contents."""

    matches: tuple[Found, ...]
    suspicious: tuple[Found, ...]


def default_folder() -> Path | None:
    """`$XDG_CACHE_HOME/unetsweep/duplicates`, else under `~/.cache`; None for a user without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(named) if Path(named).is_absolute() else Path("~/.cache").expanduser()
    except RuntimeError:
        return None
    return folder / "unetsweep" / "duplicates"


def file_of(folder: Path, digests: Sequence[str]) -> Path:
    """The file that belongs to these contents, in this order."""
    text = f"copies {METHOD}\n" + "\n".join(digests)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def recall(file: Path, digests: Sequence[str]) -> Contents | None:
    """What the file says of these contents; None where there is none, or none that can be believed."""
    known = set(digests)
    try:
        said = json.loads(file.read_bytes())
        if said["schema"] != 1 or said["method"] != METHOD or said["images"] != list(digests):
            return None
        matches = tuple(_found(each, known, SURE) for each in said["matches"])
        return Contents(matches, tuple(_found(each, known, DOUBTFUL) for each in said["suspicious"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def remember(file: Path, digests: Sequence[str], contents: Contents) -> None:
    """Write it whole, or not at all where the folder does not let us."""
    rows = {
        "matches": [_row(each) for each in contents.matches],
        "suspicious": [_row(each) for each in contents.suspicious],
    }
    text = json.dumps({"schema": 1, "method": METHOD, "images": list(digests), **rows}, indent=1)
    temporary = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{file.stem[:12]}.", dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(temporary, file)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _found(row: Sequence[object], known: set[str], least: float) -> Found:
    """Raises ValueError for a row that is none of ours."""
    a, b, correlation, how = row
    if not isinstance(correlation, float | int) or not least <= correlation <= 1:  # NaN is neither
        raise ValueError(row)
    if not isinstance(how, str) or a not in known or b not in known:
        raise ValueError(row)
    return Found(str(a), str(b), float(correlation), how)


def _row(found: Found) -> list[object]:
    return [found.a, found.b, found.correlation, found.how]
