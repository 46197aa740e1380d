"""A file that belongs to another trial, run or sweep is named, and is used in no row, no training and no study."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from unetsweep.analysis.records import read_sweep_record
from unetsweep.atomic import write_json
from unetsweep.cli import repair
from unetsweep.config.load import load
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, Result, config_id, encode
from unetsweep.core.actions import Element
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import trial_config
from unetsweep.errors import StateError
from unetsweep.store.sweep_dir import SweepDir

RATES = (1e-3, 2e-3, 3e-3)


def make_sweep(root: Path) -> SweepDir:
    """A sweep with two ended trials, and a third with a result that is only in its run."""
    sweep = SweepDir(root)
    space = Space.of(epochs=Choices((8,)), batch_size=Choices((4,)), learning_rate=Choices(RATES))
    sweep.create(as_yaml(SweepSpec("s", DataConfig("images"), space)), "local")
    spec = load(sweep.root / "sweep.yaml")
    configs = [trial_config(spec, {"epochs": 8, "batch_size": 4, "learning_rate": rate}) for rate in RATES]
    sweep.add_trials(configs, {})
    sweep.create_attempts([Element(number, 1, ((number, 8),)) for number in range(3)], None, "local")
    for number, config in enumerate(configs):
        result = Result(val_iou=0.5 + number / 10, config_id=config_id(config), epochs=8)
        (sweep.root / f"runs/000{number}/milestones").mkdir()
        write_json(sweep.root / f"runs/000{number}/milestones/8.json", encode(result))
        if number < 2:
            sweep.end_trial(number, Result(**{**encode(result), "trial": number}))
    return sweep


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    return make_sweep(tmp_path / "results/s")


def swap(sweep: SweepDir, one: str, other: str) -> None:
    paths = [sweep.root / name for name in (one, other)]
    texts = [path.read_text() for path in paths]
    for path, text in zip(paths, reversed(texts), strict=True):
        path.write_text(text)


def rows_of(sweep: SweepDir) -> list[tuple[str, float | None]]:
    """State and val_iou of each row."""
    return [(row.state, row.result and row.result.val_iou) for row in read_sweep_record(sweep.root).trials]


def repair_output(sweep: SweepDir) -> str:
    """Run `repair` and return its output."""
    done = CliRunner().invoke(repair.command, [str(sweep.root)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def test_without_misplaced_files_every_row_is_correct_and_nothing_is_repaired(sweep: SweepDir) -> None:
    assert rows_of(sweep) == [("complete", 0.5), ("complete", 0.6), ("complete", 0.7)]
    assert "0 repaired, 0 need your attention" in repair_output(sweep)


@pytest.mark.parametrize("name", ["trial.json", "result.json"])
def test_swapped_files_of_two_trials_are_named_and_repair_corrects_each_row(sweep: SweepDir, name: str) -> None:
    swap(sweep, f"trials/0000/{name}", f"trials/0001/{name}")
    rows = read_sweep_record(sweep.root).trials
    assert [row.state for row in rows] == ["waiting", "waiting", "complete"]
    for row, other in ((rows[0], 1), (rows[1], 0)):
        assert f"trials/000{row.number}/{name}: found the" in row.reason
        assert f"of trial {other}" in row.reason
        assert "unetsweep repair s" in row.reason
    repair_output(sweep)
    assert rows_of(sweep) == [("complete", 0.5), ("complete", 0.6), ("complete", 0.7)]


def test_the_result_of_another_run_is_not_used(sweep: SweepDir) -> None:
    shutil.copy(sweep.root / "runs/0000/milestones/8.json", sweep.root / "runs/0002/milestones/8.json")
    assert rows_of(sweep) == [("complete", 0.5), ("complete", 0.6), ("waiting", None)]
    unreadable = sweep.observe().runs[2].unreadable
    assert unreadable is not None
    assert "runs/0002/milestones/8.json: found the result of another training" in unreadable
    assert "quarantined as 8.json.corrupt" in repair_output(sweep)
    assert sweep.observe().runs[2].unreadable is None
    assert sweep.observe().runs[2].published_states == {}


def test_the_job_of_another_run_is_not_used(sweep: SweepDir) -> None:
    sweep.create_attempts([Element(run, 1, ((run, 8),)) for run in (1, 2)], None, "slurm")
    for run in (1, 2):
        sweep.record_job(run, 1, f"{run}")
    shutil.copy(sweep.root / "runs/0001/attempts/1.job.json", sweep.root / "runs/0002/attempts/1.job.json")
    unreadable = sweep.observe().runs[2].unreadable
    assert unreadable is not None
    assert "runs/0002/attempts/1.job.json: found the job of attempt 1 of run 1, not of attempt 1 of run 2" in unreadable
    assert "runs/0002/attempts/1.job.json: found the job of attempt 1 of run 1" in repair_output(sweep)
    assert sweep.observe().runs[2].unreadable is None


def test_the_result_of_another_sweep_is_not_used(sweep: SweepDir, tmp_path: Path) -> None:
    other = encode(Result(val_iou=0.99, trial=1, epochs=8, config_id="0" * 64))
    write_json(sweep.root / "trials/0001/result.json", other)
    assert rows_of(sweep) == [("complete", 0.5), ("waiting", None), ("complete", 0.7)]
    repair_output(sweep)
    assert rows_of(sweep)[1] == ("complete", 0.6)


def test_swapped_configs_are_found_and_corrected_by_repair(sweep: SweepDir) -> None:
    swap(sweep, "trials/0000/config.json", "trials/0002/config.json")
    assert "found the config of another trial" in repair_output(sweep)
    for number, rate in enumerate(RATES):
        raw = json.loads((sweep.root / f"trials/000{number}/config.json").read_text())
        assert raw["learning_rate"] == rate


@pytest.mark.parametrize("ended", [True, False])
def test_a_trial_without_trial_json_keeps_its_row_and_its_number(sweep: SweepDir, ended: bool) -> None:
    number = 0 if ended else 2
    (sweep.root / f"trials/000{number}/trial.json").unlink()
    row = read_sweep_record(sweep.root).trials[number]
    assert (row.number, row.state) == (number, "waiting")
    assert f"trials/000{number}/trial.json: is missing: run `unetsweep repair s`" in row.reason
    assert sweep.next_trial() == 3
    assert [trial.number for trial in sweep.trials()] == [0, 1, 2]
    if not ended:
        (trial,) = sweep.observe().trials
        assert trial.unreadable is not None
    repair_output(sweep)
    assert rows_of(sweep) == [("complete", 0.5), ("complete", 0.6), ("complete", 0.7)]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", ["removed", "emptied", "renamed", "a file"])
def test_a_trial_that_was_lost_is_named_in_its_row_and_its_point_is_not_trained_again(
    sweep: SweepDir, number: int, damage: str
) -> None:
    folder = sweep.root / f"trials/000{number}"
    if damage == "renamed":
        folder.rename(sweep.root / f"trials/{number}")
    else:
        shutil.rmtree(folder)
    if damage == "emptied":
        folder.mkdir()
    elif damage == "a file":
        folder.write_text("")
    rows = read_sweep_record(sweep.root).trials
    assert [row.number for row in rows] == [0, 1, 2]
    assert (rows[number].state, rows[number].result) == ("waiting", None)
    assert f"trials/000{number}" in rows[number].reason
    assert sweep.next_trial() == 3
    assert [trial.number for trial in sweep.observe().trials if trial.unreadable] == [number]
    output = repair_output(sweep)
    assert f"put {folder} back from a backup" in repair_output(sweep), output
    assert f"or give the trial up: `unetsweep cancel s {number}`" in repair_output(sweep)
    sweep.cancel_trial(number)
    assert read_sweep_record(sweep.root).trials[number].reason


def test_an_attempt_of_another_run_is_not_used(sweep: SweepDir) -> None:
    sweep.record_job(0, 1, "18808_0")
    path = sweep.root / "runs/0002/attempts/1.json"
    before = path.read_bytes()
    shutil.copy(sweep.root / "runs/0000/attempts/1.json", path)
    run = sweep.observe().runs[2]
    assert "found attempt 1 of run 0 in the place of attempt 1 of run 2" in (run.unreadable or "")
    assert run.attempts == ()
    repair_output(sweep)
    assert json.loads(path.read_bytes())["index"] == json.loads(before)["index"] == 2
    assert sweep.observe().runs[2].unreadable is None


def test_an_empty_folder_is_no_trial(sweep: SweepDir) -> None:
    (sweep.root / "trials/0003").mkdir()
    assert [row.number for row in read_sweep_record(sweep.root).trials] == [0, 1, 2]
    assert sweep.next_trial() == 3


def test_if_the_folder_of_trials_is_missing_no_table_is_printed_and_nothing_is_proposed(sweep: SweepDir) -> None:
    (sweep.root / "trials").rename(sweep.root / "elsewhere")
    for read in (lambda: read_sweep_record(sweep.root), sweep.observe, sweep.trials, sweep.next_trial):
        with pytest.raises(StateError, match="trials: this folder is missing, and with it every trial"):
            read()
    (sweep.root / "trials").write_text("")
    with pytest.raises(StateError, match="trials: this folder is missing"):
        sweep.observe()


@pytest.mark.parametrize("value", ["1" + "0" * 400, "NaN", "[" * 3000 + "]" * 3000, "[]"])
def test_a_result_without_a_valid_number_is_named_in_the_table(sweep: SweepDir, value: str) -> None:
    (sweep.root / "trials/0001/result.json").write_text('{"schema": 1, "val_iou": ' + value + "}")
    row = read_sweep_record(sweep.root).trials[1]
    assert (row.state, row.result) == ("waiting", None)
    assert "trials/0001/result.json" in row.reason
    repair_output(sweep)
    assert rows_of(sweep)[1] == ("complete", 0.6)
