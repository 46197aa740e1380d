"""A packed job's manager, without a scheduler: what it does when the node fails it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from unetsweep.adapters.packed_files import Packed
from unetsweep.adapters.sweep_dir import SweepDir
from unetsweep.contract import DataConfig, TrainerConfig, TrialConfig
from unetsweep.core import layout
from unetsweep.core.actions import Element

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
import subprocess, sys
from unetsweep.worker import allocation
began, refused = subprocess.Popen, []
def begin(command, **more):
    if command[-2] == "1" and len(refused) < 2:  # the second process of a training, twice
        refused.append(command)
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return began(command, **more)
allocation.subprocess.Popen = begin
allocation.Allocation(sys.argv[1], sys.argv[2], 2, 5, False, 60)()
print("refused", len(refused))
"""


def test_a_training_of_which_one_process_cannot_be_started_is_begun_again_and_leaves_none_behind(tmp_path: Path):
    (tmp_path / "trainer.py").write_text(TRAINER)
    sweep = SweepDir(tmp_path / "results" / "grid")
    command = f"{sys.executable} {tmp_path}/trainer.py {{config}} {{out}}"
    sweep.create(SWEEP.format(command=json.dumps(command)), "slurm", working=str(tmp_path))
    trainer = TrainerConfig(command=command)
    sweep.add_trials([TrialConfig(DataConfig("."), 4, 4, rate, trainer=trainer) for rate in (1e-3, 1e-2)], {})
    token, owned = sweep.intend([Element(run, 1, ((run, 4),)) for run in (0, 1)], None, "slurm")
    packed = Packed(sweep.root, token)
    packed.create(len(owned), 1, None)

    said = subprocess.run(
        [sys.executable, "-c", MANAGER, str(sweep.root), token],
        env={**os.environ, "SLURM_JOB_ID": "7"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout

    assert "Resource temporarily unavailable" in said
    assert "refused 2" in said
    assert sorted((tmp_path / "began.log").read_text().split()) == ["0000", "0001"]
    assert sorted(packed.board().ended) == [0, 1]
    for run in (0, 1):
        assert json.loads((sweep.root / layout.run_dir(run) / layout.horizon(4)).read_text())["val_iou"] == 0.5
