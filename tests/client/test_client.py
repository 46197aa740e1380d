"""The client: what it writes for a sweep, what it answers, and that none of its errors ends a training."""

import ast
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from unetsweep import client, contract
from unetsweep.cli.main import program
from unetsweep.record_files import read_record
from unetsweep.records import RequeueFile
from unetsweep.store.progress import read_progress

SOURCE = Path(client.__file__)


def environment(out: Path, milestones: str = "4,8", claim: str = "2-0", **more: str) -> dict[str, str]:
    """The variables of a training in a sweep."""
    known = {"UNETSWEEP_OUT": str(out), "UNETSWEEP_CLAIM": claim, "UNETSWEEP_MILESTONES": milestones}
    params = json.dumps({"learning_rate": 0.5, "epochs": 8})
    return {**known, "UNETSWEEP_SEED": "7", "UNETSWEEP_JOB_ID": "18_3", "UNETSWEEP_PARAMS": params, **more}


def start(out: Path, rank: int = 0, **more: Any) -> client.Run:
    return client.Run(environment(out, **more), rank=rank)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def prune(out: Path, *milestones: int, attempt: int = 2) -> None:
    record = {"schema": 1, "attempt": attempt, "trial": 0, "milestones": milestones, "epoch": 1, "reason": "too low"}
    (out / "prune.json").write_text(json.dumps(record))


def test_a_training_in_a_sweep_knows_its_parameters_seed_folder_and_milestones(tmp_path: Path):
    run = start(tmp_path)
    assert (run.params, run.seed, run.out) == ({"learning_rate": 0.5, "epochs": 8}, 7, tmp_path)
    assert (run.milestones, run.resume_from, run.in_sweep) == ((4, 8), None, True)


def test_outside_a_sweep_the_defaults_count_and_the_result_is_in_the_given_folder(tmp_path: Path):
    run = client.Run({}, tmp_path / "out")
    assert (run.params, run.seed, run.milestones, run.in_sweep) == ({}, 0, (), False)
    run.report(1, val_loss=0.5)
    with run.checkpoint() as path:
        path.write_text("1")
    run.milestone(1, val_loss=0.5)
    assert (run.should_prune(), run.should_requeue(), run.time_left()) == (False, False, float("inf"))
    run.finish(val_loss=0.5)
    assert read(tmp_path / "out/result.json") == {"schema": 1, "epochs_run": 1, "val_loss": 0.5}
    assert client.Run({}, tmp_path / "out").resume_from == tmp_path / "out/checkpoints/last.ckpt"


def test_outside_a_sweep_without_a_folder_there_is_a_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert client.Run({}).out.parent == tmp_path


def test_a_value_that_is_no_number_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    start(tmp_path).report(1, val_loss=0.5, val_iou=object())
    assert dict(read_progress(tmp_path, os.listdir(tmp_path)).points[0].values) == {"val_loss": 0.5}
    assert "val_iou is no number: object" in capsys.readouterr().err


def test_reports_are_lines_that_a_sweep_reads(tmp_path: Path):
    run = start(tmp_path)
    run.report(1, val_loss=0.5, val_iou=float("nan"))
    run.report(2, val_loss=0.25)
    points = read_progress(tmp_path, os.listdir(tmp_path)).points
    assert [(point.epoch, dict(point.values)) for point in points] == [(1, {"val_loss": 0.5}), (2, {"val_loss": 0.25})]
    assert all(point.at is not None and point.seconds is not None for point in points)


def test_numbers_of_other_libraries_become_plain_numbers():
    found = client._plain({"a": np.float32(0.5), "b": np.arange(2), "c": [float("inf")], "d": np.array(3)})
    assert json.dumps(found) == '{"a": 0.5, "b": [0, 1], "c": [null], "d": 3}'


