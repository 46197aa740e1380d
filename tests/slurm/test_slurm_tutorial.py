"""The commands of docs/tutorials/kill.md: its sweep survives a killed submit, node and process."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pages import DOCS, blocks
from slurm_cluster import Cluster
from slurm_sweeps import results_of

pytestmark = pytest.mark.slurm
PAGE = DOCS / "tutorials" / "kill.md"


def test_the_sweep_of_the_tutorial_is_complete_after_its_kills(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNETSWEEP_TIMEOUTS", "unlisted_grace=15,result_grace=3,reconciler=5,watch=0.5")
    monkeypatch.setenv("PATH", f"{_commands(tmp_path / 'bin')}:{os.environ['PATH']}")
    examples = [block.text for block in blocks("sh") if block.page == PAGE and not block.not_run]

    assert len(examples) == 5
    for text in examples:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    trained = Counter(Path("epochs.txt").read_text().splitlines())

    assert [(result["state"], result["extra"]["score"]) for result in results_of("count")] == [
        ("complete", 20.0 * rate) for rate in (1, 2, 3, 4)
    ]
    assert len(trained) == 4 * 20
    assert max(trained.values()) <= 2
    assert len(list(Path("results/count/runs/0003/attempts").glob("?.json"))) >= 2  # its process was killed
    assert json.loads(Path("results/count/runs/0003/attempts/1.lost.json").read_text())["schema"] == 1


def _commands(folder: Path) -> Path:
    """A folder with `unetsweep` and `python3`, as an activated environment has them."""
    folder.mkdir()
    for name, arguments in (("unetsweep", "-P -m unetsweep"), ("python3", "")):
        script = folder / name
        script.write_text(f'#!/bin/bash\nexec "{sys.executable}" {arguments} "$@"\n')
        script.chmod(0o755)
    return folder
