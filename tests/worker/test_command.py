"""The user's own trainer command: its results, milestones, exit statuses and signals."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from unetsweep.errors import StateError, SupersededError, TrainingError
from unetsweep.worker import announce, deadline
from unetsweep.worker.command import CommandInvocation, run_command
from unetsweep.worker.deadline import Deadline


def train(folder: Path, content: str) -> dict[str, object]:
    """Run a program that writes `content` as its result, and return the milestone."""
    program = folder / "trainer.py"
    program.write_text("import sys; open(sys.argv[2], 'a').write('x'); open(sys.argv[1], 'w').write(sys.argv[3])")
    arguments = [sys.executable, "-I", "-S", str(program), "{out}/result.json", "{out}/starts", repr(content)]
    invocation = CommandInvocation(folder, (8,), "1-0", "1", str(folder))
    run_command(" ".join(arguments), invocation, lambda: True)
    milestone: dict[str, object] = json.loads((folder / "milestones/8.json").read_bytes())
    return milestone


def test_a_program_runs_again_if_its_result_is_corrupt(tmp_path: Path):
    (tmp_path / "result.json").write_text('{"val_')
    assert train(tmp_path, '{"val_iou": 0.5}')["val_iou"] == 0.5
    assert (tmp_path / "starts").read_text() == "x"


def test_a_program_does_not_run_again_if_its_result_exists(tmp_path: Path):
    (tmp_path / "result.json").write_text('{"val_iou": 0.25}')
    assert train(tmp_path, '{"val_iou": 0.5}')["val_iou"] == 0.25
    assert not (tmp_path / "starts").exists()


def test_a_number_that_is_not_finite_becomes_null(tmp_path: Path):
    assert train(tmp_path, '{"state": "diverged", "val_iou": NaN, "val_loss": Infinity}')["val_loss"] is None


def test_a_result_without_a_known_score_is_published_and_the_log_says_what_is_left_out(tmp_path: Path, capsys):
    assert train(tmp_path, '{"rmse": 0.25, "curve": [1, 2], "val_iou": NaN}')["extra"] == {"rmse": 0.25}
    assert "result.json: curve is left out: found a list or a mapping" in capsys.readouterr().out


def test_text_instead_of_a_result_is_an_error_of_the_command(tmp_path: Path):
    with pytest.raises(StateError, match="the trainer command wrote it"):
        train(tmp_path, "fine")


def run(
    folder: Path, body: str, milestones: tuple[int, ...] = (4, 8), holds: bool = True, *, resumes: bool = False
) -> None:
    """Run a program of these lines, which can use `publish` and `env`."""
    program = folder / "trainer.py"
    program.write_text(f"{HEAD}\n{body}\n")
    values = {"params": {"learning_rate": 1e-3, "epochs": 4}, "seed": 7, "gpus": 2, "resumes": resumes}
    invocation = CommandInvocation(folder, milestones, "2-1", "18_3", str(folder), 1764009432.4, **values)
    run_command(f"{sys.executable} -I -S {program} {{out}}", invocation, lambda: holds)


HEAD = """
import json, os, signal, sys
out, env = sys.argv[1], os.environ
def publish(name, **content):
    os.makedirs(os.path.dirname(os.path.join(out, name)), exist_ok=True)
    json.dump({"schema": 1, **content}, open(os.path.join(out, name), "w"))
