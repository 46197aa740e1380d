"""The interpreter and the set-up lines of a job, on this machine: what is missing is reported before any training."""

import sys
import sysconfig
import venv
from pathlib import Path

import forks
import pytest
from local_sweeps import Workspace
from test_train_by_hand import SWEEP

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[2]
NEEDED = ("yaml", "numpy", "cv2", "numpy.libs", "opencv_python_headless.libs")
"""What the worker and `unetsweep.datasets` import; the interpreter lacks torch and the rest."""


@pytest.fixture
def workspace(tmp_path: Path, eyes: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv(forks.WHOLE_COPY, "1")
    workspace = Workspace(tmp_path / "here")
    (workspace.folder / "eyes").symlink_to(eyes)
    return workspace


@pytest.fixture
def without_torch(tmp_path: Path) -> Path:
    """An interpreter that can import unetsweep, but not torch."""
    venv.create(tmp_path / "python", with_pip=False)
    site = tmp_path / "python" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for name in NEEDED:
        if (Path(sysconfig.get_path("purelib")) / name).exists():
            (site / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    (site / "unetsweep").symlink_to(ROOT / "unetsweep")
    return tmp_path / "python" / "bin" / "python"


def test_an_interpreter_without_torch_is_reported_with_its_host(workspace: Workspace, without_torch: Path):
    (workspace.folder / "s.yaml").write_text(f"{SWEEP}slurm: {{python: '{without_torch}'}}\n")
    workspace.run("submit", "s.yaml", "--executor", "local", "--watch", status=1)
    (result,) = workspace.results()
    assert result["state"] == "failed"
    assert "torch, pytorch_lightning, albumentations missing in" in result["message"]
    assert f"{without_torch} on " in result["message"]
    assert "slurm.python" in result["message"]


def test_a_missing_interpreter_is_refused(workspace: Workspace):
    (workspace.folder / "s.yaml").write_text(f"{SWEEP}slurm: {{python: /no/such/python}}\n")
    output = workspace.run("submit", "s.yaml", "--executor", "local", status=75).stderr
    assert "cannot start /no/such/python" in output


def test_set_up_lines_reach_the_trainer_and_not_the_exit_hook(workspace: Workspace):
    workspace.trainer("assert os.environ['PYTHONPATH'] == '/nowhere'")
    sweep = workspace.sweep("space: {epochs: [1], batch_size: [1], learning_rate: [1e-3]}\n")
    sweep.write_text(sweep.read_text() + "slurm: {setup: ['export PYTHONPATH=/nowhere']}\n")
    workspace.run("submit", sweep.name, "--executor", "local", "--watch")
    (result,) = workspace.results()
    assert result["state"] == "complete", result["message"]
