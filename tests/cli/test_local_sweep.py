"""Whole sweeps on local processes, through the command line; the trainer is a program of a few lines."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from local_sweeps import AT_ONCE, SLOWLY, TPE, UNTIL_RELEASED, Workspace
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from unetsweep.bounded_json import read_json


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "my sweeps")
    made.trainer(AT_ONCE)
    yield made
    made.end()


def states(workspace: Workspace, name: str = "s") -> list[str]:
    return [result["state"] for result in workspace.results(name)]


def load_study(workspace: Workspace, name: str = "s") -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(workspace.root(name) / "study.journal")))
    return optuna.load_study(study_name=name, storage=storage)


def times(workspace: Workspace) -> dict[str, int]:
    """When each file was changed, except the mark of the last reconciliation."""
    files = [path for path in workspace.root().rglob("*") if path.is_file() and path.name != "last-reconciliation"]
    return {str(path): path.stat().st_mtime_ns for path in files}


def most_at_once(workspace: Workspace) -> int:
    begins = [at for _, _, at, _ in workspace.notes("begin")]
    ends = [at for _, _, at, _ in workspace.notes("end")]
    return max(sum(b <= at for b in begins) - sum(e < at for e in ends) for at in begins)


def test_a_grid_runs_to_its_end_after_one_submit_and_a_second_submit_does_nothing(workspace: Workspace):
    sweep = workspace.grid(6)
    output = workspace.submit(sweep).stdout
    assert "jobs: 1 2" in output
    assert "next: unetsweep status s" in output
    results = workspace.wait_ended(6)
    assert states(workspace) == ["complete"] * 6
    assert [result["trial"] for result in results] == list(range(6))
    assert sorted(float(result["val_iou"]) for result in results) == [
        pytest.approx(0.5 + k * 1e-4) for k in range(1, 7)
    ]
    assert sorted(run for run, *_ in workspace.notes("begin")) == [f"{k:04d}" for k in range(6)]
    assert most_at_once(workspace) <= 2
    before = times(workspace)
    again = workspace.submit(sweep).stdout
    assert "6 ended, 0 open" in again
    assert times(workspace) == before
    assert [trial.value for trial in load_study(workspace).get_trials()] == [result["val_iou"] for result in results]
    assert {row["state"] for row in workspace.status()["trials"]} == {"complete"}


def test_a_search_runs_to_its_end_after_one_submit_with_at_most_parallel_trainings_at_once(workspace: Workspace):
    workspace.trainer(SLOWLY)
    sweep = workspace.sweep(TPE)
    workspace.submit(sweep)
    results = workspace.wait_ended(6)
    assert states(workspace) == ["complete"] * 6
    assert most_at_once(workspace) <= 2
    assert len({rate for _, rate, *_ in workspace.notes("begin")}) == 6
    assert len(workspace.notes("begin")) == 6
    assert [trial.value for trial in load_study(workspace).get_trials()] == [result["val_iou"] for result in results]


def test_with_watch_submit_waits_for_the_end(workspace: Workspace):
    output = workspace.submit(workspace.grid(2), "--watch").stdout
    assert "2 ended, 0 running" in output
    assert states(workspace) == ["complete"] * 2
    workspace.wait_quiet()


def test_the_reason_of_a_failed_trial_has_the_last_message_of_its_trainer(workspace: Workspace):
    workspace.trainer("sys.exit('ValueError: the optic disc is missing') if rate > 1e-4 else None")
    workspace.submit(workspace.grid(2))
    results = workspace.wait_ended(2)
    assert states(workspace) == ["complete", "failed"]
    assert "ended with status 1 and wrote no" in results[1]["message"]
    assert "ValueError: the optic disc is missing" in results[1]["message"]
    (row,) = [row for row in workspace.status()["trials"] if row["state"] == "failed"]
    assert "the optic disc is missing" in row["reason"]
    assert "ValueError: the optic disc is missing" in workspace.run("logs", "s", "1").stdout


def test_a_killed_trainer_is_resubmitted_and_the_others_continue(workspace: Workspace):
    workspace.trainer(f"if rate < 2e-4:\n    {UNTIL_RELEASED}")
    workspace.submit(workspace.grid(3))
    (pid,) = workspace.wait(lambda: [pid for run, _, _, pid in workspace.notes("begin") if run == "0000"])
    os.kill(pid, signal.SIGKILL)
    workspace.wait(lambda: sum(run == "0000" for run, *_ in workspace.notes("begin")) == 2)
    (workspace.folder / "go").touch()
    workspace.wait_ended(3)
    assert states(workspace) == ["complete"] * 3
    lost = read_json(workspace.root() / "runs/0000/attempts/1.lost.json")
    assert lost["cause"] == "UNEXPLAINED"
    assert "status 137 (Killed)" in lost["reason"]


def test_no_training_survives_the_death_of_its_supervisor(workspace: Workspace):
    workspace.trainer(UNTIL_RELEASED)
    sweep = workspace.grid(1)
    workspace.submit(sweep)
    workspace.wait(lambda: workspace.notes("begin"))
    (supervisor,) = workspace.processes("supervise")
    os.kill(supervisor, signal.SIGKILL)
    workspace.wait_quiet()
    assert len(workspace.notes("end")) == 0
    (workspace.folder / "go").touch()
    workspace.submit(sweep)
    workspace.wait_ended(1)
    assert states(workspace) == ["complete"]
    assert len(workspace.notes("begin")) == 2


def test_cancelling_a_trial_ends_only_its_job(workspace: Workspace):
    workspace.trainer(UNTIL_RELEASED)
    workspace.submit(workspace.grid(3))
    workspace.wait(lambda: len(workspace.notes("begin")) == 2)
    output = workspace.run("cancel", "s", 0).stdout
    assert output == "cancelled 1 trial of s: 0\nto train them later: unetsweep retry s --cancelled\n"
    workspace.wait(lambda: states(workspace) == ["cancelled"])
    workspace.wait(lambda: len(workspace.notes("begin")) == 3)
    (workspace.folder / "go").touch()
    workspace.wait_ended(3)
    assert states(workspace) == ["cancelled", "complete", "complete"]
    assert "cancelled" in workspace.results()[0]["message"]


def test_cancelling_a_sweep_ends_everything_and_a_submit_does_not_train_cancelled_trials(workspace: Workspace):
    workspace.trainer(UNTIL_RELEASED)
    sweep = workspace.grid(4)
    workspace.submit(sweep)
    workspace.wait(lambda: len(workspace.notes("begin")) == 2)
    workspace.run("cancel", "s")
    workspace.wait_ended(4)
    assert states(workspace) == ["cancelled"] * 4
    workspace.submit(sweep)
    assert states(workspace) == ["cancelled"] * 4
    assert len(workspace.notes("begin")) == 2
    assert workspace.run("cancel", "s").stdout == "cancelled 0 trials of s: no trial was open\n"


UNTIL_PRUNED = """
with open(f"{out}/progress-{os.environ['UNETSWEEP_CLAIM']}.jsonl", "a") as log:
    log.write(json.dumps({"epoch": 1, "seconds": 0.1}) + "\\n")