"""


def milestone(folder: Path, epochs: int) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"milestones/{epochs}.json").read_bytes())
    return found


def test_a_program_gets_its_claim_its_milestones_its_job_and_its_deadline(tmp_path: Path):
    run(tmp_path, "publish('environment.json', **{k: v for k, v in env.items() if k.startswith('UNETSWEEP_')})\n"
        "publish('result.json', val_iou=0.5)")  # fmt: skip
    environment = json.loads((tmp_path / "environment.json").read_bytes())
    assert {name: value for name, value in environment.items() if name not in os.environ} == {
        "schema": 1,
        "UNETSWEEP_OUT": str(tmp_path),
        "UNETSWEEP_PARAMS": '{"learning_rate": 0.001, "epochs": 8}',
        "UNETSWEEP_SEED": "7",
        "UNETSWEEP_GPUS": "2",
        "UNETSWEEP_CLAIM": "2-1",
        "UNETSWEEP_MILESTONES": "4,8",
        "UNETSWEEP_JOB_ID": "18_3",
        "UNETSWEEP_DEADLINE": "1764009432",
    }
    assert [milestone(tmp_path, epochs)["val_iou"] for epochs in (4, 8)] == [0.5, 0.5]


def test_a_command_gets_its_parameters_seed_and_epochs_as_single_arguments(tmp_path: Path):
    params = {"learning_rate": 1e-4, "model.norm": "a b {out}", "epochs": 4}
    folder = tmp_path / "a folder"
    invocation = CommandInvocation(folder, (4, 8), "1-0", "1", "/", params=params, seed=7)
    found = invocation.arguments("x --rate={learning_rate} {norm} {model.norm} {seed} {epochs} '{config}' {out}/log")
    expected = ["x", "--rate=0.0001", "a b {out}", "a b {out}", "7", "8"]
    expected += [f"{folder}/parameters.json", f"{folder}/log"]
    assert found == expected


def test_the_file_of_a_program_has_only_what_concerns_it(tmp_path: Path):
    run(tmp_path, "publish('result.json', val_iou=0.5)")
    assert json.loads((tmp_path / "parameters.json").read_bytes()) == {
        "schema": 1,
        "learning_rate": 0.001,
        "epochs": 8,
        "seed": 7,
        "milestones": [4, 8],
        "out": str(tmp_path),
    }


def test_without_a_known_end_the_deadline_is_empty(tmp_path: Path):
    invocation = CommandInvocation(tmp_path, (8,), "1-0", "1", str(tmp_path))
    assert invocation.environment()["UNETSWEEP_DEADLINE"] == ""


def test_a_program_that_publishes_its_own_milestones_needs_no_result(tmp_path: Path):
    run(
        tmp_path,
        "publish('milestones/4.json', val_iou=0.25)\npublish('milestones/8.json', state='pruned')\nsys.exit(3)",
    )
    assert (milestone(tmp_path, 4)["val_iou"], milestone(tmp_path, 8)["state"]) == (0.25, "pruned")


def test_a_single_result_serves_only_the_open_milestones(tmp_path: Path):
    run(tmp_path, "publish('milestones/4.json', val_iou=0.25)\npublish('result.json', val_iou=0.5)")
    assert [milestone(tmp_path, epochs)["val_iou"] for epochs in (4, 8)] == [0.25, 0.5]


def test_a_program_that_resumes_publishes_each_milestone_and_its_single_result_is_the_last(tmp_path: Path):
    body = "publish('milestones/4.json', val_iou=0.25)\npublish('result.json', val_iou=0.5)"
    run(tmp_path, body, resumes=True)
    assert [milestone(tmp_path, epochs)["val_iou"] for epochs in (4, 8)] == [0.25, 0.5]


def test_a_program_that_wrote_no_result_hears_which_number_it_must_write(tmp_path: Path):
    invocation = CommandInvocation(tmp_path, (8,), "1-0", "1", str(tmp_path), metric="rmse")
    with pytest.raises(
        TrainingError, match=r'wrote no result\.json, into which it must write \{"rmse": NUMBER\} at its end: `true`'
    ):
        run_command("true", invocation, lambda: True)


def test_the_result_of_an_earlier_start_of_a_program_that_resumes_does_not_count(tmp_path: Path):
    (tmp_path / "result.json").write_text('{"val_iou": 0.1}')
    with pytest.raises(TrainingError, match=r"wrote no milestones/4\.json and no milestones/8\.json: "):
        run(tmp_path, "pass", resumes=True)


def test_a_single_result_of_a_program_that_resumes_does_not_serve_an_earlier_milestone(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"ended with status 0 and wrote no milestones/4\.json: "):
        run(tmp_path, "publish('result.json', val_iou=0.5)", resumes=True)


def test_a_program_that_stops_to_continue_later_is_no_error(tmp_path: Path):
    run(tmp_path, "publish('milestones/4.json', val_iou=0.25)\npublish('requeue-2-1.json', epoch=5, reason='time')")
    assert not (tmp_path / "milestones/8.json").exists()


PRUNE = "publish('prune.json', attempt={}, trial=0, milestones={}, epoch=3, reason='poor', at='2026-01-01T00:00:00')"


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)"])
def test_a_program_that_ends_without_a_result_because_it_was_pruned_is_no_error(tmp_path: Path, end: str):
    run(tmp_path, f"publish('milestones/4.json', val_iou=0.25)\n{PRUNE.format(2, [8])}\n{end}")
    assert not (tmp_path / "milestones/8.json").exists()


@pytest.mark.parametrize(("attempt", "pruned"), [(1, [4, 8]), (2, [8])])
def test_a_decision_to_prune_excuses_only_its_attempt_and_its_milestones(
    tmp_path: Path, attempt: int, pruned: list[int]
):
    with pytest.raises(TrainingError, match="ended with status 0 and wrote no"):
        run(tmp_path, PRUNE.format(attempt, pruned))


def test_the_requeue_file_of_an_earlier_start_does_not_count(tmp_path: Path):
    (tmp_path / "requeue-2-0.json").write_text("{}")
    with pytest.raises(TrainingError, match="ended with status 0 and wrote no"):
        run(tmp_path, "pass")


def test_an_unreadable_milestone_is_named(tmp_path: Path):
    with pytest.raises(StateError, match=r"milestones/8\.json: val_iou"):
        run(tmp_path, "publish('milestones/4.json', val_iou=0.25)\npublish('milestones/8.json', val_iou='high')")


def test_the_programs_own_exit_status_is_in_the_message(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"ended with status 3 and wrote no result\.json: .*trainer\.py"):
        run(tmp_path, "sys.exit(3)")


@pytest.mark.parametrize("body", ["os.kill(os.getpid(), 9)", "sys.exit(137)"])
def test_the_death_of_a_program_by_a_signal_is_no_training_error(
    body: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, body)
    assert ended.value.code == 137
    assert "status 137" in capsys.readouterr().out


def test_a_program_that_cannot_be_started_is_reported_with_what_to_check(tmp_path: Path):
    invocation = CommandInvocation(tmp_path, (8,), "1-0", "1", str(tmp_path))
    with pytest.raises(TrainingError, match=r"cannot be started in .*pyhton.*trainer\.command"):
        run_command("pyhton trainer.py", invocation, lambda: True)


def test_a_status_that_means_no_signal_is_an_error_of_the_program(tmp_path: Path):
    with pytest.raises(TrainingError, match="status 255"):
        run(tmp_path, "sys.exit(-1)")


def test_a_job_that_lost_its_run_while_the_program_ran_publishes_nothing(tmp_path: Path):
    with pytest.raises(SupersededError):
        run(tmp_path, "publish('result.json', val_iou=0.5)", holds=False)
    assert not (tmp_path / "milestones").exists()


def test_signals_of_slurm_do_not_end_a_program_without_signal_handlers(tmp_path: Path):
    body = (
        "for sign in (signal.SIGUSR1, signal.SIGUSR2): os.kill(os.getpid(), sign)\npublish('result.json', val_iou=0.5)"
    )
    run(tmp_path, body)
    assert milestone(tmp_path, 8)["val_iou"] == 0.5


def test_a_program_gets_the_value_of_a_list_or_mapping(tmp_path: Path):
    invocation = CommandInvocation(
        tmp_path, (1,), "1-0", "1", str(tmp_path), params={"layers.0": [64, 2], "n-jobs": -1}
    )
    assert invocation.arguments("x {layers.0} --n-jobs={n-jobs}") == ["x", "[64, 2]", "--n-jobs=-1"]
    assert json.loads(invocation.environment()["UNETSWEEP_PARAMS"]) == {"layers.0": [64, 2], "n-jobs": -1, "epochs": 1}
    assert invocation.parameters()["layers.0"] == [64, 2]


def test_a_signal_that_announces_the_end_of_the_job_becomes_a_file_and_the_program_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(announce, "POLL_S", 0.02)
    before = signal.getsignal(signal.SIGUSR2)
    deadline.listen()
    job_end = Deadline("7", {"SLURM_JOB_END_TIME": "2000000"}, lambda *_: 2_000_100.0, lambda: 1_000_000.0)
    body = "\n".join(
        [
            "import time",
            "os.kill(os.getppid(), signal.SIGUSR2); os.kill(os.getpid(), signal.SIGUSR2)",
            "while not os.path.exists(f'{out}/deadline-1-0.json'): time.sleep(0.01)",
            "publish('requeue-1-0.json', reason=json.load(open(f'{out}/deadline-1-0.json'))['reason'])",
        ]
    )
    (tmp_path / "trainer.py").write_text(f"{HEAD}\n{body}\n")
    invocation = CommandInvocation(tmp_path, (8,), "1-0", "7", str(tmp_path))
    try:
        run_command(f"{sys.executable} -I -S {tmp_path}/trainer.py {{out}}", invocation, lambda: True, job_end)
    finally:
        signal.signal(signal.SIGUSR2, before)
    announced = json.loads((tmp_path / "deadline-1-0.json").read_bytes())
    assert (announced["end"], announced["reason"]) == (2_000_100.0, "preemption announced")
    assert json.loads((tmp_path / "requeue-1-0.json").read_bytes())["reason"] == "preemption announced"


def test_an_announcement_that_cannot_be_written_ends_no_training(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(announce, "POLL_S", 0.01)
    monkeypatch.setattr(deadline, "_signals", [signal.SIGUSR2])
    with announce.announcing(Deadline(), tmp_path / "missing", "1-0"):
        time.sleep(0.1)
    assert "announced, but not to the program" in capsys.readouterr().out
