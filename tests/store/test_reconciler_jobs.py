"""The files of the reconciler jobs of a sweep."""

import os
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.store.reconciler_jobs import ReconcilerJobs


def test_a_corrupt_reconciler_file_counts_as_lost_since_its_modification_time(tmp_path: Path):
    reconcilers = ReconcilerJobs(tmp_path)
    reconcilers.create_intent(1)
    path = tmp_path / "reconcilers/1.json"
    path.write_text('{"tok')
    os.utime(path, (1e9, 1e9))
    last = reconcilers.last()
    assert last is not None
    assert (last.lost, last.at) == (True, datetime.fromtimestamp(1e9, UTC))
