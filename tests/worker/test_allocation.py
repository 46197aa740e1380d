"""A packed job's manager, without a scheduler: what it does when the node fails it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from unetsweep.contract import DataConfig, TrainerConfig, TrialConfig
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.schedulers.packed.slot_table import Packed, more
from unetsweep.store.sweep_dir import SweepDir

TOKEN = "a" * 12
TRAINER = """
import json, os, sys
open("began.log", "a").write(os.path.basename(sys.argv[2]) + "\\n")
json.dump({"val_iou": 0.5}, open(sys.argv[2] + "/result.json", "w"))
"""
SWEEP = """
space: {{epochs: [4], batch_size: [4], learning_rate: [1e-3, 1e-2]}}
trainer: {{command: {command}}}
"""
MANAGER = """
import sys
from unetsweep.worker import allocation
began, refused = allocation.process.start, []
def begin(command, **more):
    if command[-2] == "1" and len(refused) < int(sys.argv[3]):  # the second process of a training
        refused.append(command)
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return began(command, **more)
allocation.process.start = begin
allocation.LOOK_S, allocation.STUCK_S = 0.1, float(sys.argv[4])
allocation.Allocation(sys.argv[1], sys.argv[2], 2, 5, False, 60)()
print("refused", len(refused))
"""


@pytest.fixture
def packed(tmp_path: Path) -> Packed:
    """A board of two trainings of two processes each, for jobs of one place."""
    (tmp_path / "trainer.py").write_text(TRAINER)
    sweep = SweepDir(tmp_path / "results" / "grid")
    command = f"{sys.executable} {tmp_path}/trainer.py {{config}} {{out}}"
    sweep.create(SWEEP.format(command=json.dumps(command)), "slurm", working=str(tmp_path))
    trainer = TrainerConfig(command=command)
    sweep.add_trials([TrialConfig(DataConfig("."), 4, 4, rate, trainer=trainer) for rate in (1e-3, 1e-2)], {})
    token, owned = sweep.intend([Element(run, 1, ((run, 4),)) for run in (0, 1)], None, "slurm", TOKEN)
    slots = Packed(sweep.root, token)
    slots.create(len(owned), 1, None)
    return slots


def managed(folder: Path, refused: int, patience: float) -> str:
    """What a job said from its start to its end, in which so many processes could not be started.

    `patience`: for so many seconds it tries, where nothing can be started.
    """
    return subprocess.run(
        [sys.executable, "-c", MANAGER, f"{folder}/results/grid", TOKEN, str(refused), str(patience)],
        env={**os.environ, "SLURM_JOB_ID": "7"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_a_training_of_which_one_process_cannot_be_started_is_begun_again(tmp_path: Path, packed: Packed):
    said = managed(tmp_path, 2, 60)
    assert "Resource temporarily unavailable" in said
    assert "refused 2" in said
    assert sorted((tmp_path / "began.log").read_text().split()) == ["0000", "0001"]
    assert sorted(packed.slots().ended) == [0, 1]
    for run in (0, 1):
        result = tmp_path / "results/grid" / paths.run_dir(run) / paths.milestone(4)
        assert json.loads(result.read_text())["val_iou"] == 0.5


def test_a_node_that_starts_nothing_is_left_to_another_start_with_nothing_behind(tmp_path: Path, packed: Packed):
    assert "Resource temporarily unavailable" in managed(tmp_path, 1000, 0.5)
    left = subprocess.run(["pgrep", "-f", f"{tmp_path}/results/grid"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    slots = packed.slots()
    assert (set(slots.taken), set(slots.ended), slots.waiting) == ({0}, set(), [1])
    assert more(tmp_path / "results/grid", TOKEN, 0, 0).exists()
    assert not (tmp_path / "began.log").exists()
