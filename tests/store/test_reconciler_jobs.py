"""The files of a sweep's reconciler jobs."""

import os
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.store.reconciler_jobs import ReconcilerJobs


def test_a_torn_reconciler_is_as_old_as_its_file_so_that_another_is_left_in_time(tmp_path: Path):
    reconcilers = ReconcilerJobs(tmp_path)
    reconcilers.create_intent(1)
    path = tmp_path / "reconcilers/1.json"
    path.write_text('{"tok')
    os.utime(path, (1e9, 1e9))
    last = reconcilers.last()
    assert last is not None
    assert (last.lost, last.at) == (True, datetime.fromtimestamp(1e9, UTC))
