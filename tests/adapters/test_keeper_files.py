"""The files of a sweep's keepers."""

import os
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.adapters.keeper_files import Keepers


def test_a_torn_keeper_is_as_old_as_its_file_so_that_another_is_left_in_time(tmp_path: Path):
    keepers = Keepers(tmp_path)
    keepers.intend(1)
    path = tmp_path / "keepers/1.json"
    path.write_text('{"tok')
    os.utime(path, (1e9, 1e9))
    last = keepers.last()
    assert last is not None
    assert (last.lost, last.at) == (True, datetime.fromtimestamp(1e9, UTC))
