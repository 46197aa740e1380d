"""The examples of the pages about trainers: killed in the middle, and at the time limit, they end as if uninterrupted.

The test of the pages runs the same programs in sweeps, and tests/slurm on a real SLURM.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forks
import pytest
from local_sweeps import Workspace
from page_programs import digest, epochs_of, write_programs

PROGRAMS = pytest.mark.parametrize("program", ["resuming.py", "module.py"])
NAMES = {
    "resuming.py": ("lr", "metric: mse, direction: minimize"),
    "module.py": ("learning_rate", "metric: val_iou"),
}
"""What each program calls its learning rate, and what its sweep optimises."""
SWEEP = """\
space: {{epochs: 6, batch_size: 32, {rate}: [1e-3, 1e-2]}}
study: {{{metric}, sampler: tpe, trials: 2, seed: 7, pruner: {{name: asha, min_epochs: 2}}}}
trainer: {{command: "{python} killed.py {program}", resumes: true}}
run: {{parallel: 1}}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "sweeps")
    write_programs(made.folder)
    forks.write_python(made.folder / "python")
    yield made
    made.end()


def run(folder: Path, out: str, claim: str, *arguments: str, left: float | None = None) -> int:
    """Run a start of a training in a sweep; return its exit status."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "UNETSWEEP_OUT": str(folder / out),
        "UNETSWEEP_CLAIM": claim,
        "UNETSWEEP_MILESTONES": "2,6",
        "UNETSWEEP_SEED": "7",
        "UNETSWEEP_PARAMS": json.dumps({"learning_rate": 0.01, "lr": 0.01, "epochs": 6}),
        "UNETSWEEP_DEADLINE": "" if left is None else f"{time.time() + left:.0f}",
    }
    if arguments[0].endswith(".py"):
        done = forks.run([sys.executable, *arguments], cwd=folder, env=environment, torch=True, script=True)
    else:
        bash = ["bash", *arguments]
        done = subprocess.run(
            bash, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
    assert "Traceback" not in done.stderr, done.stderr
    assert "unetsweep client" not in done.stderr, done.stderr
    return done.returncode


Whole = Callable[[str], Path]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Gives the run of a program that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    write_programs(folder)

    def run_of(program: str) -> Path:
        if not (folder / program.partition(".")[0]).exists():
            assert run(folder, program.partition(".")[0], "1-0", program) == 0
        return folder / program.partition(".")[0]

    return run_of


def result(run_folder: Path, epochs: int) -> tuple[Any, ...]:
    found = json.loads((run_folder / "milestones" / f"{epochs}.json").read_bytes())
    return found["state"], found["epochs_run"], found.get("mse", found.get("val_loss"))


@pytest.mark.train
@PROGRAMS
def test_a_training_that_was_interrupted_ends_with_the_bits_of_an_uninterrupted_one(
    program: str, workspace: Workspace, whole: Whole
):
    folder, killed = workspace.folder, workspace.folder / "killed"
    assert run(folder, "killed", "1-0", "killed.py", program) == -9
    assert run(folder, "killed", "2-0", program, left=5) == 0
    assert (killed / "requeue-2-0.json").exists()
    assert not (killed / "milestones/6.json").exists()
    assert run(folder, "killed", "2-1", program) == 0
    assert [result(killed, epochs)[:2] for epochs in (2, 6)] == [("complete", 2), ("complete", 6)]
    assert [result(killed, epochs) for epochs in (2, 6)] == [result(whole(program), epochs) for epochs in (2, 6)]
    assert digest(killed) == digest(whole(program))
    assert [epochs_of(killed, claim) for claim in ("1-0", "2-0", "2-1")] == [[1, 2, 3], [3], [4, 5, 6]]


@pytest.mark.train
@pytest.mark.parametrize("program", ["resuming.py", pytest.param("module.py", marks=pytest.mark.thorough)])
def test_a_search_with_pruning_resumes_a_training_that_was_killed_from_its_own_checkpoint(
    program: str, workspace: Workspace, whole: Whole
):
    rate, metric = NAMES[program]
    path = workspace.folder / "s.yaml"
    path.write_text(SWEEP.format(python=workspace.folder / "python", program=program, rate=rate, metric=metric))
    workspace.submit(path, "--watch")
    workspace.wait_ended(2)
    trials = [json.loads(path.read_bytes()) for path in sorted(workspace.root().glob("trials/*/trial.json"))]
    (killed,) = [workspace.root() / f"runs/{each['run']:04d}" for each in trials if each["params"][rate] == 1e-2]
    assert result(killed, 6) == result(whole(program), 6)
    assert digest(killed) == digest(whole(program))
    assert [epochs_of(killed, claim) for claim in ("1-0", "2-0")] == [[1, 2, 3], [3, 4, 5, 6]]
    assert "in 3 attempts" in workspace.run("status", "s").stdout, "both starts of the killed one count"


def test_a_shell_script_implements_what_is_beneath_the_client(workspace: Workspace):
    folder, out = workspace.folder, workspace.folder / "shell"
    out.mkdir()
    assert run(folder, "shell", "1-0", "train.sh", left=20) == 0
    assert (out / "requeue-1-0.json").exists()
    (out / "epoch.txt").write_text("1")
    (out / "prune.json").write_text('{"schema": 1, "attempt": 1, "milestones": [6], "reason": "too low"}')
    assert run(folder, "shell", "1-1", "train.sh") == 0
    assert epochs_of(out, "1-1") == [2]
    results = {path.stem: json.loads(path.read_bytes()) for path in out.glob("milestones/*.json")}
    assert {name: (each["state"], each["epochs_run"]) for name, each in results.items()} == {
        "2": ("complete", 2),
        "6": ("pruned", 2),
    }