def test_results_are_published_only_at_milestones_and_only_once(tmp_path: Path):
    run = start(tmp_path, UNETSWEEP_GPUS="2")
    for epoch in range(1, 9):
        run.report(epoch, val_iou=epoch / 10)
        run.milestone(epoch, val_iou=epoch / 10)
    run.finish(val_iou=0.0)
    found = {path.name: contract.result_from(read(path), str(path)) for path in tmp_path.glob("milestones/*.json")}
    assert {name: (each.state, each.val_iou, each.epochs_run) for name, each in found.items()} == {
        "4.json": ("complete", 0.4, 4),
        "8.json": ("complete", 0.8, 8),
    }
    assert (found["4.json"].job_id, found["8.json"].epochs) == ("18_3", 8)
    assert not (tmp_path / "result.json").exists()


def test_the_seconds_of_a_result_count_each_epoch_once_and_its_gpu_seconds_what_was_added(tmp_path: Path):
    lines = {"1-0": [(1, 10.0), (2, 10.0), (3, 10.0)], "1-1": [(3, 20.0), (4, 20.0)], "2-0": [(5, 5.0)]}
    for claim, epochs in lines.items():
        text = "".join(json.dumps({"epoch": epoch, "seconds": each}) + "\n" for epoch, each in epochs)
        (tmp_path / f"progress-{claim}.jsonl").write_text(text)
    run = start(tmp_path, milestones="4,5", UNETSWEEP_GPUS="2")
    run.milestone(4, val_iou=0.5)
    run.milestone(5, val_iou=0.5)
    four, five = (read(tmp_path / f"milestones/{epochs}.json") for epochs in (4, 5))
    assert (four["seconds"], four["gpu_seconds"]) == (60.0, 120.0)
    assert (five["seconds"], five["gpu_seconds"]) == (65.0, 10.0)


def test_without_milestones_of_its_own_the_result_at_the_end_is_that_of_the_last(tmp_path: Path):
    start(tmp_path).finish(val_iou=0.5)
    assert [path.name for path in tmp_path.glob("milestones/*")] == ["8.json"]


def test_a_pruned_training_stops_and_publishes_what_it_has(tmp_path: Path):
    run = start(tmp_path)
    prune(tmp_path, 8)
    run.report(3, val_iou=0.3)
    assert not run.should_prune()  # the milestone at 4 is wanted
    run.report(4, val_iou=0.4)
    run.milestone(4, val_iou=0.4)
    assert run.should_prune()
    run.finish(val_iou=0.4)
    found = {path.stem: read(path) for path in tmp_path.glob("milestones/*.json")}
    assert {name: (each["state"], each["epochs_run"], each["message"]) for name, each in found.items()} == {
        "4": ("complete", 4, None),
        "8": ("pruned", 4, "too low"),
    }


def test_a_training_that_continues_to_its_end_although_it_was_pruned_is_complete(tmp_path: Path):
    run = start(tmp_path, milestones="8")
    prune(tmp_path, 8)
    run.report(7, val_iou=0.7)
    assert run.should_prune()
    run.report(8, val_iou=0.8)
    run.finish(val_iou=0.8)
    assert read(tmp_path / "milestones/8.json")["state"] == "complete"


def test_a_decision_about_an_earlier_attempt_prunes_nothing(tmp_path: Path):
    run = start(tmp_path)
    prune(tmp_path, 4, 8, attempt=1)
    assert not run.should_prune()


def test_a_training_stops_when_another_epoch_does_not_fit_and_asks_to_be_requeued(tmp_path: Path):
    run = start(tmp_path, UNETSWEEP_DEADLINE=str(time.time() + 60))
    run.report(5, val_iou=0.5)
    assert not run.should_requeue()
    run._last_s = [40.0]
    assert run.should_requeue()
    run.finish(val_iou=0.5)
    asked = read_record(RequeueFile, tmp_path / "requeue-2-0.json")
    assert asked.epoch == 5
    assert asked.reason.startswith("the time limit is near")
    assert not (tmp_path / "milestones").exists()
    assert 50 < run.time_left() <= 60


