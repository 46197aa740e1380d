"""A training feeds every tracker that its config switches on, and none of them can stop or delay it."""

import json
import logging
import os
from pathlib import Path
from typing import Any, get_type_hints

import fake_trackers
import pytest
import training_scenes as scenes

from unetsweep.contract import TrainerConfig, TrialConfig
from unetsweep.training.trackers import mirror, table
from unetsweep.training.trackers.export import read_export
from unetsweep.training.trackers.tracker import Mode


def train_with_fakes(context: Any, out: Path, config: TrialConfig, server: Path) -> None:
    """Train with four more trackers, three of which fail. What the process logs goes to the file `output`."""
    os.dup2(os.open(out / "output", os.O_WRONLY | os.O_CREAT), 2)
    table.TRACKERS = {
        "hanging": fake_trackers.HangingTracker(server),
        "broken": fake_trackers.BrokenTracker(server),
        "failing": fake_trackers.FailingTracker(server),
        "folder": fake_trackers.FolderTracker(server),
    }
    mirror.MIRROR_S = 3.0  # the other trackers need a part of it, also on a busy machine
    scenes.train(context, out, config, name="s/0000")


@pytest.mark.train
def test_a_training_feeds_a_second_tracker_although_others_raise_and_hang(root: Path, tmp_path: Path) -> None:
    out, server = tmp_path / "out", tmp_path / "server"
    config = scenes.config(root, epochs=2, trainer={"comet": "online"})
    assert scenes.run(train_with_fakes, out, config, server) == [0], scenes.error(out)["trace"]
    [uploaded] = server.iterdir()
    found = json.loads(uploaded.read_text())
    assert found["name"] == "s/0000"
    assert sorted(found["curves"]) == ["1", "2"]
    assert found["scores"]["2"]["test_iou"] == scenes.result(out, 2)["test_iou"]
    warnings = [line.partition("; ")[0] for line in (out / "output").read_text().splitlines()]
    assert warnings == [
        "hanging: still busy after 3 s",
        "broken: SystemExit: broken",
        "failing: failing.invalid did not answer",
    ]


@pytest.mark.parametrize(("mode", "archives", "uploads"), [("off", 0, 0), ("offline", 1, 0), ("online", 1, 1)])
def test_the_setting_says_whether_an_archive_is_written_and_uploaded(
    mode: str, archives: int, uploads: int, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    server, out = tmp_path / "server", tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(table, "TRACKERS", {"folder": fake_trackers.FolderTracker(server)})
    mirror.mirror(scenes.config(root, trainer={"comet": mode}), out, "s/0000")
    assert (len(list(out.rglob("*.json"))), len(list(server.glob("*")))) == (archives, uploads)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_uploaded_archive_is_not_uploaded_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = fake_trackers.FolderTracker(tmp_path / "server")
    monkeypatch.setattr(table, "TRACKERS", {"folder": tracker})
    config = scenes.config(root, trainer={"comet": "online"})
    mirror.mirror(config, tmp_path, "s/0000")
    kept = tracker.server / tracker.archive_path(read_export(config, tmp_path, "s/0000"), tmp_path).name
    kept.write_text("as it was uploaded")
    mirror.mirror(config, tmp_path, "s/0000")
    assert kept.read_text() == "as it was uploaded"


@pytest.mark.parametrize("name", table.TRACKERS)
def test_the_setting_of_each_tracker_is_off_by_default_and_can_be_switched_off(name: str) -> None:
    setting = table.TRACKERS[name].setting
    assert get_type_hints(TrainerConfig)[setting] == Mode
    assert getattr(TrainerConfig(), setting) == "off"
    on = TrainerConfig(**{setting: "online"})
    assert name in table.switched_on(on)
    assert table.with_all_off(on) == TrainerConfig()


def test_sync_has_a_tracker_for_sweeps_that_switch_none_on() -> None:
    assert table.DEFAULT in table.TRACKERS
