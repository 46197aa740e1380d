"""Cache of the duplicate search, by the content of the images.

Rule 1: the key is the content of all files in their order and the version of the method, not their names or folders, so
        a cached answer never differs from a new search.
Rule 2: a cache file that is missing, corrupt or not accessible means a new search, never an error.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from unetsweep.atomic import write_text
from unetsweep.datasets.fingerprints import DOUBTFUL, SURE
from unetsweep.errors import StateError
from unetsweep.regular_files import read_bytes

METHOD = 4
"""Increase this number with every change that may find other duplicates, or describe them in another way."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two photographs of the same eye."""

    a: str
    """`part/name`; in the cache the sha256 of the file's bytes."""
    b: str
    correlation: float
    """Of the vessels, -1 to 1, with `b` aligned to `a`."""
    transform: str
    """What was done to `a` to make `b`, as text for people."""


@dataclass(frozen=True, slots=True)
class Matches:
    """All pairs of images that show the same eye, or may."""

    sure: tuple[Match, ...]
    suspicious: tuple[Match, ...]


def default_folder() -> Path | None:
    """Return `$XDG_CACHE_HOME/unetsweep/duplicates`, else the same in `~/.cache`; None for a user without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(named) if Path(named).is_absolute() else Path("~/.cache").expanduser()
    except RuntimeError:
        return None
    return folder / "unetsweep" / "duplicates"


def cache_file(folder: Path, digests: Sequence[str]) -> Path:
    """Return the file for these contents in this order."""
    text = f"duplicates {METHOD}\n" + "\n".join(digests)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def load_matches(file: Path, digests: Sequence[str]) -> Matches | None:
    """Return the matches of these contents; None if the file does not have them."""
    known = set(digests)
    try:
        raw = json.loads(read_bytes(file))
        if raw["schema"] != 1 or raw["method"] != METHOD or raw["images"] != list(digests):
            return None
        sure = tuple(_match(row, known, SURE) for row in raw["matches"])
        return Matches(sure, tuple(_match(row, known, DOUBTFUL) for row in raw["suspicious"]))
    except (OSError, StateError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def save_matches(file: Path, digests: Sequence[str], matches: Matches) -> None:
    """Write the matches of these contents, if the folder allows it."""
    rows = {"matches": list(map(astuple, matches.sure)), "suspicious": list(map(astuple, matches.suspicious))}
    text = json.dumps({"schema": 1, "method": METHOD, "images": list(digests), **rows}, indent=1)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)


def _match(row: Sequence[object], known: set[str], least: float) -> Match:
    """Return a row as a Match; raises ValueError for a row that this module did not write."""
    a, b, correlation, transform = row
    if not isinstance(correlation, float | int) or not least <= correlation <= 1:  # also excludes NaN
        raise ValueError(row)
    if not isinstance(transform, str) or a not in known or b not in known:
        raise ValueError(row)
    return Match(str(a), str(b), float(correlation), transform)
