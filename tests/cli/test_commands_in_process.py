"""Single commands on a sweep's directory, called in this process."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from unetsweep.analysis.records import read_sweep_record
from unetsweep.app import cancel as cancel_app
from unetsweep.app import prepare, train
from unetsweep.app.events import Event, WarningEvent
from unetsweep.app.retry import _leave_out_passed
from unetsweep.atomic import write_json
from unetsweep.cli import cancel, confirm, exit_hook, main, repair, report, status, submit
from unetsweep.config.load import load
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, Result, TrialConfig, encode
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import RunSpec, SweepSpec
from unetsweep.errors import ConfigError, SpecError, UsageError
from unetsweep.record_files import write_record
from unetsweep.records import ErrorFile
from unetsweep.schedulers.packed.slot_table import SlotTableDir
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.sweep_dir import SweepDir

DATA = DataConfig("images")


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    spec = SweepSpec(
        "s", DATA, Space.of(epochs=Choices((8, 16, 32)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,)))
    )
    made = SweepDir(tmp_path / "results" / "s")
    made.create(as_yaml(spec), "local")
    made.add_trials([TrialConfig(DATA, 8, 4, 1e-3)], {})
    return made


def test_a_trial_that_is_proposed_during_a_cancel_is_cancelled_too(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch):
    real, late = cancel_app.reconcile_sweep, [TrialConfig(DATA, 16, 4, 1e-3)]

    def reconcile_sweep(*arguments, **more):
        sweep.add_trials([late.pop()] if late else [], {})
        return real(*arguments, **more)

    monkeypatch.setattr(cancel_app, "reconcile_sweep", reconcile_sweep)
    monkeypatch.setattr("unetsweep.core.plan.schedule", lambda *_, **__: ([], "no job is started here"))
    done = CliRunner().invoke(cancel.command, [str(sweep.root)])
    assert done.exit_code == 0, done.output
    assert [trial.result and trial.result.state for trial in sweep.trials()] == ["cancelled"] * 2


def test_the_exit_hook_of_an_element_that_does_not_own_its_attempt_records_nothing(sweep: SweepDir):
    run = [Element(0, 1, ((0, 8),))]
    first, _ = sweep.create_attempts(run, None, "local")
    second, owned = sweep.create_attempts(run, None, "local")
    assert owned == []
    for token, is_recorded in ((second, False), (first, True)):
        done = CliRunner().invoke(exit_hook.command, [str(sweep.root), token, "--status", "1", "--no-reconcile"])
        assert done.exit_code == 0, done.output
        assert (sweep.observe().runs[0].last.ending is not None) == is_recorded


def test_the_exit_hook_records_no_end_while_a_process_may_run(sweep: SweepDir):
    token, _ = sweep.create_attempts([Element(0, 1, ((0, 8),))], None, "local")
    for more, is_recorded in (["--alive"], False), ([], True):
        done = CliRunner().invoke(
            exit_hook.command, [str(sweep.root), token, "--status", "143", "--no-reconcile", *more]
        )
        assert done.exit_code == 0, done.output
        assert (sweep.observe().runs[0].last.ending is not None) == is_recorded


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("feedfeedfeed",), "has no submission 'feedfeedfeed'"),
        (("TOKEN", "--index", "7"), "has 1 element, and none with the index 7"),
        (("TOKEN", "--index", "-9"), "has 1 element, and none with the index -9"),
    ],
)
def test_an_exit_hook_of_no_element_is_refused_and_leaves_nothing(sweep: SweepDir, arguments: tuple, message: str):
    token, _ = sweep.create_attempts([Element(0, 1, ((0, 8),))], None, "local")
    before = sorted(sweep.root.rglob("*"))
    given = [token if each == "TOKEN" else each for each in arguments]
    done = CliRunner().invoke(exit_hook.command, [str(sweep.root), *given])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
    assert sorted(sweep.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.EMFILE, "(ulimit -n)"), (errno.EAGAIN, "(ulimit -u)"), (errno.ENOMEM, "free some")]
)
def test_a_machine_without_resources_is_reported_without_a_traceback(
    number: int, advice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(main, "program", fail)
    with pytest.raises(SystemExit):
        main.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert advice in line


def test_a_dry_run_of_a_repair_writes_nothing(sweep: SweepDir):
    token, _ = sweep.create_attempts([Element(0, 1, ((0, 8),))], None, "local")
    (sweep.root / paths.submission(token) / "intent.json").write_text("corrupt")
    (sweep.root / "runs/0000/progress-1-0.jsonl").write_text("{")  # corrupt only if it is old, so the time is asked for
    (sweep.root / ".left.tmp").touch()

    def state() -> dict[Path, int]:  # a file that is created and deleted again changes the time of its folder
        return {path: path.lstat().st_mtime_ns for path in (sweep.root, *sweep.root.rglob("*"))}

    before = state()
    done = CliRunner().invoke(repair.command, [str(sweep.root), "--dry-run"])
    assert "would be rebuilt" in done.output
    assert state() == before


@pytest.mark.parametrize("pack", [2, 1])
def test_a_packed_job_that_failed_in_its_setup_reports_that_for_trainings_that_no_other_job_can_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: int
):
    runs = [Element(run, 1, ((run, 8),)) for run in (0, 1)]
    spec = SweepSpec(
        "s", DATA, Space.of(epochs=Choices((8,)), batch_size=Choices((4, 8)), learning_rate=Choices((1e-3,)))
    )
    made = SweepDir(tmp_path / "s")
    made.create(as_yaml(spec), "slurm")
    made.add_trials([TrialConfig(DATA, 8, size, 1e-3) for size in (4, 8)], {})
    token, _ = made.create_attempts(runs, None, "slurm")
    SlotTableDir(made.root, token).create(2, pack, None)
    (made.root / paths.job_log(token, "7")).write_text("module: command not found\nbye\n")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    hook = [str(made.root), token, "--task", "0", "--status", "1", "--setup-from", "0", "--no-reconcile"]
    done = CliRunner().invoke(exit_hook.command, hook)
    assert done.exit_code == 0, done.output
    endings = [run.last.ending for run in made.observe().runs.values()]
    message = "ended with status 1 before the training began: module: command not found"
    assert [ending and ending.message for ending in endings] == [message if pack == 2 else None] * 2


def test_an_error_of_the_file_system_is_reported_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail() -> None:
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(tmp_path))

    monkeypatch.setattr(main, "program", fail)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(f"unetsweep: {tmp_path}: Is a directory")


@pytest.fixture
def shared(sweep: SweepDir) -> SweepDir:
    """A run with two trials: that of 8 epochs has ended, and one of 16 epochs has joined since."""
    sweep.create_attempts([Element(0, 1, ((0, 8),))], None, "local")
    run = sweep.root / "runs/0000"
    (run / "milestones").mkdir()
    write_json(run / "milestones/8.json", encode(Result(val_iou=0.5)))
    (run / "progress-1-0.jsonl").write_text('{"epoch": 8}\n')
    sweep.end_trial(0, Result(val_iou=0.5))
    sweep.add_trials([TrialConfig(DATA, 16, 4, 1e-3)], {}, runs=[0])
    return sweep


def test_a_report_says_that_the_run_continues_for_a_trial_that_joined_a_finished_training(shared: SweepDir):
    trial = read_sweep_record(shared.root).trials[1]
    assert (trial.state, trial.reason) == ("waiting", "its run continues from epoch 8")


def test_a_trial_with_a_run_beyond_its_epochs_is_left_out_of_a_retry_or_refused_if_named(
    shared: SweepDir,
):
    (shared.root / "runs/0000/progress-1-0.jsonl").write_text('{"epoch": 9}\n')
    events: list[Event] = []
    assert _leave_out_passed(shared, [0, 1], (), events.append) == [1]
    (event,) = events
    assert isinstance(event, WarningEvent)
    assert event.message.startswith(
        "trial 0 shares run 0000, which has reached epoch 9 and continues past epoch 8; train it separately: unetsweep "
    )
    with pytest.raises(UsageError, match="trial 0 shares run 0000"):
        _leave_out_passed(shared, [0], (0,), events.append)


def test_runs_are_marked_collectable_before_the_new_setting_is_written(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch
):
    (sweep.root / "runs/0000").mkdir(parents=True, exist_ok=True)
    spec = replace(load(sweep.root / "sweep.yaml"), run=RunSpec(keep_checkpoints="best"))
    _, write = prepare._update(spec, sweep, Path("s.yaml"), None, ())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SweepDir, "replace_spec", killed)
    with pytest.raises(KeyboardInterrupt):
        write()
    assert [collectable_run.run for collectable_run in CollectableRuns(sweep.root).list_marked()] == [0]


def test_a_sweep_that_could_not_be_read_again_is_refused_before_its_folder_is_made(tmp_path: Path, sweep: SweepDir):
    spec = replace(load(sweep.root / "sweep.yaml"), name="two words")
    with pytest.raises(SpecError, match="two words"):
        prepare._creation(spec, SweepDir(tmp_path / "new"), prepare.EXECUTORS["local"], None, ())
    with pytest.raises(SpecError, match="two words"):
        prepare._update(replace(spec, run=RunSpec(parallel=3)), sweep, Path("s.yaml"), None, ())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 50_000, "it is nested more than"),
        ('{"epochs": 1' + "0" * 400 + "}", "found a whole number of 401 digits"),
        ('{"epochs": 1, "epochs": 2}', "the key 'epochs' occurs twice"),
        ('{"epochs": 1000000000, "batch_size": 4, "learning_rate": 1e-3, "data": {"root": "x"}}', "1 to 1000000"),
        ("[" + ", ".join(["{}"] * 100) + "]", "a mapping with keys"),
        ("{" + ", ".join(f'"key{n}": 1' for n in range(20_000)) + "}", "and 19994 more problems"),
    ],
)
def test_a_config_that_cannot_be_trained_is_refused_in_a_few_lines(content: str, message: str, tmp_path: Path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError) as error:
        train._read_config(tmp_path / "config.json")
    assert message in str(error.value)
    assert len(str(error.value)) < 4000


def test_a_confirmation_of_too_many_trainings_is_refused(sweep: SweepDir):
    sweep.add_trials([TrialConfig(DATA, 16, 4, 1e-3)], {})
    for trial in (0, 1):
        sweep.end_trial(trial, Result(val_iou=0.5))
    for seeds, message in ((5001, "2 trials with 5001 seeds each are 10002 trainings"), (10**20, "1<=x<=10000")):
        done = CliRunner().invoke(confirm.command, [str(sweep.root), "--seeds", str(seeds), "--dry-run"])
        assert message in f"{done.output}{done.exception}"
    done = CliRunner().invoke(confirm.command, [str(sweep.root), "--seeds", "5000", "--dry-run"])
    assert "10000 trainings, 10000 of them new" in done.output


HOSTILE = {
    "400 digits": lambda path: path.write_text('{"schema": 1, "val_iou": 1' + "0" * 400 + "}"),
    "3000 levels": lambda path: path.write_text('{"schema": 1, "val_scores": ' + "[" * 3000 + "]" * 3000 + "}"),
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path),
}


FILES = ("milestones/8.json", "progress-1-0.jsonl", "error-0.json", "requeue-1-0.json", "prune.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_command_fails_on_a_hostile_file_of_a_trainer_and_repair_quarantines_it(
    sweep: SweepDir, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
):
    sweep.create_attempts([Element(0, 1, ((0, 8),))], None, "local")
    path = sweep.root / "runs/0000" / name
    path.parent.mkdir(exist_ok=True)
    HOSTILE[kind](path)
    monkeypatch.setattr("unetsweep.core.plan.schedule", lambda *_, **__: ([], "no job is started here"))
    for command in (status, report, repair, status, report, cancel):
        done = CliRunner().invoke(command.command, [str(sweep.root)])
        assert done.exception is None or isinstance(done.exception, SystemExit), (command, done.exception)
        assert "Traceback" not in done.output
    is_a_line = name == "progress-1-0.jsonl" and kind in ("400 digits", "3000 levels")  # a corrupt line is ignored
    assert os.path.lexists(path) is is_a_line
    assert sweep.observe().runs.get(0, None) is None or sweep.observe().runs[0].unreadable is None
    assert sweep.trials()[0].result.state == "cancelled"


@pytest.fixture
def three_failures(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch) -> SweepDir:
    """A sweep of four trials, of which three failed with the same error."""
    sweep.replace_spec("name: s\nspace: {epochs: [8], batch_size: [4], learning_rate: [1e-3, 2e-3, 3e-3, 4e-3]}\n"
        "trainer: {command: 'true {config} {out}'}\n")  # fmt: skip
    sweep.add_trials([TrialConfig(DATA, 8, 4, rate) for rate in (2e-3, 3e-3, 4e-3)], {})
    for number in range(3):
        sweep.create_attempts([Element(number, 1, ((number, 8),))], None, "local")
        error = ErrorFile("environment", f"runs/000{number}: no trainer.py", attempt=1)
        write_record(sweep.root / f"runs/000{number}/error-0.json", error)
        sweep.end_trial(number, Result(state="failed", message=f"{error.message} (see error-0.json)"))
    monkeypatch.setattr("unetsweep.core.plan.schedule", lambda *_, **__: ([], "no job is started here"))
    return sweep


def test_watch_ends_with_status_1_and_says_why_when_the_sweep_is_paused(three_failures: SweepDir):
    path = str(three_failures.root / "sweep.yaml")
    done = CliRunner().invoke(submit.command, [path, "--executor", "local", "--watch"])
    assert done.exit_code == 1, done.output
    assert "3 ended (3 failed), 0 running, 1 waiting (paused)\n" in done.output
    assert "the sweep s is paused: the first 3 trials all failed with the same error: runs/000" in done.output


def test_watch_ends_with_status_1_and_each_reason_when_trials_failed(three_failures: SweepDir):
    three_failures.end_trial(3, Result(state="failed", message="no GPU"))
    path = str(three_failures.root / "sweep.yaml")
    done = CliRunner().invoke(submit.command, [path, "--executor", "local", "--watch"])
    assert done.exit_code == 1, done.output
    assert "4 ended (4 failed), 0 running\n" in done.output
    assert "3 trials failed (0, 1, 2): runs/0000: no trainer.py (see error-0.json)\n" in done.output
    assert "1 trial failed (3): no GPU\nfix the cause, then run: unetsweep retry s --failed\n" in done.output
