"""Every command with an address, with a wrong one, and with none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import small_sweeps
from click.testing import CliRunner, Result

from unetsweep.app.addresses import select, select_all
from unetsweep.app.repair import _find_folder as find_folder
from unetsweep.cli.main import program
from unetsweep.core.address import readings
from unetsweep.errors import UnetsweepError, UsageError
from unetsweep.store.sweep_dir import SweepDir


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sweeps.make_results(tmp_path_factory.mktemp("addresses"))


@pytest.fixture
def results(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made.parent)
    return made


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the commands that change or train something were asked to do. They do nothing here."""
    done: list[Any] = []

    def note(*given: Any) -> None:
        done.append(tuple(each.name if isinstance(each, SweepDir) else each for each in given))

    cancelled = {"trials": (), "shared": (), "unfinished": (), "unreadable": {}, "finished": ()}
    nothing = SimpleNamespace(**cancelled, is_needed=False, sweep="", root="")
    equal = SimpleNamespace(differences=(), changes=(), trial=0, sweep="", compared=())
    clean = SimpleNamespace(sweep="", repaired=0, for_user=0)

    def repair(sweep: str, results: Path, **_: Any) -> SimpleNamespace:
        note(find_folder(sweep, results).name)
        return clean

    monkeypatch.setattr(
        "unetsweep.cli.cancel.cancel", lambda directory, trials, _: (note(directory, trials), nothing)[1]
    )
    monkeypatch.setattr("unetsweep.cli.retry.retry", lambda directory, trials, *_, **__: note(directory, trials))
    monkeypatch.setattr("unetsweep.cli.retry.print_started", lambda started: True)
    monkeypatch.setattr("unetsweep.cli.reproduce.reproduce", lambda root, n, **_: (note(root.name, n), equal)[1])
    score = SimpleNamespace(iou=None, images=0)
    monkeypatch.setattr("unetsweep.cli.predict.predict", lambda path, *_, **__: (note(path.name), score)[1])
    monkeypatch.setattr("unetsweep.cli.adopt.adopt", lambda directory: (note(directory), nothing)[1])
    monkeypatch.setattr("unetsweep.cli.repair.repair_sweep", repair)
    monkeypatch.setattr("unetsweep.cli.sync.sync", lambda directory, _: note(directory))
    monkeypatch.setattr("unetsweep.cli.confirm.plan_confirmation", lambda parent, **_: note(parent))
    monkeypatch.setattr("unetsweep.cli.confirm._print_plan", lambda plan: None)
    monkeypatch.setattr("unetsweep.cli.confirm.check_confirmation", lambda parent: None)
    return done


def run(arguments: str) -> Result:
    return CliRunner().invoke(program, arguments.split())


def message_of(arguments: str) -> str:
    """The message with which a command refuses its arguments."""
    done = run(arguments)
    assert isinstance(done.exception, UnetsweepError), done.output
    assert done.exception.exit_status == 2
    return str(done.exception)


PREDICT = "images --out out"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("cancel grid", [("grid", ())]),
        ("cancel grid 3 0001", [("grid", (3, 1))]),
        ("cancel grid/3 grid/1 grid/3", [("grid", (3, 1))]),
        ("cancel grid/3 one/0", [("grid", (3,)), ("one", (0,))]),
        ("cancel results/grid/3", [("grid", (3,))]),
        ("cancel 18808_0", [("grid", (0, 1))]),
        ("cancel 18808", [("grid", (0, 1, 2))]),
        ("cancel grid 18808_2", [("grid", (2,))]),
        ("retry grid", [("grid", ())]),
        ("retry grid/2", [("grid", (2,))]),
        ("retry 18808", [("grid", (2,))]),
        ("reproduce grid 0", [("grid", 0)]),
        ("reproduce grid/best", [("grid", 0)]),
        (f"predict grid/best {PREDICT}", [("best-8.ckpt",)]),
        (f"predict grid/0 {PREDICT}", [("best-8.ckpt",)]),
        (f"predict results/grid/runs/0000/checkpoints/best-8.ckpt {PREDICT}", [("best-8.ckpt",)]),
        ("adopt grid", [("grid",)]),
        ("repair grid", [("grid",)]),
        ("sync grid", [("grid",)]),
        ("confirm grid --dry-run", [("grid",)]),
    ],
)
def test_a_command_works_on_what_the_address_names(arguments: str, expected: list, results: Path, calls: list):
    done = run(arguments)
    assert done.exit_code == 0, done.output + str(done.exception)
    assert calls == expected


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        ("status grid", ["0003"]),
        ("status grid/best", ["0000"]),
        ("status grid 3 0", ["0000", "0003"]),
        ("status 18808_0", ["0000", "0001"]),
    ],
)
def test_status_lists_the_trials_that_are_named_also_complete_ones(arguments: str, listed: list[str], results: Path):
    done = run(arguments)
    assert done.exit_code == 0, done.output + str(done.exception)
    assert [line.split()[0] for line in done.output.splitlines() if line.startswith("  0")] == listed


