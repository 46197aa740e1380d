"""Identifies the code that runs, by a digest of the package's sources and the commit they came from.

Rule 1: a sweep's copy of the package has a file with its digest next to it; without that file the digest is computed.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from unetsweep.errors import StateError
from unetsweep.regular_files import read_bytes

MARKER = "py.typed"
TEMPLATES = "templates"
"""Folders with this name hold the templates of pages."""
DIGITS = 12
NOTE = "code.json"
DIFF = "code.diff"


def folder() -> Path:
    """The folder of the running package."""
    return Path(__file__).absolute().parent


def sources(package: Path) -> dict[str, bytes]:
    """The package's source files and templates by relative path; empty if the folder does not exist."""
    paths = [*package.rglob("*.py"), *package.rglob(f"{TEMPLATES}/*"), package / MARKER]
    found = {path.relative_to(package).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    return dict(sorted(found.items()))


def digest(files: Mapping[str, bytes]) -> str:
    """A digest of names and contents."""
    total = hashlib.sha256()
    for name, content in files.items():
        total.update(f"{len(name.encode())} {name} {len(content)} ".encode())
        total.update(content)
    return total.hexdigest()[:DIGITS]


def code(package: Path | None = None) -> dict[str, str]:
    """Return the digest as `package`; for a sweep's copy also `commit`, and `diff`: a digest of uncommitted changes."""
    package = folder() if package is None else package
    with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError, StateError):  # no file of ours
        raw = json.loads(read_bytes(package.parent / NOTE))
        if raw["package"] == package.parent.name:
            return {name: str(raw[name]) for name in ("package", "commit", "diff") if raw.get(name)}
    return {"package": digest(sources(package))}
