"""The last events of a sweep, from its ledger."""

import json
from pathlib import Path

from unetsweep.atomic import append_line
from unetsweep.core import paths
from unetsweep.store.ledger import END_BYTES, last_events

AT = "2026-12-01T12:00:00+00:00"


def test_the_last_events_are_read_in_their_order(tmp_path: Path) -> None:
    for trial in range(5):
        append_line(tmp_path / paths.LEDGER, {"action": "FinishTrial", "trial": trial, "state": "complete"})
    append_line(tmp_path / paths.LEDGER, {"action": "RecordJob", "run": 1})
    assert [event.text for event in last_events(tmp_path, 2)] == ["trial 3 complete", "trial 4 complete"]


def test_lines_that_cannot_be_understood_are_left_out(tmp_path: Path) -> None:
    lines = [
        b'{"at": "2026-12-01T12:0',
        b"[]",
        b'{"at": 7, "action": "Propose"}',
        b'{"at": "today", "action": "Propose"}',
        b"\xff\x00",
        json.dumps(
            {"at": AT, "action": "FinishTrial", "trial": 1, "state": "failed", "reason": "a\nb\x1b[2J"}
        ).encode(),
        json.dumps({"at": AT, "action": "Submit", "trouble": "no account"}).encode(),
        json.dumps({"at": AT, "action": "Cancel", "job_ids": 7, "reason": {}}).encode(),
    ]
    (tmp_path / paths.LEDGER).write_bytes(b"\n".join(lines))
    assert [event.text for event in last_events(tmp_path, 9)] == [
        "trial 1 failed: a b",
        "Submit was refused: no account",
        "cancelled 0 jobs",
    ]


def test_a_large_ledger_is_read_from_its_end_and_a_missing_one_has_no_events(tmp_path: Path) -> None:
    assert last_events(tmp_path, 3) == ()
    line = json.dumps({"at": AT, "action": "Propose", "count": 1, "reason": "x" * 1000}) + "\n"
    (tmp_path / paths.LEDGER).write_text(line * 200)
    assert 0 < len(last_events(tmp_path, 999)) <= END_BYTES // 1000
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / paths.LEDGER).mkdir()
    assert last_events(tmp_path / "other", 3) == ()
