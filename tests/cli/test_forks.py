"""A fork of the tests behaves like a process of a user: output, exit status, command line, signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import forks
import pytest
from local_sweeps import UNTIL_RELEASED, Workspace, environment


def test_a_fork_has_the_output_and_exit_status_of_a_cold_start(tmp_path: Path):
    for arguments in (["status", "nothing"], ["--version"], ["submit"], ["no-such-command"]):
        command = [sys.executable, "-m", "unetsweep", *arguments]
        cold = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
        forked = forks.run(command, cwd=tmp_path, env=environment())
        assert (forked.returncode, forked.stdout, forked.stderr) == (cold.returncode, cold.stdout, cold.stderr)


def test_a_fork_is_a_process_with_its_own_command_line_session_and_signals(tmp_path: Path):
    workspace = Workspace(tmp_path)
    workspace.trainer(UNTIL_RELEASED)
    sweep = workspace.grid(1)
    command = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--executor", "local", "--watch"]
    process = forks.start(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, start_new_session=True)
    try:
        workspace.wait(lambda: workspace.notes("begin"))
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
        workspace.end()


@pytest.mark.parametrize("torch", [pytest.param(True, marks=pytest.mark.train), False])
def test_a_fork_server_has_one_thread_and_imports_torch_only_on_request(torch: bool):
    assert forks.run([sys.executable, "-m", "unetsweep", "status", "nothing"], torch=torch).returncode == 2
    pid = forks.server(torch=torch).with_suffix(".pid").read_text()
    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert ("libtorch" in maps) is torch
    assert "libcuda.so" not in maps


def test_a_fork_that_cannot_start_raises_like_popen_and_leaves_no_process(tmp_path: Path):
    command = [sys.executable, "-m", "unetsweep", "--version"]
    for options in ({"cwd": tmp_path / "gone"}, {"cwd": tmp_path, "preexec_fn": fail}):
        with pytest.raises(subprocess.SubprocessError, match=r"FileNotFoundError|it fails on purpose"):
            forks.run(command, env=environment(), **options)


def fail() -> None:
    raise RuntimeError("it fails on purpose")


def test_a_fork_has_its_command_line_and_session_as_soon_as_it_is_started(tmp_path: Path):
    workspace = Workspace(tmp_path)
    workspace.trainer(UNTIL_RELEASED)
    sweep = workspace.grid(1)
    for _ in range(20):
        command = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--dry-run"]
        process = forks.start(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, start_new_session=True)
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        assert [each.decode() for each in line] == command
        assert os.getsid(process.pid) == process.pid
        assert "1 trial" in process.communicate(60)[0]


def test_no_training_keeps_the_streams_of_submit_open(tmp_path: Path):
    workspace = Workspace(tmp_path)
    workspace.trainer(UNTIL_RELEASED)
    sweep = workspace.grid(1)
    command = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--executor", "local"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        output, _ = forks.start(command, cwd=tmp_path, env=environment(), **streams).communicate(60)
        assert "sweep" in output
        workspace.wait(lambda: workspace.notes("begin"))  # the training still runs
    finally:
        workspace.end()