while not os.path.exists(f"{out}/prune.json"): time.sleep(0.02)
note("saved")
sys.exit(0)
"""


def test_a_cancelled_training_saves_a_checkpoint_and_ends_by_itself(workspace: Workspace):
    workspace.trainer(UNTIL_PRUNED)
    sweep = workspace.grid(1)
    sweep.write_text(sweep.read_text().replace("trainer: {", "trainer: {resumes: true, "))
    workspace.submit(sweep)
    workspace.wait(lambda: list((workspace.folder / "results/s/runs").glob("*/progress-*.jsonl")))
    done = workspace.run("cancel", "s")
    assert done.stdout == "cancelled 1 trial of s: 0\nto train them later: unetsweep retry s --cancelled\n"
    assert "trial 0: waiting for the end of an epoch, to save a checkpoint; at most 30 s" in done.stderr
    workspace.wait_ended(1)
    assert states(workspace) == ["cancelled"]
    assert len(workspace.notes("saved")) == 1


def test_a_trial_that_is_cancelled_while_its_process_starts_never_trains(workspace: Workspace):
    sweep = workspace.grid(2)
    sweep.write_text(sweep.read_text() + "slurm: {setup: ['sleep 1.5']}\n")
    workspace.submit(sweep)
    workspace.run("cancel", "s")
    workspace.wait_ended(2)
    assert states(workspace) == ["cancelled"] * 2
    assert workspace.notes("begin") == []


def test_logs_prints_the_output_of_the_trainer_and_follows_it_to_its_end(workspace: Workspace):
    workspace.submit(workspace.grid(1))
    done = workspace.run("logs", "s", "0", "--follow")
    assert "training at 0.0001" in done.stdout
    assert "submissions" in done.stderr
    assert "has no trial 7; it has 1 trial (0)" in workspace.run("logs", "s", "7", status=2).stderr
    workspace.wait_ended(1)


def test_a_dry_run_prints_one_object_and_writes_nothing(workspace: Workspace):
    sweep = workspace.grid(6)
    before = sorted(workspace.folder.rglob("*"))
    found = json.loads(workspace.submit(sweep, "--dry-run", "--json").stdout)
    assert {"trials", "runs", "jobs", "arrays", "epochs_asked", "epochs_to_train", "actions"} <= set(found)
    assert (found["trials"], found["runs"], found["arrays"], found["epochs_asked"]) == (6, 6, 0, 48)
    assert [action["action"] for action in found["actions"]] == ["propose", "submit"]
    assert sorted(workspace.folder.rglob("*")) == before
    lines = workspace.submit(sweep, "--dry-run").stdout
    assert "propose  6 trials" in lines
    assert "CPU-hours and disk unknown until one has ended (no trial with batch size 4 has finished)" in lines
    assert sorted(workspace.folder.rglob("*")) == before
    workspace.submit(sweep)
    workspace.wait_ended(6)
    found = json.loads(workspace.submit(sweep, "--dry-run", "--json").stdout)
    assert (found["actions"], found["cpu_hours"], found["disk_bytes"]) == ([], 0.0, 0)
    grown = workspace.submit(workspace.grid(7), "--dry-run")
    assert "fastest to slowest of finished trials with the same settings: 6 with batch size 4," in grown.stdout


def test_a_sweep_grows_but_never_changes(workspace: Workspace):
    workspace.submit(workspace.grid(1))
    workspace.wait_ended(1)
    workspace.submit(workspace.grid(2))
    workspace.wait_ended(2)
    assert len(workspace.notes("begin")) == 2
    sweep = workspace.grid(2)
    sweep.write_text(sweep.read_text().replace("epochs: [8]", "epochs: [9]"))
    refused = workspace.submit(sweep, status=2).stderr
    assert "submitted with other settings" in refused
    assert "space.epochs: [8] -> [9]" in refused
    assert len(workspace.notes("begin")) == 2


def test_status_of_a_running_sweep_has_the_state_and_the_reason_of_every_trial(workspace: Workspace):
    workspace.trainer(UNTIL_RELEASED)
    workspace.submit(workspace.grid(3))
    workspace.wait(lambda: len(workspace.notes("begin")) == 2)
    rows = workspace.status()["trials"]
    assert [(row["state"], row["job_id"]) for row in rows] == [("running", "1"), ("running", "2"), ("waiting", None)]
    assert rows[2]["reason"] == "all 2 slots are in use"
    assert "2 running, 1 waiting; 3 trials wanted" in workspace.run("status").stdout
    (workspace.folder / "go").touch()
    workspace.wait_ended(3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_no_training_ends_with_the_terminal(workspace: Workspace, number: signal.Signals):
    workspace.trainer(UNTIL_RELEASED)
    view = workspace.start_watching(workspace.grid(3))
    workspace.wait(lambda: len(workspace.notes("begin")) == 2)
    os.killpg(view.pid, number)  # as a terminal does: to its whole process group
    output, _ = view.communicate(timeout=30)
    if number is signal.SIGINT:
        assert view.returncode == 0
        assert "the trainings continue; see them again with: unetsweep watch s" in output
    (workspace.folder / "go").touch()
    workspace.wait_ended(3)
    assert states(workspace) == ["complete"] * 3
    assert len(workspace.notes("begin")) == 3
