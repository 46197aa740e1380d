"""The interpreter and the set-up lines of a job, on this machine: what they lack is said before anything is trained."""

import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from local_sweeps import Place
from test_train_by_hand import SWEEP

ROOT = Path(__file__).parents[2]
NEEDED = ("yaml", "numpy", "cv2", "numpy.libs", "opencv_python_headless.libs")
"""What the worker and the images room import; torch and the rest are what the interpreter lacks."""


@pytest.fixture
def place(tmp_path: Path, eyes: Path) -> Place:
    place = Place(tmp_path / "here")
    (place.folder / "eyes").symlink_to(eyes)
    return place


@pytest.fixture
def poor(tmp_path: Path) -> Path:
    """An interpreter that finds unetsweep, and no torch."""
    venv.create(tmp_path / "poor", with_pip=False)
    site = tmp_path / "poor" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for name in NEEDED:
        if (Path(sysconfig.get_path("purelib")) / name).exists():
            (site / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    (site / "unetsweep").symlink_to(ROOT / "unetsweep")
    return tmp_path / "poor" / "bin" / "python"


def test_an_interpreter_without_torch_is_named_with_its_host(place: Place, poor: Path):
    (place.folder / "s.yaml").write_text(f"{SWEEP}slurm: {{python: '{poor}'}}\n")
    place.run("submit", "s.yaml", "--executor", "local", "--watch")
    (result,) = place.results()
    assert result["state"] == "failed"
    assert "torch, pytorch_lightning, albumentations missing in" in result["message"]
    assert f"{poor} on " in result["message"]
    assert "slurm.python" in result["message"]


def test_an_interpreter_that_is_not_there_is_refused(place: Place):
    (place.folder / "s.yaml").write_text(f"{SWEEP}slurm: {{python: /no/such/python}}\n")
    said = place.run("submit", "s.yaml", "--executor", "local", status=75).stderr
    assert "cannot start /no/such/python" in said


def test_set_up_lines_reach_the_trainer_and_not_the_exit_hook(place: Place):
    place.trainer("assert os.environ['PYTHONPATH'] == '/nowhere'")
    sweep = place.sweep("space: {epochs: [1], batch_size: [1], learning_rate: [1e-3]}\n")
    sweep.write_text(sweep.read_text() + "slurm: {setup: ['export PYTHONPATH=/nowhere']}\n")
    place.run("submit", sweep.name, "--executor", "local", "--watch")
    (result,) = place.results()
    assert result["state"] == "complete", result["message"]
