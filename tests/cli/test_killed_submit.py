"""`submit` is killed at each of its effects; the next one ends with every trial trained exactly once."""

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
from local_sweeps import AT_ONCE, Place, environment

from unetsweep.worker import supervisor

SWEEP_DIR, LOCAL = "unetsweep.store.sweep_dir", "unetsweep.schedulers.local.local_jobs"

PLACES = [
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
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.trainer(AT_ONCE)
    yield made
    made.end()


def dying(module: str, owner: str, name: str, slow: bool) -> None:
    """For a child: it dies, as by kill -9, after this effect. `slow`: its supervisors take their time to begin."""
    place: Any = importlib.import_module(module)
    place = getattr(place, owner) if owner else place
    effect, pid = getattr(place, name), os.getpid()

    def once(*args: Any, **kwargs: Any) -> Any:
        done = effect(*args, **kwargs)
        if os.getpid() == pid:  # not what it has started
            os._exit(9)
        return done

    setattr(place, name, once)
    if slow:
        supervise = supervisor.supervise
        supervisor.supervise = lambda *words: (time.sleep(2), supervise(*words))  # type: ignore[assignment]


def killed(place: Place, sweep: Path, *at: str, slow: bool = False) -> None:
    words = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--executor", "local"]
    done = forks.run(words, cwd=place.folder, env=environment(), preexec_fn=partial(dying, *at, slow))
    assert done.returncode == 9, done.stderr


def an_hour_later(place: Place) -> None:
    """So that nobody need wait for the grace time of what was never submitted."""
    for path in place.root().glob("runs/*/attempts/[0-9].json"):
        intent = json.loads(path.read_bytes())
        intent["at"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        path.write_text(json.dumps(intent))


@pytest.mark.parametrize(("module", "owner", "name"), PLACES)
def test_the_next_submit_has_every_trial_trained_exactly_once(place: Place, module: str, owner: str, name: str):
    sweep = place.grid(2)
    killed(place, sweep, module, owner, name)
    place.wait_quiet()
    an_hour_later(place)
    place.submit(sweep)
    results = place.wait_ended(2)
    assert [result["state"] for result in results] == ["complete", "complete"]
    assert sorted(run for run, *_ in place.notes("begin")) == ["0000", "0001"]
    place.submit(sweep)
    assert len(place.notes("begin")) == 2


def test_the_next_submit_at_once_waits_until_it_knows(place: Place):
    """A process that was started may not have shown itself yet: nothing is sent beside it."""
    sweep = place.grid(1)
    killed(place, sweep, LOCAL, "LocalJobs", "submit", slow=True)
    said = place.submit(sweep)
    assert "waiting to see whether 1 earlier submissions reached the queue" in said.stderr
    place.wait_ended(1)
    assert [run for run, *_ in place.notes("begin")] == ["0000"]
    assert not list(place.root().glob("runs/0000/attempts/2.json"))
