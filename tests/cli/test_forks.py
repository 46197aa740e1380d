"""What the tests fork is what a user starts: the same words, exit status, command line and signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import forks
import pytest
from local_sweeps import UNTIL_TOLD, Place, environment


def test_a_fork_says_and_ends_as_a_cold_start_does(tmp_path: Path):
    for words in (["status", "nothing"], ["--version"], ["submit"], ["no-such-command"]):
        command = [sys.executable, "-m", "unetsweep", *words]
        cold = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
        forked = forks.run(command, cwd=tmp_path, env=environment())
        assert (forked.returncode, forked.stdout, forked.stderr) == (cold.returncode, cold.stdout, cold.stderr)


def test_a_fork_has_a_process_a_command_line_and_signals_of_its_own(tmp_path: Path):
    place = Place(tmp_path)
    place.trainer(UNTIL_TOLD)
    sweep = place.grid(1)
    command = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--executor", "local", "--watch"]
    process = forks.start(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, start_new_session=True)
    try:
        place.wait(lambda: place.notes("begin"))
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        assert [each.decode() for each in line] == command
        assert os.getsid(process.pid) == process.pid
        assert os.readlink(f"/proc/{process.pid}/cwd") == str(tmp_path)
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        process.stdout.close()
        place.end()


@pytest.mark.parametrize("torch", [True, False])
def test_a_server_has_imported_what_it_should_and_started_no_thread(torch: bool):
    assert forks.run([sys.executable, "-m", "unetsweep", "status", "nothing"], torch=torch).returncode == 2
    pid = forks.server(torch=torch).with_suffix(".pid").read_text()
    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert ("libtorch" in maps) is torch
    assert "libcuda.so" not in maps


def test_what_a_fork_cannot_become_is_told_like_popen_and_leaves_no_process(tmp_path: Path):
    command = [sys.executable, "-m", "unetsweep", "--version"]
    for trouble in ({"cwd": tmp_path / "gone"}, {"cwd": tmp_path, "preexec_fn": failing}):
        with pytest.raises(subprocess.SubprocessError, match=r"FileNotFoundError|it cannot be"):
            forks.run(command, env=environment(), **trouble)


def failing() -> None:
    raise RuntimeError("it cannot be")


def test_a_fork_is_what_was_ordered_as_soon_as_it_is_started(tmp_path: Path):
    place = Place(tmp_path)
    place.trainer(UNTIL_TOLD)
    sweep = place.grid(1)
    for _ in range(20):
        command = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--dry-run"]
        process = forks.start(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, start_new_session=True)
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        assert [each.decode() for each in line] == command
        assert os.getsid(process.pid) == process.pid
        assert "1 trial" in process.communicate(60)[0]


def test_no_training_holds_the_streams_of_submit(tmp_path: Path):
    place = Place(tmp_path)
    place.trainer(UNTIL_TOLD)
    sweep = place.grid(1)
    command = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--executor", "local"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        said, _ = forks.start(command, cwd=tmp_path, env=environment(), **streams).communicate(60)
        assert "sweep" in said
        place.wait(lambda: place.notes("begin"))  # it is at work, and waits to be told
    finally:
        place.end()
