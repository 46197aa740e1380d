"""The sweep directory: what is written is read back, and what a killed reconciliation left unfinished is completed."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from unetsweep.atomic import link_json, write_json
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.contract import DataConfig, Result, TrialConfig, config_id
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.core.observation import Ending, Trial
from unetsweep.errors import StateError
from unetsweep.records import DataFile
from unetsweep.store import observation
from unetsweep.store.logs import first_error, last_message
from unetsweep.store.observation import numbered_folders
from unetsweep.store.sweep_dir import SweepDir

IMAGES = DataFile({"train": {"a": "1"}, "val": {"b": "2"}, "test": {"c": "3"}})


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    made = SweepDir(tmp_path / "results" / "grid")
    made.create("name: grid\n", "local")
    return made


def config(epochs: int = 8, rate: float = 1e-3) -> TrialConfig:
    return TrialConfig(DataConfig("images"), epochs, 4, rate)


def elements(*runs: int, attempt: int = 1) -> list[Element]:
    return [Element(run, attempt, ((run, 8),)) for run in runs]


# ---- the sweep itself


def test_a_new_sweep_is_private_and_records_its_executor_and_working_directory(sweep: SweepDir):
    assert sweep.root.stat().st_mode & 0o777 == 0o700
    assert sweep.exists()
    assert (sweep.executor, sweep.working_directory) == ("local", os.getcwd())


def test_creating_an_existing_sweep_changes_nothing(sweep: SweepDir):
    sweep.add_trials([config()], {})
    assert not sweep.create("name: other\n", "slurm", IMAGES)
    assert len(sweep.trials()) == 1
    assert (sweep.executor, sweep.data) == ("local", None)
    assert (sweep.root / paths.SPEC).read_text() == "name: grid\n"


def create_until(sweep: SweepDir, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create the sweep on SLURM, and be killed before this step."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SweepDir, step, killed)
        with pytest.raises(KeyboardInterrupt):
            sweep.create("name: grid\n", "slurm", IMAGES)


@pytest.mark.parametrize("step", ["_write_unless_created", "_link_spec"])
def test_what_a_killed_creation_left_is_replaced(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch):
    sweep = SweepDir(tmp_path / "grid")
    create_until(sweep, step, monkeypatch)
    assert not sweep.exists()
    other = replace(IMAGES, leak={"val": "two images"})
    assert sweep.create("name: grid\n", "local", other)
    assert (sweep.executor, sweep.data) == ("local", other)


def test_a_sweep_that_has_only_lost_its_yaml_file_keeps_its_executor(sweep: SweepDir):
    sweep.add_trials([config()], {})
    (sweep.root / paths.SPEC).unlink()
    assert sweep.create("name: grid\n", "slurm")
    assert sweep.executor == "local"


@pytest.mark.parametrize("step", ["_write_unless_created", "_link_spec"])
def test_a_creation_that_is_overtaken_writes_nothing(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch):
    sweep, others = SweepDir(tmp_path / "grid"), [replace(IMAGES, leak={"val": "two images"})]
    real = getattr(SweepDir, step)

    def overtaken(*arguments: Any) -> Any:
        if others:
            sweep.create("name: other\n", "local", others.pop())
        return real(*arguments)

    monkeypatch.setattr(SweepDir, step, overtaken)
    assert not sweep.create("name: grid\n", "slurm", IMAGES)
    assert (sweep.executor, sweep.data) == ("local", replace(IMAGES, leak={"val": "two images"}))
    assert (sweep.root / paths.SPEC).read_text() == "name: other\n"
    assert [path.name for path in sweep.root.iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int):
    folder = tmp_path / "grid"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(StateError, match=f"chmod go-w {folder}"):
        SweepDir(folder).create("name: grid\n", "local")
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_may_read_is_accepted(tmp_path: Path):
    (tmp_path / "grid").mkdir(mode=0o755)
    SweepDir(tmp_path / "grid").create("name: grid\n", "local")


# ---- trials


def test_new_trials_are_numbered_after_the_last_one(sweep: SweepDir):
    assert sweep.add_trials([config(), config(16)], {}) == [0, 1]
    assert sweep.add_trials([config(32)], {}) == [2]
    assert [trial.epochs for trial in sweep.trials()] == [8, 16, 32]
    assert [trial.number for trial in sweep.observe().trials] == [0, 1, 2]


def test_a_trial_number_taken_by_another_reconciliation_keeps_its_config(sweep: SweepDir):
    sweep.add_trials([config(8), config(16)], {})
    assert sweep.add_trials([config(32), config(64)], {}, first=1) == [2]
    assert [trial.epochs for trial in sweep.trials()] == [8, 16, 64]
    assert [read_json(sweep.config_path(k))["epochs"] for k in range(3)] == [8, 16, 64]
    assert sorted(path.name for path in (sweep.root / paths.TRIALS).iterdir()) == ["0000", "0001", "0002"]


def test_trial_numbers_above_9999_keep_their_order(sweep: SweepDir):
    for number in (9999, 10000, 10001):
        folder = sweep.root / paths.trial_dir(number)
        folder.mkdir()
        link_json(folder / paths.TRIAL, {"run": number, "epochs": 8})
    assert [number for number, _ in numbered_folders(sweep.root / paths.TRIALS)] == [9999, 10000, 10001]
    assert sweep.next_trial() == 10002


def test_the_config_of_a_trial_is_written_before_the_trial_exists(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweep, "_now", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sweep.add_trials([config(), config(16)], {})
    assert sweep.observe().trials == ()
    assert sweep.trials() == []
    monkeypatch.undo()
    assert sweep.add_trials([config(32), config(64)], {}) == [0, 1]
    assert [read_json(sweep.config_path(k))["epochs"] for k in (0, 1)] == [32, 64]


def test_trials_that_cannot_be_written_leave_nothing(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch):
    def fail(_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("unetsweep.store.sweep_dir.link_records", fail)
    with pytest.raises(OSError, match="Too many open files"):
        sweep.add_trials([config(), config(16)])
    assert os.listdir(sweep.root / paths.TRIALS) == []


def test_trials_share_a_run_unless_another_reconciliation_made_that_run(sweep: SweepDir):
    assert sweep.add_trials([config(8), config(16), config(8)], {}, runs=[0, 0, 2]) == [0, 1, 2]
    assert [(trial.run, trial.epochs) for trial in sweep.observe().trials] == [(0, 8), (0, 16), (2, 8)]
    # another reconciliation made trial 3 first: run 3 belongs to it, whatever its point is
    assert sweep.add_trials([config(4)], {}, first=3) == [3]
    # no later trial is made either, because the gap before it would look like a lost trial
    assert sweep.add_trials([config(8), config(16), config(32)], {}, first=3, runs=[3, 3, 2]) == []
    assert [(trial.number, trial.run) for trial in sweep.observe().trials] == [(0, 0), (1, 0), (2, 2), (3, 3)]


def test_a_result_is_written_once_and_closes_the_trial(sweep: SweepDir):
    sweep.add_trials([config(), config(16)], {})
    assert sweep.end_trial(0, Result(trial=0, val_iou=0.5))
    assert not sweep.end_trial(0, Result(trial=0, state="failed"))
    assert sweep.trials()[0].result.val_iou == 0.5
    found = sweep.observe()
    assert (found.ended, found.trials) == (1, (Trial(1, 1, 16, batch_size=4, config_id=config_id(config(16))),))


def test_no_file_of_an_ended_trial_is_read(sweep: SweepDir):
    sweep.add_trials([config()], {})
    sweep.end_trial(0, Result(val_iou=0.5))
    for path in (sweep.root / paths.trial_dir(0)).iterdir():
        path.write_text("corrupt")
    assert sweep.observe().ended == 1


def test_a_corrupt_trial_is_named_and_keeps_its_number(sweep: SweepDir):
    sweep.add_trials([config()], {})
    path = sweep.root / paths.trial_dir(0) / paths.TRIAL
    path.write_text("{")
    (trial,) = sweep.observe().trials
    assert str(path) in (trial.unreadable or "")
    (known,) = sweep.trials()
    assert (known.number, known.epochs, str(path) in known.unreadable) == (0, 8, True)
    assert sweep.next_trial() == 1


def test_cancelled_trials_and_a_stopped_sweep_are_observed(sweep: SweepDir):
    sweep.add_trials([config()], {})
    sweep.cancel_trial(0)
    sweep.cancel_trial(0)
    sweep.cancel_sweep()
    assert (sweep.observe().trials[0].cancelled, sweep.observe().cancelled) == (True, True)
    sweep.resume()
    assert not sweep.observe().cancelled


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema": 1, "at": "yesterday"}'])
def test_the_first_cancellation_of_a_trial_has_its_time_and_a_damaged_one_still_counts(
    content: bytes, sweep: SweepDir
) -> None:
    sweep.add_trials([config()], {})
    before = utc_now()
    sweep.cancel_trial(0)
    first = sweep.observe().trials[0].cancelled_at
    sweep.cancel_trial(0)
    assert first is not None
    assert before <= first <= utc_now()
    assert sweep.observe().trials[0].cancelled_at == first
    (sweep.root / paths.trial_dir(0) / paths.CANCELLED).write_bytes(content)
    (trial,) = sweep.observe().trials
    assert (trial.cancelled, trial.cancelled_at) == (True, None)


# ---- attempts


def test_an_intent_is_observed_as_an_attempt_without_a_job(sweep: SweepDir):
    sweep.add_trials([config(), config(16)], {})
    token, owned = sweep.create_attempts(elements(0, 1), 2, "slurm")
    assert owned == elements(0, 1)
    runs = sweep.observe().runs
    assert [(runs[k].last.token, runs[k].last.index, runs[k].last.throttle) for k in (0, 1)] == [
        (token, 0, 2),
        (token, 1, 2),
    ]
    assert runs[0].last.job_id is None
    assert sweep.read_submission(token).elements == ((0, 1), (1, 1))


def test_an_attempt_belongs_to_the_submission_that_made_its_file(sweep: SweepDir):
    sweep.add_trials([config(), config(16), config(32)], {})
    first, _ = sweep.create_attempts(elements(1), None, "slurm")
    second, owned = sweep.create_attempts(elements(0, 1, 2), None, "slurm")
    assert owned == [elements(0)[0], elements(2)[0]]
    runs = sweep.observe().runs
    assert [runs[k].last.token for k in (0, 1, 2)] == [second, first, second]
    assert [runs[k].last.index for k in (0, 2)] == [0, 2]


def test_an_element_does_not_own_an_attempt_made_by_another_reconciliation(sweep: SweepDir):
    sweep.add_trials([config(), config(16)], {})
    first, _ = sweep.create_attempts(elements(1), None, "slurm")
    second, _ = sweep.create_attempts(elements(0, 1), None, "slurm")
    assert sweep.is_owner(first, 0)
    assert [sweep.is_owner(second, index) for index in (0, 1)] == [True, False]


def test_a_job_id_is_recorded_once(sweep: SweepDir):
    sweep.add_trials([config()], {})
    sweep.create_attempts(elements(0), None, "slurm")
    sweep.record_jobs(elements(0), ["18808"])
    sweep.record_job(0, 1, "99999")
    assert sweep.observe().runs[0].last.job_id == "18808"


def test_a_lost_attempt_has_its_reason(sweep: SweepDir):
    sweep.add_trials([config()], {})
    sweep.create_attempts(elements(0), None, "slurm")
    sweep.mark_lost(0, 1, "its node died", refused=True)
    last = sweep.observe().runs[0].last
    assert (last.lost, last.refused) == ("its node died", True)


def test_attempts_are_in_the_order_of_their_numbers(sweep: SweepDir):
    sweep.add_trials([config()], {})
    for number in range(1, 12):
        sweep.create_attempts(elements(0, attempt=number), None, "slurm")
    assert [each.number for each in sweep.observe().runs[0].attempts] == list(range(1, 12))


@pytest.fixture
def started_sweep(sweep: SweepDir) -> SweepDir:
    """A sweep with one run that has one attempt."""
    sweep.add_trials([config()], {})
    sweep.create_attempts(elements(0), None, "slurm")
    (sweep.root / "runs/0000/claims").mkdir()
    return sweep


def claim(sweep: SweepDir, attempt: int, restart: int, job_id: str, **more: str) -> None:
    content = {"job_id": job_id, "at": "2026-01-01T00:00:00+00:00", **more}
    link_json(sweep.root / paths.claim(0, attempt, restart), content)


def ending(sweep: SweepDir) -> Ending | None:
    return sweep.observe().runs[0].last.ending


def test_a_reconciliation_from_the_future_is_not_recent(started_sweep: SweepDir):
    """After a clock was set back, periodic reconciliations would otherwise not be due until then."""
    started_sweep.mark_reconciled()
    assert 0 <= started_sweep.seconds_since_reconciliation() < 30
    late = time.time() + 3600
    os.utime(started_sweep.root / paths.LAST_RECONCILIATION, (late, late))
    assert started_sweep.seconds_since_reconciliation() > 3000


def test_the_latest_claim_names_the_job_of_an_attempt(started_sweep: SweepDir):
    for restart in (0, 2, 10):
        claim(started_sweep, 1, restart, f"18808.{restart}")
    started_sweep.create_attempts([Element(0, 2, ((0, 8),))], None, "slurm")
    claim(started_sweep, 2, 11, "18809")
    assert [each.claimed_by for each in started_sweep.observe().runs[0].attempts] == ["18808.10", "18809"]


def test_an_exit_has_the_status_the_log_and_its_last_message(started_sweep: SweepDir, tmp_path: Path):
    log = tmp_path / "0.log"
    log.write_text("epoch 1\nMemoryError\n\n")
    started_sweep.record_exit(0, 1, 0, 1, log)
    assert ending(started_sweep) == Ending(
        "exit", "ended with status 1 and no result; its last message: MemoryError", str(log), 1, unclaimed=True
    )


def test_an_exit_before_the_training_names_the_first_error_of_this_start(started_sweep: SweepDir, tmp_path: Path):
    log = tmp_path / "0.log"
    before = "error: of an earlier start\n"
    log.write_text(f"{before}loading\n\nmodule: command not found\nAlso see the page on modules, or fail\n")
    started_sweep.record_exit(0, 1, 0, 127, log, setup_from=len(before))
    message = "ended with status 127 before the training began: module: command not found"
    assert ending(started_sweep) == Ending("exit", message, str(log), 127, unclaimed=True)


@pytest.mark.parametrize(("text", "line"), [("one\ntwo\n\n", "two"), ("", None)])
def test_without_a_line_about_an_error_the_last_one_counts(tmp_path: Path, text: str, line: str | None):
    (tmp_path / "0.log").write_text(text)
    assert first_error(tmp_path / "0.log", 0) == line
    assert first_error(None, 0) is None


def test_a_restart_that_ended_before_its_claim_is_recognised_and_has_its_own_node(started_sweep: SweepDir):
    claim(started_sweep, 1, 0, "18808", node="n1")
    started_sweep.record_exit(0, 1, 0, 1, None)
    assert ending(started_sweep) == Ending("exit", "ended with status 1 and no result", "", 1)
    started_sweep.record_exit(0, 1, 1, 2, None)
    assert ending(started_sweep) == Ending("exit", "ended with status 2 and no result", "", 2, unclaimed=True)
    assert started_sweep.observe().runs[0].last.node == socket.gethostname()


def test_the_exit_of_the_last_start_counts_even_after_ten_restarts(started_sweep: SweepDir):
    for restart in (2, 9, 10):
        started_sweep.record_exit(0, 1, restart, restart, None)
    found = ending(started_sweep)
    assert found is not None
    assert found.status == 10


def test_files_of_an_earlier_start_are_ignored_once_the_job_restarts(started_sweep: SweepDir):
    claim(started_sweep, 1, 0, "18808")
    started_sweep.record_exit(0, 1, 0, 143, None)
    error(started_sweep, rank=1, kind="exception", message="Connection closed by peer", attempt=1, restart=0)
    assert ending(started_sweep) is not None
    claim(started_sweep, 1, 1, "18808")
    assert ending(started_sweep) is None


def error(sweep: SweepDir, rank: int, **content: object) -> None:
    write_json(sweep.root / "runs/0000" / paths.error(rank), {"restart": 0, **content})


def test_the_earliest_error_that_is_no_echo_is_the_message(started_sweep: SweepDir):
    about = {"kind": "exception", "attempt": 1}
    error(started_sweep, 0, **about, message="Connection closed", echo=True, at="2026-01-01T00:00:01")
    error(started_sweep, 1, **about, message="CUDA out of memory", echo=False, at="2026-01-01T00:00:03")
    error(started_sweep, 2, **about, message="something later", echo=False, at="2026-01-01T00:00:04")
    found = ending(started_sweep)
    assert found is not None
    assert (found.message, found.where) == ("CUDA out of memory", str(started_sweep.root / "runs/0000/error-1.json"))


def test_an_echo_alone_is_no_ending_before_the_exit_status_is_known(started_sweep: SweepDir):
    """The ranks of a preempted job may write such errors before the exit hook requeues the job."""
    error(started_sweep, 1, kind="exception", attempt=1, message="Connection closed by peer", echo=True)
    assert ending(started_sweep) is None
    started_sweep.record_exit(0, 1, 0, 137, None)
    found = ending(started_sweep)
    assert found is not None
    assert found.message == "ended with status 137 and no result; its last message: Connection closed by peer"
    assert not found.is_final


@pytest.mark.parametrize("name", ["claims/1-0", "error-0.json", "attempts/1.json", "milestones/8.json"])
def test_an_unreadable_file_of_a_run_does_not_affect_other_runs(sweep: SweepDir, name: str):
    sweep.add_trials([config(), config(16)], {})
    sweep.create_attempts(elements(0, 1), None, "slurm")
    path = sweep.root / "runs/0000" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("{")
    runs = sweep.observe().runs
    assert str(path) in (runs[0].unreadable or "")
    assert runs[1].unreadable is None
    assert runs[1].last is not None


def test_files_of_a_users_own_trainer_are_not_read(started_sweep: SweepDir):
    (started_sweep.root / "runs/0000/error-log.json").write_text("mine")
    assert started_sweep.observe().runs[0].unreadable is None


def test_errors_of_earlier_attempts_do_not_count_for_the_last_one(started_sweep: SweepDir):
    error(started_sweep, 0, kind="exception", attempt=1, message="no")
    started_sweep.mark_lost(0, 1, "its node died")
    started_sweep.create_attempts(elements(0, attempt=2), None, "slurm")
    assert ending(started_sweep) is None


def test_a_published_milestone_is_observed_with_its_state_and_read_back(started_sweep: SweepDir):
    (started_sweep.root / "runs/0000/milestones").mkdir()
    write_json(started_sweep.root / "runs/0000/milestones/8.json", {"state": "diverged", "message": "nan"})
    assert started_sweep.observe().runs[0].published_states == {8: "diverged"}
    result = started_sweep.milestone(0, 8)
    assert result is not None
    assert result.message == "nan"
    assert started_sweep.milestone(0, 16) is None


def test_temporary_and_foreign_files_are_ignored(started_sweep: SweepDir):
    for name in ("trials/.7.tmp", "trials/notes", "runs/0000/.error-0.json.ab.tmp", "runs/0000/claims/.1-0.ab.tmp"):
        (started_sweep.root / name).parent.mkdir(parents=True, exist_ok=True)
        (started_sweep.root / name).write_text("corrupt")
    (started_sweep.root / "runs/0000/attempts/.2.json.ab.tmp").write_text("corrupt")
    assert len(started_sweep.observe().trials) == 1
    assert started_sweep.observe().runs[0].last.number == 1


def test_an_observation_writes_nothing(started_sweep: SweepDir):
    before = {path: path.stat().st_mtime_ns for path in started_sweep.root.rglob("*")}
    observation.observe(started_sweep.root)
    started_sweep.trials()
    assert {path: path.stat().st_mtime_ns for path in started_sweep.root.rglob("*")} == before


def test_the_last_message_of_a_log_is_the_last_that_is_not_blank(tmp_path: Path):
    log = tmp_path / "0.log"
    assert last_message(log) is None
    log.write_bytes(b"x" * 9000 + b"\nthe end \xff\n \n")
    assert last_message(log) == "the end \ufffd"
    log.write_text("\n\n")
    assert last_message(log) is None


def test_an_exit_with_a_full_disk_in_its_last_message_is_of_that_kind(started_sweep: SweepDir, tmp_path: Path):
    log = tmp_path / "0.log"
    log.write_text("epoch 1\nOSError: [Errno 28] No space left on device: 'x'\n")
    started_sweep.record_exit(0, 1, 0, 1, log)
    found = ending(started_sweep)
    assert found is not None
    assert (found.kind, found.is_final) == ("disk", False)


FRAMES = 'epoch 1\nTraceback (most recent call last):\n  File "t.py", line 1, in <module>\n    train()\n'
CHAIN = "\nDuring handling of the above exception, another exception occurred:\n\n"


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (f"{FRAMES}ValueError: one\ntwo\n", "ValueError: one two"),
        (f"{FRAMES}RuntimeError: keys are missing:\n\n\tconv.weight\n", "RuntimeError: keys are missing: conv.weight"),
        (f"{FRAMES}KeyError: 'a'\n{CHAIN}{FRAMES}my.errors.Bad: one\ntwo\n", "my.errors.Bad: one two"),
        (f"{FRAMES}AssertionError\n", "AssertionError"),
        (f"{FRAMES}OSError: {'a' * 200}\n{'b' * 200} the end\n", f"OSError: {'a' * 140} … {'b' * 140} the end"),
        (f"{FRAMES}OSError: caught\n" + "an epoch\n" * 60 + "killed\n", "killed"),
        (f"{FRAMES}", "train()"),
    ],
)
def test_the_last_message_of_a_log_is_the_exception_at_its_end(tmp_path: Path, log: str, message: str):
    path = tmp_path / "0.log"
    path.write_text(log)
    assert last_message(path) == message
