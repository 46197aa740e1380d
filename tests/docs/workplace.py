"""A temporary copy of what the examples use, with images so small that they are over in seconds."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pages import ROOT

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


@dataclass(frozen=True)
class Workplace:
    """A working directory, and how to run something in it."""

    folder: Path
    bin: Path

    def bash(self, script: str, *, cold: bool = False) -> str:
        """What the script prints; fails the test at its first command that fails. `cold`: each `unetsweep` is a Python
        that starts from nothing, as a user's is; otherwise a fork."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "COMET_"))}
        environment |= {
            "PATH": f"{self.bin}:{environment['PATH']}",
            "NO_COLOR": "1",
            "HOME": str(self.folder),
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


def make_workplace(folder: Path) -> Workplace:
    """The sweeps and profiles of the checkout, and the quickstart, made small, brought to its end."""
    shutil.copytree(ROOT / "sweeps", folder / "sweeps")
    shutil.copytree(ROOT / "slurm" / "profiles", folder / "slurm" / "profiles")
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    _script(bin_folder / "unetsweep", _UNETSWEEP.format(python=sys.executable, tests=ROOT / "tests"))
    for name in ("python", "python3"):
        _script(bin_folder / name, f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
    _make_small(folder / "sweeps" / "quickstart.yaml")
    place = Workplace(folder, bin_folder)
    place.bash("unetsweep data sample data/sample; unetsweep submit sweeps/quickstart.yaml --executor local --watch")
    return place


def _make_small(sweep: Path) -> None:
    text = sweep.read_text()
    for large, small in _SMALLER.items():
        text, count = re.subn(re.escape(large), small, text)
        assert count == 1, f"{sweep.name} has no {large!r} any more"
    sweep.write_text(text)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