def test_a_job_id_says_which_trials_it_stands_for(results: Path, calls: list):
    assert "job 18808_0 is shared by trials 0 and 1 of grid\n" in run("cancel 18808_0").output
    assert "job 18808_2 is trial 2 of grid\n" in run("retry 18808_2").output
    assert "jobs 18808_0 … 18808_2 (2) are trials 0, 1 and 2 of grid\n" in run("status 18808").output


def test_the_log_of_a_job_is_that_of_its_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    directory = small_sweeps.make_sweep(tmp_path / "results", "s", (8,))
    for attempt, job_id in ((1, "41"), (2, "42")):
        token = small_sweeps.submit(directory, 0, job_id, (0, 8), attempt=attempt)
        (directory.root / f"submissions/{token}/0.log").write_text(f"the log of {job_id}\n")
        if attempt == 1:
            directory.mark_lost(0, 1, "its node failed")
    monkeypatch.chdir(tmp_path)
    for address, expected in (("s/0", "42"), ("s 0", "42"), ("42", "42"), ("41", "41"), ("s/best", None)):
        if expected is None:
            assert "no trial of s is complete yet" in message_of(f"logs {address}")
        else:
            assert f"the log of {expected}\n" in run(f"logs {address}").output


NOT_THERE = "has no trial 9; it has 4 trials (0 to 3)"
ONE_TRIAL = ("logs", "reproduce", "predict")
WHOLE_SWEEP = ("report", "adopt", "repair", "sync", "confirm")
SEVERAL = ("status", "cancel", "retry")


def _arguments(command: str, address: str) -> str:
    return f"{command} {address} {PREDICT}" if command == "predict" else f"{command} {address}"


@pytest.mark.parametrize("command", [*ONE_TRIAL, *WHOLE_SWEEP, *SEVERAL])
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("gird", "results; did you mean grid? There are: grid, one, two"),
        ("gird/3", "results; did you mean grid/3? There are: grid, one, two"),
        ("best", "results; for the best trial of a sweep write grid/best; there are: grid, one, two"),
        ("99", "no sweep and no job '99' in"),
        ("grid/9", NOT_THERE),
        ("grid/-1", "'-1' names no trial of grid; write grid/NUMBER or grid/best; it has 4 trials (0 to 3)"),
        ("grid/Best", "did you mean grid/best?"),
        ("grid/99_9", "sweep grid has no job 99_9"),
        ("grid/confirm", "grid has no confirmation yet; `unetsweep confirm grid` makes it"),
        ("one/best", "no trial of one is complete yet, so none is the best"),
        ("7", "2 sweeps have a job 7; name one of its trials: one/0, two/0"),
    ],
)
def test_a_wrong_address_is_refused_with_what_is_there(
    command: str, address: str, expected: str, results: Path, calls: list
):
    assert expected in message_of(_arguments(command, address))
    assert calls == []


@pytest.mark.parametrize("command", ["logs", "reproduce", "cancel", "retry", "adopt", "repair", "sync", "confirm"])
def test_a_command_that_needs_an_address_lists_the_sweeps_if_it_gets_none(command: str, results: Path, calls: list):
    message = message_of(command)
    assert message.startswith("name a ")
    assert message.endswith("results: grid, one, two")
    assert calls == []


def test_without_any_sweep_the_message_says_how_to_start_one(tmp_path: Path):
    for command in ("status", "report", "logs", "cancel"):
        assert "start one with `unetsweep submit" in message_of(f"{command} --results {tmp_path}")


@pytest.mark.parametrize("command", WHOLE_SWEEP)
def test_a_command_for_whole_sweeps_names_the_sweep_of_a_trial(command: str, results: Path, calls: list):
    for address, what in (("grid/3", "grid/3 is trial 3 of grid"), ("18808_2", "job 18808_2 is trial 2 of grid")):
        message = message_of(f"{command} {address}")
        assert message.startswith(f"{what}, but this command takes a whole sweep: name grid.")
        assert f"unetsweep show grid/{message[message.index('trial ') + 6]}" in message
    assert calls == []


