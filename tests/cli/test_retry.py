"""Trials that ended without a result, sent again."""

import json
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from local_sweeps import Place
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

FAILS = "if not os.path.exists(f'{folder}/mended'): sys.exit('no lens cap')"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path / "my sweeps")
    yield found
    found.end()


def test_retry_sends_failed_trials_again_as_new_attempts_of_the_same_trials(place: Place):
    place.trainer(FAILS.replace("if not", "if rate > 1e-4 and not"))
    place.submit(place.grid(3))
    place.wait_ended(3)
    first = (place.root() / "trials/0000/result.json").read_bytes()
    (place.folder / "mended").touch()
    (place.root() / "runs/0001/checkpoints").mkdir()
    (place.root() / "runs/0001/checkpoints/model.pt").touch()  # the program's own: what it does with it we do not know
    said = place.run("retry", "s").stdout
    assert "2 trials of s are open again: 1, 2" in said
    assert "from scratch" not in said
    results = place.wait_ended(3)
    assert [result["state"] for result in results] == ["complete"] * 3
    assert (place.root() / "trials/0000/result.json").read_bytes() == first
    assert json.loads((place.root() / "trials/0001/result-1.json").read_bytes())["state"] == "failed"
    assert len(place.notes("begin")) == 5
    assert {path.name for path in (place.root() / "runs/0001/attempts").glob("[0-9].json")} == {"1.json", "2.json"}
    storage = JournalStorage(JournalFileBackend(str(place.root() / "study.journal")))
    states = [trial.state.name for trial in optuna.load_study(study_name="s", storage=storage).trials]
    assert states == ["COMPLETE"] * 3


def test_a_sweep_that_stopped_by_itself_goes_on_after_retry(place: Place):
    place.trainer(FAILS)
    sweep = place.grid(6)
    place.submit(sweep)
    place.wait(lambda: len(place.results()) >= 3)
    place.wait_quiet()
    begun = len(place.notes("begin"))
    assert begun < 6, "what has one fault is met by a few, not by all"
    status = place.run("status", "s").stdout
    assert "the sweep is paused" in status
    assert "no lens cap" in status
    place.submit(sweep)
    place.wait_quiet()
    assert len(place.notes("begin")) == begun, "a submit alone lifts nothing"
    (place.folder / "mended").touch()
    place.run("retry", "s", "--failed")
    assert [result["state"] for result in place.wait_ended(6)] == ["complete"] * 6


def test_a_cancelled_trial_comes_back_when_it_is_named(place: Place):
    place.trainer("pass")
    place.submit(place.grid(1))
    place.wait_ended(1)
    sweep = place.grid(2)
    place.run("submit", sweep.name, "--executor", "local", "--dry-run")
    place.submit(sweep)
    place.wait_ended(2)
    refused = place.run("retry", "s", "0", status=2).stderr
    assert "trial 0 of s is complete" in refused
    assert "has no trial 9" in place.run("retry", "s", "9", status=2).stderr
    assert "0 trials of s are open again" in place.run("retry", "s").stdout
