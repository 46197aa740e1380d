"""Decisions at the end of an epoch: how long the next one takes, pruning, and when to stop."""

import json
import os
from pathlib import Path

import pytest

from unetsweep.training import decisions
from unetsweep.training.checkpoints import ArtifactWriter
from unetsweep.training.decisions import EpochTimer, PruneFileReader, RankZeroPolicy

SECONDS = "unetsweep.training.decisions.time.monotonic"


def write(path: Path, **changes: object) -> None:
    content = {"schema": 1, "attempt": 1, "trial": 0, "milestones": [8], "epoch": 2, "reason": "slow", "at": "now"}
    path.write_text(json.dumps({**content, **changes}))


def timer(monkeypatch: pytest.MonkeyPatch, *ends: float, val_every: int = 1) -> EpochTimer:
    now = iter((0.0, 0.0, *ends))
    monkeypatch.setattr(SECONDS, lambda: next(now))
    found = EpochTimer(val_every)
    found.start()
    for _ in ends:
        found.record_epoch()
    return found


def test_the_next_epoch_is_estimated_from_the_longest_recent_one_with_a_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    found = timer(monkeypatch, 90, 100, 104, 108, 112, 116)  # the first one, of 90 s, is not recent
    assert found.seconds_needed(1) == pytest.approx(1.2 * 10 + decisions.FIRST_SAVE_S)
    validated = timer(monkeypatch, 90, 100, 104, 108, 112, 116, val_every=8)  # but it may be the last with validation
    assert validated.seconds_needed(1) == pytest.approx(1.2 * 90 + decisions.FIRST_SAVE_S)


def test_a_checkpoint_is_estimated_from_the_longest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = timer(monkeypatch, 10)
    monkeypatch.setattr(SECONDS, lambda: 11.0)
    for seconds in (7.0, 3.0):
        found.record_save(seconds)
    assert found.seconds_needed(1) == pytest.approx(12 + 7)
    assert found.seconds_needed(2) == pytest.approx(12 + 14)


def test_a_stop_file_is_read_only_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "prune.json"
    prunes = PruneFileReader(path, 1)
    assert prunes.read() == (frozenset(), "")
    write(path)
    assert prunes.read() == (frozenset({8}), "slow")
    before = path.stat()
    write(path, reason="fast")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert prunes.read() == (frozenset({8}), "slow")
    write(tmp_path / "new", milestones=[4, 8], reason="slower")
    os.replace(tmp_path / "new", path)
    assert prunes.read() == (frozenset({4, 8}), "slower")
    path.unlink()
    assert prunes.read() == (frozenset(), "")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "attempt": "x"}'])
def test_an_unreadable_stop_file_is_named_and_prunes_nothing(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prune.json"
    path.write_text(text)
    prunes = PruneFileReader(path, 1)
    for _ in range(2):
        assert prunes.read() == (frozenset(), "")
    assert capsys.readouterr().out.count(f"{path} cannot be read and is ignored") == 1


def test_a_training_with_only_pruned_milestones_left_does_not_ask_for_a_requeue(tmp_path: Path) -> None:
    write(tmp_path / "prune.json", milestones=[6, 8])
    policy = RankZeroPolicy(
        ArtifactWriter(tmp_path, "1-3", lambda: True), EpochTimer(1), lambda needed: "the end is near"
    )
    decision = policy.next_step([6, 8])
    assert (decision.pruned, decision.prune_reason, decision.requeue_reason, decision.save) == (
        (6, 8),
        "slow",
        None,
        True,
    )
    assert policy.next_step([6, 8, 9]).requeue_reason == "the end is near"
    assert (
        RankZeroPolicy(ArtifactWriter(tmp_path, "2-0", lambda: True), EpochTimer(1), lambda needed: None)
        .next_step([6, 8])
        .pruned
        == ()
    )
