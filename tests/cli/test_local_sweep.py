"""Whole sweeps on local processes, by the command line alone; the trainer is a program of a few lines."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from local_sweeps import AT_ONCE, SLOWLY, TPE, UNTIL_TOLD, Place
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from unetsweep.bounded_json import read_json


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "my sweeps")
    made.trainer(AT_ONCE)
    yield made
    made.end()


def states(place: Place, name: str = "s") -> list[str]:
    return [result["state"] for result in place.results(name)]


def journal(place: Place, name: str = "s") -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(place.root(name) / "study.journal")))
    return optuna.load_study(study_name=name, storage=storage)


def times(place: Place) -> dict[str, int]:
    """When each file was changed, but for the mark that a reconciliation has looked."""
    files = [path for path in place.root().rglob("*") if path.is_file() and path.name != "last-reconciliation"]
    return {str(path): path.stat().st_mtime_ns for path in files}


def most_at_once(place: Place) -> int:
    begins = [at for _, _, at, _ in place.notes("begin")]
    ends = [at for _, _, at, _ in place.notes("end")]
    return max(sum(b <= at for b in begins) - sum(e < at for e in ends) for at in begins)


def test_a_grid_ends_by_itself_and_submitting_it_again_does_nothing(place: Place):
    sweep = place.grid(6)
    said = place.submit(sweep).stdout
    assert "jobs: 1 2" in said
    assert "next: unetsweep status s" in said
    results = place.wait_ended(6)
    assert states(place) == ["complete"] * 6
    assert [result["trial"] for result in results] == list(range(6))
    assert sorted(float(result["val_iou"]) for result in results) == [
        pytest.approx(0.5 + k * 1e-4) for k in range(1, 7)
    ]
    assert sorted(run for run, *_ in place.notes("begin")) == [f"{k:04d}" for k in range(6)]
    assert most_at_once(place) <= 2
    before = times(place)
    again = place.submit(sweep).stdout
    assert "6 ended, 0 open" in again
    assert times(place) == before
    assert [trial.value for trial in journal(place).get_trials()] == [result["val_iou"] for result in results]
    assert {row["state"] for row in place.status()["trials"]} == {"complete"}


def test_a_search_ends_by_itself_and_never_runs_more_than_parallel(place: Place):
    place.trainer(SLOWLY)
    sweep = place.sweep(TPE)
    place.submit(sweep)
    results = place.wait_ended(6)
    assert states(place) == ["complete"] * 6
    assert most_at_once(place) <= 2
    assert len({rate for _, rate, *_ in place.notes("begin")}) == 6
    assert len(place.notes("begin")) == 6
    assert [trial.value for trial in journal(place).get_trials()] == [result["val_iou"] for result in results]


def test_with_watch_submit_stays_to_the_end(place: Place):
    said = place.submit(place.grid(2), "--watch").stdout
    assert "2 ended, 0 running" in said
    assert states(place) == ["complete"] * 2
    place.wait_quiet()


def test_a_failing_trainer_s_last_words_are_the_reason(place: Place):
    place.trainer("sys.exit('ValueError: the optic disc is missing') if rate > 1e-4 else None")
    place.submit(place.grid(2))
    results = place.wait_ended(2)
    assert states(place) == ["complete", "failed"]
    assert "ended with status 1 and wrote no" in results[1]["message"]
    assert "ValueError: the optic disc is missing" in results[1]["message"]
    (row,) = [row for row in place.status()["trials"] if row["state"] == "failed"]
    assert "the optic disc is missing" in row["reason"]
    assert "ValueError: the optic disc is missing" in place.run("logs", "s", "1").stdout


def test_a_trainer_that_is_killed_from_outside_is_sent_again_and_the_others_go_on(place: Place):
    place.trainer(f"if rate < 2e-4:\n    {UNTIL_TOLD}")
    place.submit(place.grid(3))
    (pid,) = place.wait(lambda: [pid for run, _, _, pid in place.notes("begin") if run == "0000"])
    os.kill(pid, signal.SIGKILL)
    place.wait(lambda: sum(run == "0000" for run, *_ in place.notes("begin")) == 2)
    (place.folder / "go").touch()
    place.wait_ended(3)
    assert states(place) == ["complete"] * 3
    lost = read_json(place.root() / "runs/0000/attempts/1.lost.json")
    assert lost["cause"] == "UNEXPLAINED"
    assert "status 137 (Killed)" in lost["reason"]


def test_nobody_trains_on_unseen_when_the_supervisor_is_killed(place: Place):
    place.trainer(UNTIL_TOLD)
    sweep = place.grid(1)
    place.submit(sweep)
    place.wait(lambda: place.notes("begin"))
    (supervisor,) = place.processes("supervise")
    os.kill(supervisor, signal.SIGKILL)
    place.wait_quiet()
    assert len(place.notes("end")) == 0
    (place.folder / "go").touch()
    place.submit(sweep)
    place.wait_ended(1)
    assert states(place) == ["complete"]
    assert len(place.notes("begin")) == 2


def test_cancelling_a_trial_ends_its_job_alone(place: Place):
    place.trainer(UNTIL_TOLD)
    place.submit(place.grid(3))
    place.wait(lambda: len(place.notes("begin")) == 2)
    said = place.run("cancel", "s", 0).stdout
    assert said == "cancelled 1 trials of s: 0\n"
    place.wait(lambda: states(place) == ["cancelled"])
    place.wait(lambda: len(place.notes("begin")) == 3)
    (place.folder / "go").touch()
    place.wait_ended(3)
    assert states(place) == ["cancelled", "complete", "complete"]
    assert "cancelled" in place.results()[0]["message"]


def test_cancelling_a_sweep_ends_everything_and_submitting_it_again_trains_nothing_cancelled(place: Place):
    place.trainer(UNTIL_TOLD)
    sweep = place.grid(4)
    place.submit(sweep)
    place.wait(lambda: len(place.notes("begin")) == 2)
    place.run("cancel", "s")
    place.wait_ended(4)
    assert states(place) == ["cancelled"] * 4
    place.submit(sweep)
    assert states(place) == ["cancelled"] * 4
    assert len(place.notes("begin")) == 2
    assert place.run("cancel", "s").stdout == "cancelled 0 trials of s: no trial was open\n"


def test_a_trial_that_is_cancelled_while_its_process_starts_never_trains(place: Place):
    sweep = place.grid(2)
    sweep.write_text(sweep.read_text() + "slurm: {setup: ['sleep 1.5']}\n")
    place.submit(sweep)
    place.run("cancel", "s")
    place.wait_ended(2)
    assert states(place) == ["cancelled"] * 2
    assert place.notes("begin") == []


def test_logs_shows_what_the_trainer_printed_and_follows_it_to_its_end(place: Place):
    place.submit(place.grid(1))
    said = place.run("logs", "s", "0", "--follow")
    assert "training at 0.0001" in said.stdout
    assert "submissions" in said.stderr
    assert "has no trial 7; it has 1 (from 0)" in place.run("logs", "s", "7", status=2).stderr
    place.wait_ended(1)


def test_a_dry_run_prints_one_object_and_writes_nothing(place: Place):
    sweep = place.grid(6)
    before = sorted(place.folder.rglob("*"))
    found = json.loads(place.submit(sweep, "--dry-run", "--json").stdout)
    assert {"trials", "runs", "jobs", "arrays", "epochs_asked", "epochs_to_train", "actions"} <= set(found)
    assert (found["trials"], found["runs"], found["arrays"], found["epochs_asked"]) == (6, 6, 0, 48)
    assert [action["action"] for action in found["actions"]] == ["propose", "submit"]
    assert sorted(place.folder.rglob("*")) == before
    lines = place.submit(sweep, "--dry-run").stdout
    assert "propose  6 trials" in lines
    assert "CPU-hours unknown, disk unknown (no trial with batch size 4 has finished)" in lines
    assert sorted(place.folder.rglob("*")) == before
    place.submit(sweep)
    place.wait_ended(6)
    found = json.loads(place.submit(sweep, "--dry-run", "--json").stdout)
    assert (found["actions"], found["cpu_hours"], found["disk_bytes"]) == ([], 0.0, 0)
    grown = place.submit(place.grid(7), "--dry-run")
    assert "medians of finished trials: 6 with batch size 4," in grown.stdout


def test_a_sweep_grows_but_never_changes(place: Place):
    place.submit(place.grid(1))
    place.wait_ended(1)
    place.submit(place.grid(2))
    place.wait_ended(2)
    assert len(place.notes("begin")) == 2
    sweep = place.grid(2)
    sweep.write_text(sweep.read_text().replace("epochs: [8]", "epochs: [9]"))
    refused = place.submit(sweep, status=2).stderr
    assert "submitted with other settings" in refused
    assert "space.epochs: [8] -> [9]" in refused
    assert len(place.notes("begin")) == 2


def test_status_of_a_running_sweep_says_where_every_trial_is_and_why(place: Place):
    place.trainer(UNTIL_TOLD)
    place.submit(place.grid(3))
    place.wait(lambda: len(place.notes("begin")) == 2)
    rows = place.status()["trials"]
    assert [(row["state"], row["job_id"]) for row in rows] == [("running", "1"), ("running", "2"), ("waiting", None)]
    assert rows[2]["reason"] == "all 2 slots are in use"
    assert "2 running, 1 waiting; 3 trials wanted" in place.run("status").stdout
    (place.folder / "go").touch()
    place.wait_ended(3)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGHUP])
def test_the_end_of_the_terminal_harms_no_training(place: Place, end: signal.Signals):
    place.trainer(UNTIL_TOLD)
    view = place.watched(place.grid(3))
    place.wait(lambda: len(place.notes("begin")) == 2)
    os.killpg(view.pid, end)  # as the terminal does: to all that belongs to it
    said, _ = view.communicate(timeout=30)
    if end is signal.SIGINT:
        assert view.returncode == 0
        assert "the trainings continue; see them with: unetsweep status s" in said
    (place.folder / "go").touch()
    place.wait_ended(3)
    assert states(place) == ["complete"] * 3
    assert len(place.notes("begin")) == 3
