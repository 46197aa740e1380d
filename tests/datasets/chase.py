"""The folder of CHASE_DB1, if it is available: 28 real photographs, both eyes of 14 children."""

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[2]
_FOLDERS = [parent / "shared" / "data" / "chase_db1" for parent in (_REPOSITORY.parent, _REPOSITORY.parent.parent)]

CHASE = Path(os.environ.get("UNETSWEEP_CHASE", next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])))
needs_chase = pytest.mark.skipif(
    not (CHASE / "train").is_dir(), reason="CHASE_DB1 is not here; set UNETSWEEP_CHASE to its folder"
)
