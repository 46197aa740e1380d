"""`unetsweep retry`: trials that ended without a result are resubmitted."""

import json
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from local_sweeps import UNTIL_RELEASED, Workspace
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

FAILS = "if not os.path.exists(f'{folder}/repaired'): sys.exit('no lens cap')"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    found = Workspace(tmp_path / "my sweeps")
    yield found
    found.end()


def test_retry_resubmits_failed_trials_as_new_attempts(workspace: Workspace):
    workspace.trainer(FAILS.replace("if not", "if rate > 1e-4 and not"))
    workspace.submit(workspace.grid(3))
    workspace.wait_ended(3)
    first = (workspace.root() / "trials/0000/result.json").read_bytes()
    (workspace.folder / "repaired").touch()
    (workspace.root() / "runs/0001/checkpoints").mkdir()
    (workspace.root() / "runs/0001/checkpoints/model.pt").touch()  # a file of the trainer command
    output = workspace.run("retry", "s").stdout
    assert "2 trials of s are open again: 1, 2" in output
    assert "from scratch" not in output
    results = workspace.wait_ended(3)
    assert [result["state"] for result in results] == ["complete"] * 3
    assert (workspace.root() / "trials/0000/result.json").read_bytes() == first
    assert json.loads((workspace.root() / "trials/0001/result-1.json").read_bytes())["state"] == "failed"
    assert len(workspace.notes("begin")) == 5
    assert {path.name for path in (workspace.root() / "runs/0001/attempts").glob("[0-9].json")} == {"1.json", "2.json"}
    storage = JournalStorage(JournalFileBackend(str(workspace.root() / "study.journal")))
    states = [trial.state.name for trial in optuna.load_study(study_name="s", storage=storage).trials]
    assert states == ["COMPLETE"] * 3


def test_a_paused_sweep_continues_after_a_retry(workspace: Workspace):
    workspace.trainer(FAILS)
    sweep = workspace.grid(6)
    workspace.submit(sweep)
    workspace.wait(lambda: len(workspace.results()) >= 3)
    workspace.wait_quiet()
    begun = len(workspace.notes("begin"))
    assert begun < 6, "a fault of all trials stopped nothing"
    status = workspace.run("status", "s").stdout
    assert "the sweep is paused" in status
    assert "no lens cap" in status
    workspace.submit(sweep)
    workspace.wait_quiet()
    assert len(workspace.notes("begin")) == begun, "a submit alone continued a paused sweep"
    (workspace.folder / "repaired").touch()
    workspace.run("retry", "s", "--failed")
    assert [result["state"] for result in workspace.wait_ended(6)] == ["complete"] * 6


def test_retry_refuses_complete_and_unknown_trials(workspace: Workspace):
    workspace.trainer("pass")
    workspace.submit(workspace.grid(1))
    workspace.wait_ended(1)
    sweep = workspace.grid(2)
    workspace.run("submit", sweep.name, "--executor", "local", "--dry-run")
    workspace.submit(sweep)
    workspace.wait_ended(2)
    refused = workspace.run("retry", "s", "0", status=2).stderr
    assert "trial 0 of s is complete" in refused
    assert "has no trial 9" in workspace.run("retry", "s", "9", status=2).stderr
    left = workspace.run("retry", "s").stdout
    assert "0 trials of s are open again" in left
    assert "not retried: 2 complete trials (0, 1): a trial with a result is not retried" in left


def test_a_cancelled_trial_is_trained_again_only_if_retry_names_it(workspace: Workspace):
    workspace.trainer(UNTIL_RELEASED)
    workspace.submit(workspace.grid(1))
    workspace.wait(lambda: workspace.notes("begin"))
    workspace.run("cancel", "s")
    assert [result["state"] for result in workspace.wait_ended(1)] == ["cancelled"]
    left = workspace.run("retry", "s").stdout
    assert "0 trials of s are open again" in left
    assert (
        "not retried: 1 cancelled trial (0): only with --cancelled, or if you name it: `unetsweep retry s 0`\n" in left
    )
    (workspace.folder / "go").touch()
    assert "1 trial of s is open again: 0" in workspace.run("retry", "s", "--cancelled").stdout
    assert [result["state"] for result in workspace.wait_ended(1)] == ["complete"]