@pytest.mark.parametrize("deadline", ["", "1e12"])
def test_a_training_stops_when_a_preemption_is_announced(deadline: str, tmp_path: Path):
    run = start(tmp_path, UNETSWEEP_DEADLINE=deadline)
    run.report(5, val_iou=0.5)
    assert not run.should_stop()
    (tmp_path / "deadline-2-0.json").write_text('{"schema": 1, "end": null, "reason": "preemption announced"}')
    assert run.should_stop()
    run.finish(val_iou=0.5)
    assert read_record(RequeueFile, tmp_path / "requeue-2-0.json").reason == "preemption announced"
    assert not (tmp_path / "milestones").exists()


def test_an_announced_end_of_the_job_replaces_the_one_at_its_start(tmp_path: Path):
    run = start(tmp_path, UNETSWEEP_DEADLINE=str(time.time() + 5))
    announced = tmp_path / "deadline-2-0.json"
    announced.write_text(json.dumps({"schema": 1, "end": time.time() + 500, "reason": None}))
    run.report(5, val_iou=0.5)
    assert not run.should_stop()
    assert 400 < run.time_left() <= 500
    announced.write_text(json.dumps({"schema": 1, "end": time.time() + 5, "reason": None}))
    assert run.should_stop()
    assert read_record(RequeueFile, tmp_path / "requeue-2-0.json").reason.startswith("the time limit is near")


@pytest.mark.parametrize("content", ["{", "[]", '{"end": "soon", "reason": null}'])
def test_an_unreadable_announcement_leaves_the_end_that_is_known(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "deadline-2-0.json").write_text(content)
    run = start(tmp_path, UNETSWEEP_DEADLINE=str(time.time() + 5))
    run.report(5, val_iou=0.5)
    assert run.should_stop()
    assert capsys.readouterr().err.count("unetsweep client") == 1


def test_one_question_stops_a_training_that_is_pruned(tmp_path: Path):
    run = start(tmp_path)
    run.report(5, val_iou=0.5)
    assert not run.should_stop()
    prune(tmp_path, 8)
    assert run.should_stop()


def test_a_finished_training_is_not_requeued(tmp_path: Path):
    run = start(tmp_path, UNETSWEEP_DEADLINE=str(time.time()))
    run.report(8, val_iou=0.5)
    run.milestone(8, val_iou=0.5)
    assert not run.should_requeue()


def test_the_checkpoint_is_the_old_or_the_new_one_and_the_next_start_resumes_from_it(tmp_path: Path):
    run = start(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.ckpt.1-0-0-99.tmp").touch()  # of a start that was killed
    with run.checkpoint() as path:
        path.write_text("first")
    with contextlib.suppress(ZeroDivisionError), run.checkpoint() as path:
        path.write_text("incomplete")
        raise ZeroDivisionError
    resume_from = start(tmp_path, claim="2-1").resume_from
    assert resume_from is not None
    assert resume_from.read_text() == "first"
    assert [each.name for each in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("later", ["claims/2-1", "claims/3-0", "attempts/2.lost.json"])
def test_a_start_that_lost_its_run_stops_and_publishes_nothing(later: str, tmp_path: Path):
    run = start(tmp_path)
    for name in ("claims/2-0", later):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    run.report(8, val_iou=0.5)
    with run.checkpoint() as path:
        path.write_text("late")
    run.milestone(8, val_iou=0.5)
    assert run.should_prune()
    run.finish(val_iou=0.5)
    assert not (tmp_path / "milestones/8.json").exists()
    assert not (tmp_path / "checkpoints/last.ckpt").exists()


# ---- several ranks


def test_other_ranks_write_nothing(tmp_path: Path):
    run = start(tmp_path, rank=1)
    run.report(8, val_iou=0.5)
    with run.checkpoint() as path:
        path.write_text("8")
    run.milestone(8, val_iou=0.5)
    run.finish(val_iou=0.5)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({}, 0),
        ({"RANK": "3", "LOCAL_RANK": "1"}, 3),
        ({"RANK": "0", "NODE_RANK": "1"}, 0),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, 1),
        ({"NODE_RANK": "2", "LOCAL_RANK": "0"}, 2),
    ],
)
def test_the_rank_is_that_of_the_launcher(variables: dict[str, str], rank: int, tmp_path: Path):
    assert client.Run({**environment(tmp_path), **variables}).rank == rank


