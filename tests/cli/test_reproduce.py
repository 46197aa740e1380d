"""A trial trained again is the same bit for bit, or what differs is named."""

import fcntl
import json
import shutil
from pathlib import Path

import pytest
from local_sweeps import Place

from unetsweep.analysis.reproducibility import unequal
from unetsweep.contract import Result

pytestmark = pytest.mark.train

SWEEP = """
data: {root: eyes, image_size: 32}
space: {epochs: [EPOCHS], batch_size: [4], learning_rate: [1e-2]}
model: {base: 4, depth: 2}
trainer: {threads: 1}
"""


def trained(place: Place, more: str = "", epochs: int = 2) -> Path:
    """A sweep of one trial, at its end."""
    path = place.folder / "s.yaml"
    path.write_text(SWEEP.replace("EPOCHS", str(epochs)) + more)
    place.submit(path, "--watch")
    return place.folder / "results" / "s"


@pytest.mark.parametrize("more", ["", "slurm: {processes: 2}\n"], ids=["one process", "DDP of 2"])
def test_a_trial_comes_out_the_same(place: Place, more: str) -> None:
    root = trained(place, more)
    before = (root / "trials/0000/result.json").read_bytes(), (root / "study.journal").read_bytes()

    said = place.run("reproduce", "s", "0").stdout

    assert "trial 0 of s: bit for bit the same (weights, best_epoch, val_iou, val_loss, test_iou" in said
    assert "differs" not in said
    assert "changed" not in said
    again = json.loads((root / "reproduced/0000/milestones/2.json").read_text())
    assert again["weights"] == json.loads(before[0])["weights"]
    assert ((root / "trials/0000/result.json").read_bytes(), (root / "study.journal").read_bytes()) == before


def test_another_number_of_threads_and_another_result_are_reported(place: Place) -> None:
    root = trained(place)

    said = place.run("reproduce", "s", "0", "--threads", "2", status=None)

    assert "changed  threads: 1 then, 2 now" in said.stdout
    same = (
        json.loads((root / "reproduced/0000/milestones/2.json").read_text())["weights"]
        == json.loads((root / "trials/0000/result.json").read_text())["weights"]
    )
    assert said.returncode == (0 if same else 1)
    assert same or "not the same; see what changed, above" in said.stdout


def test_a_wrong_number_and_other_surroundings_are_named(place: Place) -> None:
    root = trained(place, epochs=1)
    path = root / "trials/0000/result.json"
    result = json.loads(path.read_text())
    result["val_iou"] += 1e-12
    result["test_per_image"][1]["tp"] += 1
    result["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(result))

    said = place.run("reproduce", "s", "0", status=1).stdout

    assert f"differs  val_iou: {result['val_iou']} then, {result['val_iou'] - 1e-12} now" in said
    assert "differs  test_per_image: 1 of 4 images differ" in said
    assert "changed  versions, numpy: 1.0 then, " in said
    assert "differs  weights" not in said


def test_changed_data_are_named_before_anything_is_trained(place: Place) -> None:
    root = trained(place, epochs=1)
    shutil.copy(place.folder / "eyes/test/mask/01.png", place.folder / "eyes/test/mask/02.png")

    said = place.run("reproduce", "s", "0", status=2)

    assert "nothing was trained, because the images changed" in said.stderr
    assert "test: changed since the split was pinned: 02" in said.stderr
    assert not (root / "reproduced").exists()

    shutil.copytree(place.folder / "eyes", place.folder / "moved")
    shutil.copy(place.folder / "eyes/test/mask/01.png", place.folder / "moved/test/mask/02.png")
    assert "02" in place.run("reproduce", "s", "0", "--data", "moved", status=2).stderr


def test_a_folder_of_somebody_elses_is_left_alone(place: Place) -> None:
    trained(place, epochs=1)
    (place.folder / "mine/checkpoints").mkdir(parents=True)
    (place.folder / "mine/config.json").write_text("{}")

    said = place.run("reproduce", "s", "0", "--out", "mine", status=2).stderr

    assert "mine is not empty and was not made by `unetsweep reproduce`" in said
    assert (place.folder / "mine/config.json").read_text() == "{}"
    assert "has no trial 7" in place.run("reproduce", "s", "7", status=2).stderr


def test_what_an_earlier_call_left_is_never_compared(place: Place) -> None:
    root = trained(place, epochs=1)
    (place.folder / "elsewhere").mkdir()
    (place.folder / "link").symlink_to(place.folder / "elsewhere")
    place.run("reproduce", "s", "0", "--out", "link")
    path = place.folder / "elsewhere/milestones/1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "val_iou": 0.123}))

    assert "bit for bit the same" in place.run("reproduce", "s", "0", "--out", "link").stdout

    # killed while it cleared the folder: the marker goes last, so it is still ours
    (place.folder / "elsewhere/config.json").unlink()
    assert "bit for bit the same" in place.run("reproduce", "s", "0", "--out", "link").stdout
    assert not (root / "reproduced").exists()


def test_only_one_at_a_time_trains_in_a_folder(place: Place) -> None:
    root = trained(place, epochs=1)
    (root / "reproduced/0000").mkdir(parents=True)
    with (root / "reproduced/0000/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = place.run("reproduce", "s", "0", status=2).stderr
    assert "another `unetsweep reproduce` is running in" in said
    assert "cannot be made" in place.run("reproduce", "s", "0", "--out", "/proc/x", status=2).stderr


def test_a_field_that_only_one_result_has_is_a_difference() -> None:
    then, now = Result(val_scores={"dice": 0.5, "extra": None}), Result(val_scores={"dice": 0.5})
    assert unequal(then, now) == ["val_scores: extra unknown then, unknown now"]
