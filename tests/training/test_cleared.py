"""A run without its last checkpoint (`run.keep_checkpoints: best`) trains from the beginning, to the same bits."""

import shutil
from pathlib import Path

import pytest
import training_scenes as scenes
from training_scenes import FOUR, trained

pytestmark = pytest.mark.train


def test_a_run_without_its_last_checkpoint_trains_from_the_beginning_and_keeps_its_best_weights(
    root: Path, whole: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    checkpoints = out / "checkpoints"
    first = (checkpoints / "best-3.ckpt").read_bytes()
    for path in (checkpoints / "last.ckpt", *checkpoints.glob("candidate-*.ckpt"), out / "milestones/4.json"):
        path.unlink()
    again = trained(out, scenes.config(root, **{**FOUR, "epochs": 5}), milestones=(3, 4, 5), claim="2-0")
    assert scenes.result(again, 4)["weights_sha256"] == scenes.result(whole, 4)["weights_sha256"]
    assert scenes.result(again, 5)["epochs_run"] == 5
    assert (checkpoints / "best-3.ckpt").read_bytes() == first
