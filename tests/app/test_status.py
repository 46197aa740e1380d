"""`unetsweep status` of a local sweep whose training has just ended."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import small_sweeps
from click.testing import CliRunner

from unetsweep.app.executors import EXECUTORS, LOCAL
from unetsweep.atomic import write_json
from unetsweep.cli.main import program
from unetsweep.contract import Result, encode
from unetsweep.core import paths
from unetsweep.core.observation import Job, JobState
from unetsweep.schedulers.local.local_jobs import LocalJobs
from unetsweep.store.sweep_dir import SweepDir

ALARM = "warning: the sweep does not continue by itself; run `unetsweep submit` again"
DUE = "`unetsweep submit` would now: complete trial 0000: its result is there"


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepDir:
    """Its training has ended with a result, and no reconciliation has seen that yet."""
    made = small_sweeps.make_sweep(tmp_path / "results", "s", (8, 16))
    token = small_sweeps.submit(made, 0, "1", (0, 8))
    small_sweeps.claim(made, 0, "1")
    result = made.root / paths.run_dir(0) / paths.milestone(8)
    result.parent.mkdir()
    write_json(result, encode(Result(val_iou=0.5, epochs_run=8, job_id="1")))
    job = Job("1", token, 0, JobState.ENDED, "ended")
    monkeypatch.setattr(LocalJobs, "jobs", lambda _, tokens: [job] if token in tokens else [])
    return made


@pytest.fixture
def process_of() -> Iterator[Callable[..., None]]:
    """Start a process with such a command line, which only sleeps."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> None:
        command = [sys.executable, "-S", "-c", "print(flush=True); import time; time.sleep(60)", *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert started[-1].stdout is not None
        started[-1].stdout.readline()

    yield start
    for each in started:
        each.kill()
        each.communicate()


def status(sweep: SweepDir, *options: str) -> str:
    done = CliRunner().invoke(program, ["status", str(sweep.root), *options])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def test_a_sweep_that_nobody_continues_is_a_warning(sweep: SweepDir) -> None:
    lines = status(sweep).splitlines()
    assert ALARM in lines
    assert DUE in lines
    assert json.loads(status(sweep, "--json"))["next_reconciliation"]["by"] == "nobody"


@pytest.mark.parametrize("word", ["supervise", "exit-hook"])
def test_no_warning_is_given_while_the_exit_hook_is_about_to_reconcile(
    sweep: SweepDir, process_of: Callable[..., None], word: str
) -> None:
    process_of(word, str(sweep.root), "token")
    text = status(sweep)
    assert "warning" not in text
    assert "would now" not in text
    assert text.endswith("the sweep is being continued: a reconciliation runs now\n")


def test_a_reconciliation_that_ends_while_the_sweep_is_observed_is_no_reason_for_a_warning(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_ended(_: Path) -> bool:
        if not (sweep.root / "trials/0000/result.json").exists():  # it did so before this was asked
            small_sweeps.end(sweep, 0, "1", 0.5)
            small_sweeps.submit(sweep, 1, "2", (1, 16))
        return False

    monkeypatch.setitem(EXECUTORS, "local", replace(LOCAL, is_reconciling=has_ended))
    assert "warning" not in status(sweep)
