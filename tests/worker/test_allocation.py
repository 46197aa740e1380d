"""A packed job without a scheduler, on a node that cannot start its trainings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from unetsweep.contract import DataConfig, TrainerConfig, TrialConfig
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.schedulers.packed.slot_table import SlotTableDir, requeue_marker
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
JOB = """
import sys
from unetsweep.worker import allocation, allocation_policy
start, refused = allocation.process.start, []
def start_or_refuse(command, **more):
    if command[-2] == "1" and len(refused) < int(sys.argv[3]):  # the second process of a training
        refused.append(command)
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return start(command, **more)
allocation.process.start = start_or_refuse
allocation.OBSERVE_S, allocation_policy.START_PATIENCE_S = 0.1, float(sys.argv[4])
allocation.Allocation(sys.argv[1], sys.argv[2], 2, 5, False, 60)()
print("refused", len(refused))
"""


def pack(folder: Path, slots: int) -> SlotTableDir:
    """The slot table of two trainings of two processes each, for jobs with this many slots."""
    (folder / "trainer.py").write_text(TRAINER)
    sweep = SweepDir(folder / "results" / "grid")
    command = f"{sys.executable} {folder}/trainer.py {{config}} {{out}}"
    sweep.create(SWEEP.format(command=json.dumps(command)), "slurm", working=str(folder))
    trainer = TrainerConfig(command=command)
    sweep.add_trials([TrialConfig(DataConfig("."), 4, 4, rate, trainer=trainer) for rate in (1e-3, 1e-2)], {})
    token, owned = sweep.create_attempts([Element(run, 1, ((run, 4),)) for run in (0, 1)], None, "slurm", TOKEN)
    packed = SlotTableDir(sweep.root, token)
    packed.create(len(owned), slots, None)
    return packed


def run_job(folder: Path, refused: int, patience_s: float) -> str:
    """Run a job to its end, and return its output.

    The node refuses to start so many processes. If nothing can be started, the job tries for `patience_s`.
    """
    return subprocess.run(
        [sys.executable, "-c", JOB, f"{folder}/results/grid", TOKEN, str(refused), str(patience_s)],
        env={**os.environ, "SLURM_JOB_ID": "7"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("slots", "refused"),
    [pytest.param(1, 2, id="one slot"), pytest.param(3, 6, id="more slots than trainings")],
)
def test_a_training_is_started_again_if_one_of_its_processes_could_not_be_started(
    slots: int, refused: int, tmp_path: Path
) -> None:
    packed = pack(tmp_path, slots)
    output = run_job(tmp_path, refused, 60)
    assert "Resource temporarily unavailable" in output
    assert f"refused {refused}" in output
    assert sorted((tmp_path / "began.log").read_text().split()) == ["0000", "0001"]
    assert sorted(packed.read().ended) == [0, 1]
    for run in (0, 1):
        result = tmp_path / "results/grid" / paths.run_dir(run) / paths.milestone(4)
        assert json.loads(result.read_text())["val_iou"] == 0.5


def test_a_job_on_a_node_that_starts_nothing_leaves_no_process_and_asks_for_a_requeue(tmp_path: Path) -> None:
    packed = pack(tmp_path, 1)
    assert "Resource temporarily unavailable" in run_job(tmp_path, 1000, 0.5)
    left = subprocess.run(["pgrep", "-f", f"{tmp_path}/results/grid"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    slots = packed.read()
    assert (set(slots.taken), set(slots.ended), slots.waiting) == ({0}, set(), [1])
    assert requeue_marker(tmp_path / "results/grid", TOKEN, 0, 0).exists()
    assert not (tmp_path / "began.log").exists()
