"""Commands on a sweep whose points are trained several times, on processes of this machine."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from local_sweeps import UNTIL_RELEASED, Workspace
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

GRID = """\
space: {epochs: [8], batch_size: [4], learning_rate: [1e-4, 2e-4]}
study: {repeats: 2}
run: {parallel: 4}
"""
FAILS_ONCE = "if (rate, config['seed']) == (2e-4, 1) and not os.path.exists(f'{folder}/repaired'): sys.exit('no lens')"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    found = Workspace(tmp_path / "here")
    yield found
    found.end()


def rows(workspace: Workspace) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(workspace.run("report", "s", "--format", "csv").stdout)))


def values(workspace: Workspace) -> list[tuple[float | None, list[int]]]:
    """The value and the trials of each trial of the Optuna study."""
    storage = JournalStorage(JournalFileBackend(str(workspace.root() / "study.journal")))
    found = optuna.load_study(study_name="s", storage=storage).trials
    return [(trial.value, trial.user_attrs["trials"]) for trial in found]


def test_points_and_trials_are_named_before_and_after_and_every_command_knows_them(workspace: Workspace):
    workspace.trainer(FAILS_ONCE)
    sweep = workspace.sweep(GRID)
    text = "2 points, 2 trainings of each: 4 trials"
    assert "fine: 2 points, 2 trainings of each: 4 trials in 4 runs" in workspace.run("validate", "s.yaml").stdout
    plan = workspace.submit(sweep, "--dry-run").stdout
    assert f"propose  4 trials: the sweep asks for {text}" in plan
    assert "points 2, trainings of each 2, trials 4" in plan
    assert json.loads(workspace.submit(sweep, "--dry-run", "--json").stdout)["repeats"] == 2
    workspace.submit(sweep, "--watch", status=1)
    assert f"s on local: 3 complete, 1 failed; {text} wanted" in workspace.run("status", "s").stdout
    assert [(row["trial"], row["trainings"], row["val_iou"], row["seeds"]) for row in rows(workspace)] == [
        ("0", "2", "0.5001", "0 1"),
        ("2", "1", "0.5002", "0 1"),
    ]
    assert "*  0000" in workspace.run("report", "s").stdout, "the point with the better mean lacks a training"

    (workspace.folder / "repaired").touch()
    workspace.run("retry", "s", "--failed")
    workspace.wait_ended(4)
    workspace.submit(sweep, "--watch")
    assert [row["trainings"] for row in rows(workspace)] == ["2", "2"]
    assert "*  0002" in workspace.run("report", "s").stdout
    assert values(workspace) == [(0.5001, [0, 1]), (0.5002, [2, 3])]

    workspace.run("confirm", "s", "--top", "1", "--seeds", "2", "--watch")
    confirmed = sorted((workspace.root() / "confirm/trials").glob("*/config.json"))
    configs = [json.loads(path.read_text()) for path in confirmed]
    assert [(config["learning_rate"], config["seed"]) for config in configs] == [(2e-4, 2), (2e-4, 3)]

    sweep.write_text(sweep.read_text().replace("repeats: 2", "repeats: 1"))
    assert "study.repeats: 2 -> 1" in workspace.submit(sweep, status=2).stderr
    sweep.write_text(sweep.read_text().replace("repeats: 1", "repeats: 3"))
    workspace.submit(sweep, "--watch")
    assert [(row["trainings"], row["seeds"]) for row in rows(workspace)] == [("3", "0 1 2"), ("3", "0 1 2")]
    assert values(workspace) == [(pytest.approx(0.5001), [0, 1, 4]), (pytest.approx(0.5002), [2, 3, 5])]


def test_cancelling_one_training_leaves_the_other_and_its_value_is_that_of_the_point(workspace: Workspace):
    workspace.trainer(UNTIL_RELEASED)
    workspace.submit(workspace.sweep(GRID))
    workspace.wait(lambda: len(workspace.notes("begin")) == 4)
    workspace.run("cancel", "s", "1")
    (workspace.folder / "go").touch()
    workspace.wait_ended(4)
    workspace.submit(workspace.folder / "s.yaml", "--watch")
    assert [(row["trial"], row["trainings"], row["val_iou"]) for row in rows(workspace)] == [
        ("0", "1", "0.5001"),
        ("2", "2", "0.5002"),
    ]
    assert values(workspace) == [(0.5001, [0, 1]), (0.5002, [2, 3])]
