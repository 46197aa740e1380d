"""Sweeps of a program that uses the client, on processes of this machine."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import Workspace

from unetsweep import client

TRAINER = """
import unetsweep_client
run = unetsweep_client.start()
first = int(run.resume_from.read_text()) if run.resume_from else 0
for epoch in range(first + 1, run.params["epochs"] + 1):
    score = epoch * run.params["learning_rate"]
    run.report(epoch, val_iou=score)
    with run.checkpoint() as path:
        path.write_text(str(epoch))
    run.milestone(epoch, val_iou=score)
    if run.should_prune() or run.should_requeue():
        break
run.finish(val_iou=score)
"""
SWEEP = """\
space: {{epochs: {epochs}, batch_size: [4], learning_rate: [1e-2]}}
trainer: {{command: "{python} trainer.py", resumes: true}}
run: {{parallel: 2}}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "sweeps")
    (made.folder / "unetsweep_client.py").write_bytes(Path(client.__file__).read_bytes())
    (made.folder / "trainer.py").write_text(TRAINER)
    yield made
    made.end()


def submit(workspace: Workspace, epochs: list[int]) -> str:
    path = workspace.folder / "s.yaml"
    path.write_text(SWEEP.format(epochs=epochs, python=sys.executable))
    return workspace.submit(path, "--watch").stdout


def trained(workspace: Workspace, claim: str) -> list[int]:
    lines = (workspace.root() / f"runs/0000/progress-{claim}.jsonl").read_text().splitlines()
    return [json.loads(line)["epoch"] for line in lines]


def test_trials_that_differ_in_epochs_share_a_run_and_a_longer_one_continues_it(workspace: Workspace):
    submit(workspace, [2, 4])
    results = workspace.wait_ended(2)
    assert [(each["epochs"], each["val_iou"], each["state"]) for each in results] == [
        (2, 0.02, "complete"),
        (4, 0.04, "complete"),
    ]
    assert trained(workspace, "1-0") == [1, 2, 3, 4]
    submit(workspace, [2, 4, 6])
    assert [each["val_iou"] for each in workspace.wait_ended(3)] == [0.02, 0.04, 0.06]
    assert trained(workspace, "2-0") == [5, 6]
    assert [path.name for path in (workspace.root() / "runs").iterdir()] == ["0000"]
