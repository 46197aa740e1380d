"""`run.keep_checkpoints: best` with our trainer, on processes of this machine."""

from pathlib import Path

import pytest
from local_sweeps import Workspace

pytestmark = pytest.mark.train

SWEEP = """\
data: {root: eyes, image_size: 32}
space: {epochs: [1, 2], batch_size: [4], learning_rate: [1e-3]}
model: {base: 2, depth: 1}
run: {parallel: 2, keep_checkpoints: KEEP}
"""


def checkpoints(workspace: Workspace) -> set[str]:
    return {path.name for path in workspace.root().glob("runs/*/checkpoints/*")}


def run_sweep(workspace: Workspace, keep: str) -> Path:
    """Run a sweep to its end; return its file."""
    path = workspace.folder / "s.yaml"
    path.write_text(SWEEP.replace("KEEP", keep))
    workspace.submit(path)
    workspace.wait_ended(2)
    return path


def test_after_the_end_only_the_best_checkpoint_of_each_trial_is_left_and_it_works(workspace: Workspace):
    run_sweep(workspace, "best")
    assert checkpoints(workspace) == {"best-1.ckpt", "best-2.ckpt"}
    assert list((workspace.root() / "collectable").iterdir()) == []
    assert "CollectCheckpoints" in (workspace.root() / "ledger.jsonl").read_text()
    best = workspace.root() / "runs/0000/checkpoints/best-2.ckpt"
    workspace.run("predict", best, "eyes/test/image", "--out", "masks")


def test_checkpoints_that_were_kept_are_deleted_after_the_setting_is_changed(workspace: Workspace):
    sweep = run_sweep(workspace, "all")
    before = checkpoints(workspace)
    assert {"last.ckpt", "best-1.ckpt", "best-2.ckpt"} < before
    sweep.write_text(sweep.read_text().replace("keep_checkpoints: all", "keep_checkpoints: best"))
    assert "last checkpoints of 1 run:" in workspace.submit(sweep).stdout
    assert checkpoints(workspace) == {"best-1.ckpt", "best-2.ckpt"}
    assert "last checkpoints" not in workspace.submit(sweep).stdout


def test_a_longer_trial_trains_from_the_beginning_if_the_last_checkpoint_was_deleted(workspace: Workspace):
    sweep = run_sweep(workspace, "best")
    sweep.write_text(sweep.read_text().replace("[1, 2]", "[1, 2, 3]"))
    workspace.submit(sweep)
    workspace.wait_ended(3)
    assert checkpoints(workspace) == {"best-1.ckpt", "best-2.ckpt", "best-3.ckpt"}
    assert [result["epochs_run"] for result in workspace.results()] == [1, 2, 3]