@pytest.mark.parametrize("command", ["reproduce", "predict"])
def test_a_command_for_one_trial_lists_those_that_share_a_job(command: str, results: Path, calls: list):
    message = message_of(_arguments(command, "18808_0"))
    assert message == "job 18808_0 is shared by trials 0 and 1 of grid; name one of them: grid/0, grid/1"
    assert "grid is a whole sweep; name grid/NUMBER or grid/best" in message_of(_arguments(command, "grid"))
    assert calls == []


def test_a_trial_without_a_checkpoint_is_named(results: Path, calls: list):
    assert "grid/3 has no checkpoint (it is waiting)" in message_of(_arguments("predict", "grid/3"))
    assert "its program named none" in message_of(_arguments("predict", "grid/1"))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("grid/3 2", "2 is no address; for trial 2 of grid write grid/2"),
        ("grid one/0", "'one/0' follows the whole sweep grid, so only trials of it are possible; write NUMBER or best"),
        ("grid/3 one", "one is a whole sweep; name it alone, or name a trial of it: one/0"),
        ("grid 9 8", f"sweep grid {NOT_THERE}\nsweep grid has no trial 8"),
    ],
)
def test_addresses_that_do_not_fit_together_are_refused_all_at_once(texts: str, expected: str, results: Path):
    with pytest.raises(UnetsweepError) as refused:
        select_all(texts.split(), results)
    assert expected in str(refused.value)


def test_a_number_after_a_sweep_is_a_trial_and_never_a_job(tmp_path: Path):
    directory = small_sweeps.make_sweep(tmp_path, "s", (8, 16, 32))
    for run_, job_id in ((0, "2"), (1, "5")):
        small_sweeps.submit(directory, run_, job_id, (run_, 8))
    assert select("s/2", tmp_path).trials == (2,)
    assert select("2", tmp_path).trials == (0,)
    with pytest.raises(UsageError) as refused:
        select("s/5", tmp_path)
    assert "has no trial 5; it has 3 trials (0 to 2). job 5 is trial 1 of s: name s/1, or the job alone: 5" in str(
        refused.value
    )


def test_a_sweep_whose_name_is_a_number_comes_before_a_job(tmp_path: Path):
    small_sweeps.submit(small_sweeps.make_sweep(tmp_path, "s", (8,)), 0, "2026", (0, 8))
    assert select("2026", tmp_path).trials == (0,)
    small_sweeps.make_sweep(tmp_path, "2026", (8,))
    assert select("2026", tmp_path).trials is None
    assert select("2026/0", tmp_path).trials == (0,)


def test_a_confirmation_is_a_sweep_with_trials(tmp_path: Path):
    small_sweeps.make_sweep(tmp_path, "s", (8,))
    small_sweeps.make_sweep(tmp_path / "s", "confirm", (8, 16, 32))
    assert select("s/confirm", tmp_path).name == "s/confirm"
    found = select("s/confirm/2", tmp_path)
    assert (found.name, found.trials) == ("s/confirm", (2,))


def test_a_job_that_was_never_recorded_is_found_by_its_claim(tmp_path: Path):
    directory = small_sweeps.make_sweep(tmp_path, "s", (8,))
    token = small_sweeps.submit(directory, 0, "5", (0, 8))
    (directory.root / "runs/0000/attempts/1.job.json").unlink()
    claim = directory.root / "runs/0000/claims/1-0"
    claim.parent.mkdir(exist_ok=True)
    claim.write_text('{"schema": 1, "job_id": "5", "at": "2026-01-01T00:00:00Z"}')
    assert token
    assert select("5", tmp_path).trials == (0,)


def test_a_damaged_run_hides_no_other_job(tmp_path: Path):
    directory = small_sweeps.make_sweep(tmp_path, "s", (8, 16))
    for trial in (0, 1):
        small_sweeps.submit(directory, trial, f"4{trial}", (trial, 8))
    (directory.root / "runs/0000/attempts/1.job.json").write_text('{"job_id": "40')
    assert select("41", tmp_path).trials == (1,)
    with pytest.raises(UsageError, match="no sweep and no job '40'"):
        select("40", tmp_path)


def test_no_text_has_more_than_two_readings():
    for text in ("", "/", "a", "a/b/3", "3", "18808_3", "//3", "best", "a/best/"):
        assert 1 <= len(readings(text)) <= 2