def test_every_rank_gets_the_answer_of_rank_0_to_the_same_question(tmp_path: Path):
    zero, one = start(tmp_path), start(tmp_path, rank=1)
    answers = []
    for epoch in range(1, 4):
        zero.report(epoch, val_iou=0.1)
        if epoch == 3:
            prune(tmp_path, 4, 8)
        answers.append(zero.should_prune())
    assert [one.should_prune() for _ in answers] == answers == [False, False, True]


def _ask(out: Path, rank: int, answers: Any) -> None:
    run = start(out, rank=rank)
    for epoch in range(1, 5):
        time.sleep(0.05 * (rank == 0))
        run.report(epoch, val_iou=0.1)
        if rank == 0 and epoch == 3:
            prune(out, 4, 8)
        answers.put((epoch, rank, run.should_prune()))


def test_ranks_that_run_at_different_speeds_stop_at_the_same_epoch(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    answers: Any = context.Queue()
    ranks = [context.Process(target=_ask, args=(tmp_path, rank, answers)) for rank in range(3)]
    for each in ranks:
        each.start()
    found = sorted(answers.get(timeout=30) for _ in range(12))
    for each in ranks:
        each.join()
    assert found == [(epoch, rank, epoch >= 3) for epoch in range(1, 5) for rank in range(3)]


def test_a_rank_that_waits_in_vain_continues_and_waits_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(client, "WAIT_S", 0.1)
    run = start(tmp_path, rank=1)
    assert not run.should_prune()
    began = time.monotonic()
    assert not run.should_prune()
    assert time.monotonic() - began < 0.05
    assert capsys.readouterr().err.count("waited 0 s for a decision of rank 0") == 1


# ---- errors


def test_no_error_ends_a_training_and_only_the_first_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = start(tmp_path)
    (tmp_path / "progress-2-0.jsonl").mkdir()
    (tmp_path / "decisions-2-0.jsonl").mkdir()
    (tmp_path / "milestones").touch()
    run.report(1, val_iou=object())
    run.report(2, val_iou=0.5)
    run.milestone(4, val_iou=0.5)
    assert not run.should_prune()
    run.finish(val_iou=0.5)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("unetsweep client (the training continues): val_iou is no number: object")


@pytest.mark.parametrize(
    "name", ["UNETSWEEP_MILESTONES", "UNETSWEEP_SEED", "UNETSWEEP_PARAMS", "RANK", "UNETSWEEP_OUT"]
)
def test_a_broken_environment_ends_no_training(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    broken = str(tmp_path / "file/folder") if name == "UNETSWEEP_OUT" else "{"
    run = client.Run({**environment(tmp_path), name: broken})
    run.report(1, val_iou=0.5)
    with run.checkpoint() as path:
        path.write_text("1")
    run.milestone(8, val_iou=0.5)
    run.should_prune()
    run.should_requeue()
    run.finish(val_iou=0.5)
    assert capsys.readouterr().err.count("unetsweep client") == 1


# ---- one file for other environments


def test_the_file_is_one_of_python_3_8_and_imports_only_the_standard_library():
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    imported = [each for each in ast.walk(tree) if isinstance(each, ast.Import | ast.ImportFrom)]
    names = {alias.name for each in imported if isinstance(each, ast.Import) for alias in each.names}
    names |= {str(each.module) for each in imported if isinstance(each, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)


def test_a_copy_of_the_file_works_without_the_package(tmp_path: Path):
    printed = CliRunner().invoke(program, ["client"])
    assert printed.exit_code == 0
    assert printed.output == SOURCE.read_text(encoding="ascii")
    (tmp_path / "unetsweep_client.py").write_text(printed.output)
    code = (
        "import sys, unetsweep_client; run = unetsweep_client.start(); run.report(8, val_iou=0.5);"
        "run.finish(val_iou=run.params['learning_rate']); assert 'unetsweep' not in sys.modules"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(out), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert read(out / "milestones/8.json")["val_iou"] == 0.5
