"""What one trial's trainer writes stops that trial at most: the others end, and it can be cancelled."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from scenes import Scene

RUN = "runs/0001"
CONTENTS = {
    "400 digits": '{"schema": 1, "state": "complete", "epoch": 2, "attempt": 1, "val_iou": 1' + "0" * 400 + "}",
    "65 bits": '{"schema": 1, "state": "complete", "epoch": 18446744073709551616, "epochs_run": 18446744073709551616}',
    "no finite number": '{"schema": 1, "state": "complete", "epoch": 2, "val_iou": 0.5, "val_loss": 1e400}',
    "3000 levels": '{"schema": 1, "epoch": 2, "val_scores": ' + "[" * 3000 + "]" * 3000 + "}",
    "100 levels": '{"schema": 1, "epoch": 2, "val_scores": ' + '{"a": ' * 100 + "1" + "}" * 100 + "}",
    "a list": "[1, 2]",
    "other types": '{"schema": 1, "state": [], "epoch": "2", "val_iou": {}, "kind": 3, "at": [], "attempt": "x"}',
    "nothing": "",
    "bytes": "\0\udcff",
}
PLACES = ("milestones/8.json", "progress-1-0.jsonl", "error-0.json", "requeue-1-0.json", "stop.json")


def _written(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content.encode(errors="surrogateescape")) and None


INSTEAD: dict[str, Callable[[Path], None]] = {
    **{name: _written(content) for name, content in CONTENTS.items()},
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Three trials at work."""
    made = Scene(tmp_path / "grid", trials=3)
    made.reconcile()
    made.cluster.tick()
    assert len(made.cluster.running()) == 3
    return made


def planted(scene: Scene, name: str, make: Callable[[Path], None]) -> None:
    path = scene.directory.root / RUN / name
    path.parent.mkdir(exist_ok=True)
    make(path)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", INSTEAD)
def test_the_other_trials_end_and_this_one_can_be_cancelled(scene: Scene, place: str, what: str) -> None:
    planted(scene, place, INSTEAD[what])
    for _ in range(4):
        for each in scene.cluster.running():
            if scene.cluster.run_of(each)[0] != 1:
                scene.cluster.finish(each)
        scene.clock.advance(40)
        scene.reconcile()
    assert [scene.states()[trial] for trial in (0, 2)] == ["complete", "complete"]
    scene.directory.cancel(1)
    for _ in range(4):
        scene.reconcile()
        scene.clock.advance(100)
    assert scene.cluster.live() == []
    assert scene.states()[1] in ("cancelled", "failed")


def test_a_claim_s_folder_that_is_a_file_stops_its_trial_only(scene: Scene) -> None:
    claims = scene.directory.root / RUN / "claims"
    for path in claims.iterdir():
        path.unlink()
    claims.rmdir()
    claims.write_text("")
    reconciliation = scene.reconcile()
    assert [str(claims) in wait.reason or "runs/0001" in wait.reason for wait in reconciliation.plan.waits] == [
        False,
        True,
        False,
    ]


def test_a_line_of_progress_that_no_training_writes_is_left_out(scene: Scene) -> None:
    lines = [json.dumps({"epoch": epoch, "val_iou": 0.1 * epoch}) for epoch in (1, 2, 3)]
    hostile = [CONTENTS[name] for name in ("400 digits", "65 bits", "3000 levels")]
    text = "\n".join([lines[0], *hostile[:2], lines[1], hostile[2], lines[2]])
    planted(scene, "progress-1-0.jsonl", _written(text + "\n"))
    assert [point.epoch for point in scene.directory.progress(1)] == [1, 2, 3]
