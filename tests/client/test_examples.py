"""The examples of docs/trainers.md: killed in the middle, and at the time limit, they end as if uninterrupted.

The test of the pages runs the same programs in sweeps.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from unetsweep import client

ROOT = Path(__file__).parents[2]
KILLED = """
import os, runpy, sys, unetsweep_client
report = unetsweep_client.Run.report
def report_and_die(self, epoch, **values):
    report(self, epoch, **values)
    if epoch == 3:
        os.kill(os.getpid(), 9)
unetsweep_client.Run.report = report_and_die
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the programs of the page, the client and the callback."""
    page = (ROOT / "docs" / "trainers.md").read_text()
    for name, program in re.findall(r"^cat > (\w+\.py) <<'PYTHON'\n(.*?)^PYTHON$", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(program)
    for name, program in re.findall(r"^cat > (\w+\.sh) <<'BASH'\n(.*?)^BASH$", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(program)
    for name in ("client", "lightning"):
        (tmp_path / f"unetsweep_{name}.py").write_bytes((Path(client.__file__).parent / f"{name}.py").read_bytes())
    (tmp_path / "killed.py").write_text(KILLED)
    return tmp_path


def run(folder: Path, out: str, claim: str, *arguments: str, left: float | None = None) -> int:
    """Run a start of a training in a sweep; return its exit status."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "UNETSWEEP_OUT": str(folder / out),
        "UNETSWEEP_CLAIM": claim,
        "UNETSWEEP_MILESTONES": "2,6",
        "UNETSWEEP_SEED": "7",
        "UNETSWEEP_PARAMS": json.dumps({"learning_rate": 0.01, "epochs": 6}),
        "UNETSWEEP_DEADLINE": "" if left is None else f"{time.time() + left:.0f}",
    }
    command = [sys.executable if arguments[0].endswith(".py") else "bash", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "unetsweep client" not in done.stderr, done.stderr
    return done.returncode


def digest(folder: Path, out: str) -> tuple[str, list[Any]]:
    """A digest of the weights of the last checkpoint, and the scores of all milestones."""
    import torch

    found = torch.load(folder / out / "checkpoints" / "last.ckpt", weights_only=False)
    total = hashlib.sha256()
    for name, tensor in sorted((found.get("model") or found["state_dict"]).items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    results = [json.loads((folder / out / "milestones" / f"{epochs}.json").read_bytes()) for epochs in (2, 6)]
    return total.hexdigest(), [(each["state"], each["epochs_run"], each["val_loss"]) for each in results]


def epochs_of(path: Path) -> list[int]:
    """The epochs that a start reported."""
    return [json.loads(line)["epoch"] for line in path.read_text().splitlines()]


@pytest.mark.train
@pytest.mark.parametrize("program", ["loop.py", "module.py"])
def test_a_training_that_was_interrupted_ends_with_the_bits_of_an_uninterrupted_one(program: str, folder: Path):
    assert run(folder, "whole", "1-0", program) == 0
    assert run(folder, "killed", "1-0", "killed.py", program) == -9
    assert run(folder, "killed", "2-0", program, left=5) == 0
    assert (folder / "killed/requeue-2-0.json").exists()
    assert not (folder / "killed/milestones/6.json").exists()
    assert run(folder, "killed", "2-1", program) == 0
    whole = digest(folder, "whole")
    assert [(state, epochs) for state, epochs, _ in whole[1]] == [("complete", 2), ("complete", 6)]
    assert digest(folder, "killed") == whole
    assert [epochs_of(folder / f"killed/progress-{claim}.jsonl") for claim in ("1-0", "2-0", "2-1")] == [
        [1, 2, 3],
        [3],
        [4, 5, 6],
    ]


def test_a_shell_script_implements_what_is_beneath_the_client(folder: Path):
    out = folder / "shell"
    out.mkdir()
    assert run(folder, "shell", "1-0", "train.sh", left=20) == 0
    assert (out / "requeue-1-0.json").exists()
    (out / "epoch.txt").write_text("1")
    (out / "prune.json").write_text('{"schema": 1, "attempt": 1, "milestones": [6], "reason": "too low"}')
    assert run(folder, "shell", "1-1", "train.sh") == 0
    assert epochs_of(out / "progress-1-1.jsonl") == [2]
    results = {path.stem: json.loads(path.read_bytes()) for path in out.glob("milestones/*.json")}
    assert {name: (each["state"], each["epochs_run"]) for name, each in results.items()} == {
        "2": ("complete", 2),
        "6": ("pruned", 2),
    }
