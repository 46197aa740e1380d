"""Which code runs: a digest of the package's sources, and where they came from.

Rule 1: a copy that a sweep made has a note beside it; a package without one is digested when it is asked.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

MARKER = "py.typed"
DIGITS = 12
NOTE = "code.json"
DIFF = "code.diff"


def folder() -> Path:
    """The folder of the package that runs now."""
    return Path(__file__).absolute().parent


def sources(package: Path) -> dict[str, bytes]:
    """The package's sources by relative name; empty where there is no such folder."""
    paths = [*package.rglob("*.py"), package / MARKER]
    found = {path.relative_to(package).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    return dict(sorted(found.items()))


def digest(files: Mapping[str, bytes]) -> str:
    total = hashlib.sha256()
    for name, content in files.items():
        total.update(f"{len(name.encode())} {name} {len(content)} ".encode())
        total.update(content)
    return total.hexdigest()[:DIGITS]


def code(package: Path | None = None) -> dict[str, str]:
    """`package`: the digest; of a copy also `commit`, and `diff`: a digest of what was not committed."""
    package = folder() if package is None else package
    with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError):  # somebody else's file
        noted = json.loads((package.parent / NOTE).read_bytes())
        if noted["package"] == package.parent.name:
            return {name: str(noted[name]) for name in ("package", "commit", "diff") if noted.get(name)}
    return {"package": digest(sources(package))}
