"""A temporary copy of the files that the examples use, with images so small that trainings take seconds."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import forks
import numpy as np
from pages import ROOT

from unetsweep.datasets.synthetic_eye import grow
from unetsweep.datasets.synthetic_fundus import photograph

_UNETSWEEP = """#!/bin/bash
if [ "$1 $2" = "data sample" ] && [ $# = 3 ]; then set -- "$@" --size 48 --eyes 3; fi
if [ -n "$COLD" ]; then exec "{python}" -P -m unetsweep "$@"; fi
exec "{python}" -I -S -c 'import sys; sys.path.insert(0, "{tests}"); import forks; forks.client()' "$@"
"""
_SMALLER = {
    "image_size: 128": "image_size: 32",
    "epochs: [4, 8]": "epochs: [1, 8]",
    "learning_rate: [1e-3, 3e-3, 1e-2]": "learning_rate: [1e-2]",
    "model: {base: 8, depth: 3": "model: {base: 2, depth: 1",
    "comet: offline": "comet: off",
}
_SMALLER_EXAMPLES = {
    "image_size: 256": "image_size: 32",
    "epochs: [10, 30]": "epochs: [1, 3]",
    "epochs=[10, 30, 60]": "epochs=[1, 3, 4]",
}
CHILDREN = 14
"""Of CHASE_DB1, each with two eyes."""


@dataclass(frozen=True)
class Workspace:
    """A working directory in which shell scripts run."""

    folder: Path
    bin: Path

    def bash(self, script: str, *, cold: bool = False) -> str:
        """Run a script and return its output; the test fails at the first command that fails.

        `cold`: each `unetsweep` is a new Python process, as for a user; otherwise it is a fork.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "COMET_"))}
        environment |= {
            "PATH": f"{self.bin}:{environment['PATH']}",
            "NO_COLOR": "1",
            "HOME": str(self.folder),
            "UNETSWEEP_TIMEOUTS": "watch=0.2,settle=0.5",
            "COLD": "1" * cold,
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def make_workspace(folder: Path) -> Workspace:
    """A workspace with the sweeps and profiles of the checkout, in which a small quickstart sweep has ended."""
    shutil.copytree(ROOT / "sweeps", folder / "sweeps")
    shutil.copytree(ROOT / "slurm" / "profiles", folder / "slurm" / "profiles")
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    _script(bin_folder / "unetsweep", _UNETSWEEP.format(python=sys.executable, tests=ROOT / "tests"))
    for name in ("python", "python3"):
        forks.write_python(bin_folder / name)
    _make_small(folder / "sweeps" / "quickstart.yaml")
    _draw_chase(folder / "Downloads" / "CHASEDB1")
    workspace = Workspace(folder, bin_folder)
    workspace.bash("unetsweep data sample data/sample")
    workspace.bash("unetsweep submit sweeps/quickstart.yaml --executor local --watch")
    return workspace


def smaller(example: str) -> str:
    """The example with images and epochs that train in a second."""
    for large, small in _SMALLER_EXAMPLES.items():
        example = example.replace(large, small)
    return example


def _draw_chase(folder: Path) -> None:
    """Draw eyes under the file names of CHASE_DB1, as its archive has them."""
    folder.mkdir(parents=True)
    for number in range(2 * CHILDREN):
        rng = np.random.default_rng(number)
        image, mask = photograph(grow(rng), 64, rng)
        name = f"Image_{number // 2 + 1:02d}{'LR'[number % 2]}"
        cv2.imwrite(str(folder / f"{name}.jpg"), image[..., ::-1])
        for observer in ("1stHO", "2ndHO"):
            cv2.imwrite(str(folder / f"{name}_{observer}.png"), mask)


def _make_small(sweep: Path) -> None:
    text = sweep.read_text()
    for large, small in _SMALLER.items():
        text, count = re.subn(re.escape(large), small, text)
        assert count == 1, f"{sweep.name} does not contain {large!r}"
    sweep.write_text(text)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
