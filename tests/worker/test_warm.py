"""Ranks that a server forks, or that start as new processes if it cannot."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unetsweep import process
from unetsweep.worker.rank_command import RankCommand
from unetsweep.worker.warm import WarmServer

RANK = """
import os, sys, time
def main(arguments):
    match arguments:
        case ["say", text]:
            print(text, os.environ.get("SHARE"), os.environ.get("OPENBLAS_NUM_THREADS"), len(os.sched_getaffinity(0)))
        case ["fail"]:
            raise ValueError("no vessels here")
        case ["end", status]:
            sys.exit(int(status))
        case ["sleep"]:
            print("sleeps", flush=True)
            time.sleep(100)
sys.modules["__main__"].main = main
"""
"""A module that the server imports: its ranks do this instead of training."""


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., WarmServer]]:
    """Starts servers as new processes, and ends them."""
    (tmp_path / "rank_of_test.py").write_text(RANK)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}")
    started: list[WarmServer] = []

    def start(*modules: str) -> WarmServer:
        started.append(WarmServer(modules or ("rank_of_test",)))
        return started[-1]

    yield start
    for server in started:
        server._lose()
        for rank in server._ranks.values():
            rank.wait()


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., RankCommand]:
    """The command of a rank with these arguments, which runs on one CPU."""

    def make(*arguments: str, **variables: str) -> RankCommand:
        program = tuple(process.program("unetsweep.worker", *arguments))
        return RankCommand(program, tmp_path / "rank.log", {**os.environ, **variables}, (0,))

    return make


def text_in(log: Path) -> str:
    """The log of a rank, when it has written something."""
    until = time.monotonic() + 30
    while not (log.exists() and log.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    return log.read_text()


def test_a_rank_has_its_own_log_environment_cpus_and_exit_status(servers, command, tmp_path: Path):
    server = servers()
    ranks = [server.start(command("say", "hello", SHARE="0.5")), server.start(command("end", "7"))]
    assert [rank.wait() for rank in ranks] == [0, 7]
    assert (tmp_path / "rank.log").read_text() == "hello 0.5 None 1\n"
    assert [rank.process for rank in ranks] == [None, None], "both were forked"


def test_an_error_is_in_the_log_of_the_rank_and_the_server_goes_on(servers, command, tmp_path: Path):
    server = servers()
    assert server.start(command("fail")).wait() == 1
    assert "ValueError: no vessels here" in (tmp_path / "rank.log").read_text()
    assert server.start(command("end", "0")).wait() == 0


def test_a_signal_reaches_the_rank_and_not_the_server(servers, command, tmp_path: Path):
    server = servers()
    rank = server.start(command("sleep"))
    assert text_in(tmp_path / "rank.log") == "sleeps\n"
    server._process.send_signal(signal.SIGTERM)  # as SLURM sends it to all processes of a job
    server._process.send_signal(signal.SIGUSR2)
    assert rank.poll() is None
    rank.send_signal(signal.SIGTERM)
    assert rank.wait() == -signal.SIGTERM
    assert server.start(command("end", "0")).wait() == 0


def test_a_rank_dies_with_the_server_and_later_ones_start_as_new_processes(servers, command, tmp_path: Path):
    server = servers()
    rank = server.start(command("sleep"))
    text_in(tmp_path / "rank.log")
    server._process.kill()
    assert rank.wait() == -signal.SIGKILL
    assert server.is_lost
    later = server.start(command("nonsense"))
    assert later.process is not None
    assert later.wait() == 1
    assert "unknown arguments ['nonsense']" in (tmp_path / "rank.log").read_text()


@pytest.mark.parametrize("module", ["no_such_module", "with_a_thread"])
def test_a_server_that_cannot_fork_leaves_its_ranks_to_new_processes(module: str, servers, command, tmp_path: Path):
    (tmp_path / "with_a_thread.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n"
    )
    server = servers(module)
    rank = server.start(command("nonsense"))
    assert rank.wait() == 1
    assert rank.process is not None
    assert "unknown arguments" in (tmp_path / "rank.log").read_text()


def test_a_rank_that_was_meant_to_end_does_not_start_anew(servers, command, tmp_path: Path):
    server = servers("no_such_module")
    rank = server.start(command("nonsense"))
    rank.send_signal(signal.SIGTERM)
    assert rank.wait() == -signal.SIGTERM
    assert not (tmp_path / "rank.log").exists()


def test_the_server_ends_with_its_job(command, tmp_path: Path):
    (tmp_path / "rank_of_test.py").write_text(RANK)
    code = (
        "import sys; import os, time; from pathlib import Path; from unetsweep import process; "
        "from unetsweep.worker.rank_command import RankCommand; from unetsweep.worker.warm import WarmServer\n"
        "server = WarmServer(['rank_of_test'])\n"
        "rank = RankCommand(tuple(process.program('unetsweep.worker', 'sleep')), Path('rank.log'), os.environ, (0,))\n"
        "server.start(rank); print(server._process.pid, flush=True); time.sleep(100)\n"
    )
    path = f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"
    job = process.start(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, stdout=-1, stdin=-3
    )
    with job.stdout:
        server = int(job.stdout.readline())
    text_in(tmp_path / "rank.log")
    pids = [server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())]
    assert len(pids) == 2
    job.kill()
    job.wait()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
