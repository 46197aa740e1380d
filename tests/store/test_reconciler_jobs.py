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


def test_after_a_refusal_the_last_accepted_reconciler_job_counts(tmp_path: Path):
    reconcilers = ReconcilerJobs(tmp_path)
    assert reconcilers.last() is None
    accepted = reconcilers.create_intent(1, as_training=True)
    reconcilers.record(1, "9")
    for number in (2, 3):
        reconcilers.create_intent(number)
        reconcilers.mark_lost(number, f"refusal {number}", refused=True)
    last = reconcilers.last()
    assert last is not None
    assert (last.number, last.token, last.lost, last.as_training, last.refusal) == (
        3,
        accepted,
        False,
        True,
        "refusal 3",
    )
    reconcilers.create_intent(4)
    reconcilers.mark_lost(4, "it never starts")
    last = reconcilers.last()
    assert last is not None
    assert (last.number, last.lost, last.refusal, last.refused_at) == (4, True, None, None)


def test_if_all_were_refused_the_reconciler_job_is_lost(tmp_path: Path):
    reconcilers = ReconcilerJobs(tmp_path)
    reconcilers.create_intent(1)
    reconcilers.mark_lost(1, "no", refused=True)
    last = reconcilers.last()
    assert last is not None
    assert (last.number, last.lost, last.refusal) == (1, True, "no")
