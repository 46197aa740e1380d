"""Where CHASE_DB1 lies, if it does: 28 real photographs, both eyes of 14 children."""

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[2]
_PLACES = [parent / "shared" / "data" / "chase_db1" for parent in (_REPOSITORY.parent, _REPOSITORY.parent.parent)]

CHASE = Path(os.environ.get("UNETSWEEP_CHASE", next((place for place in _PLACES if place.is_dir()), _PLACES[0])))
needs_chase = pytest.mark.skipif(
    not (CHASE / "train").is_dir(), reason="CHASE_DB1 is not here; name it in UNETSWEEP_CHASE"
)
