"""Paths of a file's author, made absolute so that a job on another machine finds them."""

import os
from pathlib import Path


def absolute(text: str, working: Path) -> str:
    """`text` from the working directory, `~` said in full; links are kept, and nothing need be there."""
    return os.path.abspath(working / os.path.expanduser(text))
