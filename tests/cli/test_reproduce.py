"""`unetsweep reproduce`: a trial that is trained again is the same bit for bit, or every difference is named."""

import fcntl
import json
import shutil
from pathlib import Path

import pytest
from local_sweeps import Workspace

from unetsweep.analysis.reproducibility import unequal
from unetsweep.contract import Result

pytestmark = pytest.mark.train

SWEEP = """
data: {root: eyes, image_size: 32}
space: {epochs: [EPOCHS], batch_size: [4], learning_rate: [1e-2]}
model: {base: 4, depth: 2}
trainer: {threads: 1}
"""


def train(workspace: Workspace, more: str = "", epochs: int = 2) -> Path:
    """Run a sweep of one trial to its end; return its folder."""
    path = workspace.folder / "s.yaml"
    path.write_text(SWEEP.replace("EPOCHS", str(epochs)) + more)
    workspace.submit(path, "--watch")
    return workspace.folder / "results" / "s"


@pytest.mark.parametrize("more", ["", "slurm: {processes: 2}\n"], ids=["one process", "DDP of 2"])
def test_a_reproduced_trial_is_bit_for_bit_the_same(workspace: Workspace, more: str) -> None:
    root = train(workspace, more)
    before = (root / "trials/0000/result.json").read_bytes(), (root / "study.journal").read_bytes()

    output = workspace.run("reproduce", "s", "0").stdout

    assert "trial 0 of s: bit for bit the same (weights_sha256, best_epoch, val_iou, val_loss, test_iou" in output
    assert "differs" not in output
    assert "changed" not in output
    again = json.loads((root / "reproduced/0000/milestones/2.json").read_text())
    assert again["weights_sha256"] == json.loads(before[0])["weights_sha256"]
    assert ((root / "trials/0000/result.json").read_bytes(), (root / "study.journal").read_bytes()) == before


def test_another_number_of_threads_and_another_result_are_reported(workspace: Workspace) -> None:
    root = train(workspace)

    done = workspace.run("reproduce", "s", "0", "--threads", "2", status=None)

    assert "changed  threads: 1 then, 2 now" in done.stdout
    same = (
        json.loads((root / "reproduced/0000/milestones/2.json").read_text())["weights_sha256"]
        == json.loads((root / "trials/0000/result.json").read_text())["weights_sha256"]
    )
    assert done.returncode == (0 if same else 1)
    assert same or "not the same; see what changed, above" in done.stdout


def test_a_different_number_and_a_different_version_are_named(workspace: Workspace) -> None:
    root = train(workspace, epochs=1)
    path = root / "trials/0000/result.json"
    result = json.loads(path.read_text())
    result["val_iou"] += 1e-12
    result["test_per_image"][1]["tp"] += 1
    result["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(result))

    output = workspace.run("reproduce", "s", "0", status=1).stdout

    assert f"differs  val_iou: {result['val_iou']} then, {result['val_iou'] - 1e-12} now" in output
    assert "differs  test_per_image: 1 of 4 images differ" in output
    assert "changed  versions, numpy: 1.0 then, " in output
    assert "differs  weights" not in output


def test_changed_images_are_named_before_anything_is_trained(workspace: Workspace) -> None:
    root = train(workspace, epochs=1)
    shutil.copy(workspace.folder / "eyes/test/mask/01.png", workspace.folder / "eyes/test/mask/02.png")

    done = workspace.run("reproduce", "s", "0", status=2)

    assert "nothing was trained, because the images changed" in done.stderr
    assert "test: changed since the split was pinned: 02" in done.stderr
    assert not (root / "reproduced").exists()

    shutil.copytree(workspace.folder / "eyes", workspace.folder / "moved")
    shutil.copy(workspace.folder / "eyes/test/mask/01.png", workspace.folder / "moved/test/mask/02.png")
    assert "02" in workspace.run("reproduce", "s", "0", "--data", "moved", status=2).stderr


def test_a_folder_that_reproduce_did_not_make_is_refused(workspace: Workspace) -> None:
    train(workspace, epochs=1)
    (workspace.folder / "mine/checkpoints").mkdir(parents=True)
    (workspace.folder / "mine/config.json").write_text("{}")

    output = workspace.run("reproduce", "s", "0", "--out", "mine", status=2).stderr

    assert "mine is not empty and was not made by `unetsweep reproduce`" in output
    assert (workspace.folder / "mine/config.json").read_text() == "{}"
    assert "has no trial 7" in workspace.run("reproduce", "s", "7", status=2).stderr


def test_files_of_an_earlier_call_are_never_compared(workspace: Workspace) -> None:
    root = train(workspace, epochs=1)
    (workspace.folder / "elsewhere").mkdir()
    (workspace.folder / "link").symlink_to(workspace.folder / "elsewhere")
    workspace.run("reproduce", "s", "0", "--out", "link")
    path = workspace.folder / "elsewhere/milestones/1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "val_iou": 0.123}))

    assert "bit for bit the same" in workspace.run("reproduce", "s", "0", "--out", "link").stdout

    # as after a kill during the removal: the mark is removed last, so the folder is still recognised
    (workspace.folder / "elsewhere/config.json").unlink()
    assert "bit for bit the same" in workspace.run("reproduce", "s", "0", "--out", "link").stdout
    assert not (root / "reproduced").exists()


def test_only_one_reproduce_at_a_time_trains_in_a_folder(workspace: Workspace) -> None:
    root = train(workspace, epochs=1)
    (root / "reproduced/0000").mkdir(parents=True)
    with (root / "reproduced/0000/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        output = workspace.run("reproduce", "s", "0", status=2).stderr
    assert "another `unetsweep reproduce` is running in" in output
    assert "cannot be made" in workspace.run("reproduce", "s", "0", "--out", "/proc/x", status=2).stderr


def test_a_field_that_only_one_result_has_is_a_difference() -> None:
    then, now = Result(val_scores={"dice": 0.5, "extra": None}), Result(val_scores={"dice": 0.5})
    assert unequal(then, now) == ["val_scores: extra none then, unknown now"]
