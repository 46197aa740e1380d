"""A training by hand equals that of a sweep bit for bit, needs no network, and reports what cannot be trained."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import forks
import pytest
from local_sweeps import environment, with_signals

pytestmark = pytest.mark.train

CONFIG: dict[str, Any] = {
    "data": {"root": "eyes", "image_size": 32, "split": {"groups": "groups.csv"}},
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 0.01,
    "model": {"base": 4, "depth": 2},
}
SWEEP = """
data: {root: eyes, image_size: 32, split: {groups: groups.csv}}
space: {epochs: [2], batch_size: [4], learning_rate: [1e-2]}
model: {base: 4, depth: 2}
"""


@pytest.fixture
def here(tmp_path: Path, eyes: Path) -> Path:
    (tmp_path / "eyes").symlink_to(eyes)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "s.yaml").write_text(SWEEP)
    return tmp_path


def unetsweep(here: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = forks.run(
        [sys.executable, "-m", "unetsweep", *arguments],
        cwd=here,
        env=environment(),
        timeout=300,
        torch=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_minimal_config_by_hand_equals_the_trial_of_a_sweep_bit_for_bit(here: Path):
    # a sweep without GPUs sets this accelerator; on a machine without a GPU `auto` would be the same
    (here / "config.json").write_text(json.dumps(CONFIG | {"accelerator": "cpu"}))
    unetsweep(here, "train", "config.json", "--out", "hand")
    unetsweep(here, "submit", "s.yaml", "--executor", "local", "--watch")
    assert same_result(here / "hand", here / "results/s/runs/0000", here / "results/s/trials/0000")


def same_result(one: Path, other: Path, trial: Path | None = None) -> bool:
    """Whether two trainings of two epochs have the same scores and weights, to the last bit.

    `trial`: the folder of the other's result, if it is not `other`.
    """
    results = [json.loads((folder / "result.json").read_bytes()) for folder in (one, trial or other)]
    same = ("val_iou", "val_loss", "test_iou", "test_loss", "best_epoch", "test_per_image", "data_manifest")
    assert {name: results[0][name] for name in same} == {name: results[1][name] for name in same}
    import torch

    weights = [torch.load(folder / "checkpoints/best-2.ckpt", weights_only=True)["weights"] for folder in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    return all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.fixture
def trained(here: Path, eyes: Path) -> Path:
    """A folder with its own images and a training of two epochs in `out`."""
    (here / "eyes").unlink()
    shutil.copytree(eyes, here / "eyes")
    unetsweep(here, "train", "config.json", "--out", "out")
    return here


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "config.json", out / "result.json")}


def delete_image(here: Path, name: str) -> None:
    for kind in ("image", "mask"):
        (here / f"eyes/train/{kind}/{name}.png").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({}, "missing: 05", id="the same config"),
        pytest.param({"epochs": 4}, "missing: 05", id="more epochs"),
        pytest.param({"learning_rate": 0.02}, "learning_rate was 0.01, now 0.02", id="another rate"),
        pytest.param({"seed": 1, "epochs": 4}, "out holds another training (seed was 0, now 1)", id="another seed"),
    ],
)
def test_a_folder_keeps_the_config_of_its_result_if_another_training_is_refused(
    trained: Path, change: Any, message: str
):
    before = files(trained / "out")
    delete_image(trained, "05")
    (trained / "config.json").write_text(json.dumps(CONFIG | change))

    assert message in unetsweep(trained, "train", "config.json", "--out", "out", status=2).stderr
    assert files(trained / "out") == before


def test_a_continued_training_keeps_its_split_even_if_images_were_added(trained: Path):
    split = json.loads((trained / "out/config.json").read_bytes())["data"]["manifest"]
    for kind in ("image", "mask"):
        shutil.copy(trained / f"eyes/train/{kind}/05.png", trained / f"eyes/train/{kind}/98.png")
    shutil.copy(trained / "eyes/train/image/01.png", trained / "eyes/train/image/99.png")
    (trained / "eyes/groups.csv").unlink()
    data = {**CONFIG["data"], "split": {}}
    (trained / "config.json").write_text(json.dumps(CONFIG | {"epochs": 3, "data": data}))

    assert "complete: best epoch" in unetsweep(trained, "train", "config.json", "--out", "out").stdout
    config, result = (json.loads((trained / f"out/{name}.json").read_bytes()) for name in ("config", "result"))
    assert (config["epochs"], config["data"]["manifest"], result["epochs_run"]) == (3, split, 3)
    assert result["data_manifest"]["val"] == list(split["val"])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_folder_keeps_its_config_if_the_training_refuses_to_continue(here: Path, processes: int):
    config = CONFIG | {"processes": processes}
    (here / "config.json").write_text(json.dumps(config))
    unetsweep(here, "train", "config.json", "--out", "out")
    before = files(here / "out")
    (here / "config.json").write_text(json.dumps(config | {"epochs": 1}))

    done = unetsweep(here, "train", "config.json", "--out", "out", status=4)
    assert "the best weights within [1] epochs are gone" in done.stderr + done.stdout
    assert files(here / "out") == before


def test_a_training_needs_no_network_and_no_hash_seed(here: Path):
    """A cold start, because imports must not need a network either. Its hash seed differs from that of the fork."""
    no_network = ("unshare", "--map-root-user", "--net")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*no_network, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine allows no network namespaces (unshare --net)")
    (here / "config.json").write_text(json.dumps(CONFIG | {"trainer": {"comet": "offline"}}))
    command = [*no_network, sys.executable, "-m", "unetsweep", "train", "config.json", "--out", "cold"]
    environ = {**environment(), "PYTHONHASHSEED": "1"}
    cold = subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True, check=False)
    assert (cold.returncode, "complete" in cold.stdout) == (0, True), cold.stdout + cold.stderr
    unetsweep(here, "train", "config.json", "--out", "fork")
    assert same_result(here / "cold", here / "fork")


def test_two_processes_by_hand_and_in_a_sweep_train_the_same(here: Path):
    (here / "config.json").write_text(json.dumps(CONFIG | {"processes": 2, "accelerator": "cpu"}))
    (here / "s.yaml").write_text(SWEEP + "slurm: {processes: 2}\n")
    unetsweep(here, "train", "config.json", "--out", "hand")
    unetsweep(here, "submit", "s.yaml", "--executor", "local", "--watch")
    by_hand = json.loads((here / "hand/result.json").read_bytes())
    by_sweep = json.loads((here / "results/s/trials/0000/result.json").read_bytes())
    assert by_hand["test_per_image"] == by_sweep["test_per_image"]


def test_ctrl_c_ends_the_watching_command_and_not_the_trainings(here: Path):
    command = [sys.executable, "-m", "unetsweep", "submit", "s.yaml", "--executor", "local", "--watch"]
    view = forks.start(
        command, cwd=here, env=environment(), stdout=subprocess.PIPE, preexec_fn=with_signals, torch=True
    )
    deadline = time.monotonic() + 60
    while not list(here.glob("results/s/runs/0000/claims/*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    view.send_signal(signal.SIGINT)
    output, _ = view.communicate(timeout=30)
    assert view.returncode == 0
    assert "unetsweep watch s" in output
    while not (here / "results/s/trials/0000/result.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert json.loads((here / "results/s/trials/0000/result.json").read_bytes())["state"] == "complete"


def _without_mask(eyes: Path) -> None:
    next((eyes / "train/mask").iterdir()).unlink()


def _corrupt(eyes: Path) -> None:
    image = next((eyes / "train/image").iterdir())
    image.write_bytes(image.read_bytes()[:200])


def _other_size(eyes: Path) -> None:
    first, *_ = sorted((eyes / "train/mask").iterdir())
    cv2.imwrite(str(first), cv2.imread(str(first), cv2.IMREAD_GRAYSCALE)[:32])


@pytest.mark.parametrize(
    ("breakage", "messages"),
    [
        pytest.param(
            shutil.rmtree,
            ["expected is train/image", "kaggle.com/datasets/", "unetsweep data sample"],
            id="no data at all",
        ),
        pytest.param(_without_mask, ["mask"], id="an image without a mask"),
        pytest.param(_corrupt, ["200 bytes", "not a complete PNG"], id="a corrupt image"),
        pytest.param(_other_size, ["64x64", "64x32"], id="a mask of another size"),
    ],
)
def test_unusable_images_are_refused_before_anything_is_written(
    here: Path, eyes: Path, breakage: Any, messages: list[str]
):
    (here / "eyes").unlink()
    shutil.copytree(eyes, here / "eyes")
    breakage(here / "eyes")
    output = unetsweep(here, "submit", "s.yaml", "--executor", "local", status=2).stderr
    for message in messages:
        assert message in output
    assert not (here / "results").exists()
    assert unetsweep(here, "submit", "s.yaml", "--executor", "local", "--dry-run", status=2).stderr == output
    assert not (here / "results").exists()
