"""Whatever the trainer of one trial writes affects that trial only: the others end, and it can be cancelled."""

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
PATHS = ("milestones/8.json", "progress-1-0.jsonl", "error-0.json", "requeue-1-0.json", "prune.json")


def _writer_of(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content.encode(errors="surrogateescape")) and None


HOSTILE: dict[str, Callable[[Path], None]] = {
    **{name: _writer_of(content) for name, content in CONTENTS.items()},
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A sweep with three running trials."""
    made = Scene(tmp_path / "grid", trials=3)
    made.reconcile()
    made.cluster.tick()
    assert len(made.cluster.running()) == 3
    return made


def plant(scene: Scene, name: str, make: Callable[[Path], None]) -> None:
    path = scene.directory.root / RUN / name
    path.parent.mkdir(exist_ok=True)
    make(path)


@pytest.mark.parametrize("path_in_run", PATHS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_lets_the_other_trials_end_and_its_trial_be_cancelled(
    scene: Scene, path_in_run: str, kind: str
) -> None:
    plant(scene, path_in_run, HOSTILE[kind])
    for _ in range(4):
        for each in scene.cluster.running():
            if scene.cluster.run_of(each)[0] != 1:
                scene.cluster.finish(each)
        scene.clock.advance(40)
        scene.reconcile()
    assert [scene.states()[trial] for trial in (0, 2)] == ["complete", "complete"]
    scene.directory.cancel_trial(1)
    for _ in range(4):
        scene.reconcile()
        scene.clock.advance(100)
    assert scene.cluster.live() == []
    assert scene.states()[1] in ("cancelled", "failed")


def test_a_claims_folder_that_is_a_file_stops_its_trial_only(scene: Scene) -> None:
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


def test_a_hostile_progress_line_is_left_out(scene: Scene) -> None:
    lines = [json.dumps({"epoch": epoch, "val_iou": 0.1 * epoch}) for epoch in (1, 2, 3)]
    hostile = [CONTENTS[name] for name in ("400 digits", "65 bits", "3000 levels")]
    text = "\n".join([lines[0], *hostile[:2], lines[1], hostile[2], lines[2]])
    plant(scene, "progress-1-0.jsonl", _writer_of(text + "\n"))
    assert [point.epoch for point in scene.directory.progress(1)] == [1, 2, 3]
