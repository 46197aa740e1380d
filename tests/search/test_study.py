"""When the journal of a study is exported: a small one at once, a large one from time to time."""

import os
from pathlib import Path

import pytest

from unetsweep.search.study import LAG_S_PER_BYTE, JournalStudy
from unetsweep.search.study import SMALL_JOURNAL_BYTES as SMALL


@pytest.mark.parametrize(
    ("size", "seconds", "is_due"),
    [
        pytest.param(None, 0, True, id="there is no journal yet"),
        pytest.param(SMALL, 0, True, id="a small journal is due at every result"),
        pytest.param(2 * SMALL, 1, False, id="a large journal is not due while it is young"),
        pytest.param(2 * SMALL, 2 * SMALL * LAG_S_PER_BYTE + 1, True, id="a large journal is due when it is old"),
    ],
)
def test_an_export_is_due_when_the_journal_is_small_or_old(
    size: int | None, seconds: float, is_due: bool, tmp_path: Path
):
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


def test_a_large_journal_that_was_too_young_is_exported_by_a_later_reconciliation(tmp_path: Path):
    path = tmp_path / "study.journal"
    path.write_bytes(b"0" * 2 * SMALL)
    study = JournalStudy(path)
    study.mark_stale()
    assert not study.is_export_due()
    later = path.stat().st_mtime + 2 * SMALL * LAG_S_PER_BYTE + 1
    (tmp_path / "last-reconciliation").touch()
    os.utime(tmp_path / "last-reconciliation", (later, later))
    assert study.is_export_due()
