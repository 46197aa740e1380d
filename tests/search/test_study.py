"""When the study's journal is exported: a small one at once, a large one now and then."""

import os
from pathlib import Path

import pytest

from unetsweep.search.study import LAG_S_PER_BYTE, JournalStudy
from unetsweep.search.study import SMALL_JOURNAL_BYTES as SMALL


@pytest.mark.parametrize(
    ("size", "seconds", "is_due"),
    [
        pytest.param(None, 0, True, id="there is none yet"),
        pytest.param(SMALL, 0, True, id="a small one at every ending"),
        pytest.param(2 * SMALL, 1, False, id="a large one is young"),
        pytest.param(2 * SMALL, 2 * SMALL * LAG_S_PER_BYTE + 1, True, id="a large one is old"),
    ],
)
def test_a_large_journal_may_lag(size: int | None, seconds: float, is_due: bool, tmp_path: Path):
    path = tmp_path / "study.journal"
    study = JournalStudy(path)
    if size is not None:
        path.write_bytes(b"0" * size)
    assert not study.is_export_due()
    study.mark_stale()
    ended = (tmp_path / "study.journal.outdated").stat().st_mtime
    if size is not None:
        os.utime(path, (ended - seconds, ended - seconds))
    assert study.is_stale()
    assert study.is_export_due() is is_due


def test_a_large_journal_that_was_young_at_the_last_ending_is_due_when_a_later_pass_looks(tmp_path: Path):
    path = tmp_path / "study.journal"
    path.write_bytes(b"0" * 2 * SMALL)
    study = JournalStudy(path)
    study.mark_stale()
    assert not study.is_export_due()
    later = path.stat().st_mtime + 2 * SMALL * LAG_S_PER_BYTE + 1
    (tmp_path / "last-reconciliation").touch()
    os.utime(tmp_path / "last-reconciliation", (later, later))
    assert study.is_export_due()
