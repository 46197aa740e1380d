"""`submit` is killed after each of its effects; after the next submit every trial was trained exactly once."""

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import forks
import pytest
from local_sweeps import AT_ONCE, Workspace, environment

from unetsweep.worker import supervisor

SWEEP_DIR, LOCAL = "unetsweep.store.sweep_dir", "unetsweep.schedulers.local.local_jobs"

EFFECTS = [
    pytest.param(SWEEP_DIR, "SweepDir", "_write_unless_created", id="after sweep.json, before sweep.yaml"),
    pytest.param(SWEEP_DIR, "SweepDir", "create", id="after the directory was made"),
    pytest.param(SWEEP_DIR, "", "link_records", id="after the configs, before the trials"),
    pytest.param(SWEEP_DIR, "SweepDir", "add_trials", id="after the trials, before the intent"),
    pytest.param(SWEEP_DIR, "SweepDir", "create_attempts", id="after the intent, before any process"),
    pytest.param(LOCAL, "LocalJobs", "_next_id", id="after the first job's number, before its process"),
    pytest.param(LOCAL, "LocalJobs", "_start", id="after the first of two processes"),
    pytest.param(LOCAL, "LocalJobs", "submit", id="after the processes, before their record"),
    pytest.param(SWEEP_DIR, "SweepDir", "record_jobs", id="after the record"),
]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path)
    made.trainer(AT_ONCE)
    yield made
    made.end()


def die_after(module: str, owner: str, name: str, slow: bool) -> None:
    """In a child process: make it die after this effect, as by kill -9. `slow`: its supervisors start 2 s later."""
    scope: Any = importlib.import_module(module)
    scope = getattr(scope, owner) if owner else scope
    effect, pid = getattr(scope, name), os.getpid()

    def effect_and_exit(*args: Any, **kwargs: Any) -> Any:
        result = effect(*args, **kwargs)
        if os.getpid() == pid:  # not in a process that it has started
            os._exit(9)
        return result

    setattr(scope, name, effect_and_exit)
    if slow:
        supervise = supervisor.supervise
        supervisor.supervise = lambda *arguments: (time.sleep(2), supervise(*arguments))  # type: ignore[assignment]


def submit_and_die(workspace: Workspace, sweep: Path, *effect: str, slow: bool = False) -> None:
    """Run a submit that is killed after this effect."""
    command = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--executor", "local"]
    done = forks.run(command, cwd=workspace.folder, env=environment(), preexec_fn=partial(die_after, *effect, slow))
    assert done.returncode == 9, done.stderr


def make_attempts_an_hour_old(workspace: Workspace) -> None:
    """Then the next submit does not wait for the grace time of attempts that were never submitted."""
    for path in workspace.root().glob("runs/*/attempts/[0-9].json"):
        intent = json.loads(path.read_bytes())
        intent["at"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        path.write_text(json.dumps(intent))


@pytest.mark.parametrize(("module", "owner", "name"), EFFECTS)
def test_after_the_next_submit_every_trial_was_trained_exactly_once(
    workspace: Workspace, module: str, owner: str, name: str
):
    sweep = workspace.grid(2)
    submit_and_die(workspace, sweep, module, owner, name)
    workspace.wait_quiet()
    make_attempts_an_hour_old(workspace)
    workspace.submit(sweep)
    results = workspace.wait_ended(2)
    assert [result["state"] for result in results] == ["complete", "complete"]
    assert sorted(run for run, *_ in workspace.notes("begin")) == ["0000", "0001"]
    workspace.submit(sweep)
    assert len(workspace.notes("begin")) == 2


def test_an_immediate_submit_waits_until_it_knows_whether_the_jobs_exist(workspace: Workspace):
    """A started process may not be visible yet, so its run is not submitted again."""
    sweep = workspace.grid(1)
    submit_and_die(workspace, sweep, LOCAL, "LocalJobs", "submit", slow=True)
    done = workspace.submit(sweep)
    assert "waiting to see whether 1 earlier submission reached the queue" in done.stderr
    workspace.wait_ended(1)
    assert [run for run, *_ in workspace.notes("begin")] == ["0000"]
    assert not list(workspace.root().glob("runs/0000/attempts/2.json"))
