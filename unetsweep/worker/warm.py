"""Starts the ranks of trainings from a process that has imported PyTorch once: a fork of it trains at once.

Rule 1: the server only imports. It starts no thread, computes nothing and uses no GPU, so a fork is like a new process.
Rule 2: a rank that cannot be forked is started as a new process. So the server saves time, and nothing depends on it.
Rule 3: the server ends with the job, and every rank ends with the server.
"""

import contextlib
import gc
import importlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

from unetsweep import process
from unetsweep.process import die_with_parent

MODULES = ("unetsweep.training.ranks", "unetsweep.training.run", "unetsweep.worker.rank", "albumentations")
"""What a rank of the built-in training imports, which is nearly all of its time before the first step."""
MAX_MESSAGE = 1 << 17
"""Most bytes of a request: the command of a rank, and the variables that differ from those of the server."""
_FOR_RANKS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that SLURM and terminals send to all processes. The server ignores them, since its end ends the ranks."""
_POLL_S = 0.05
"""How often the server looks for ranks that have ended."""
_LOST = -signal.SIGKILL
"""The exit status of a rank whose server has died: the kernel has killed it."""


class Rank(Protocol):
    """A process of a training: the part of `subprocess.Popen` that a job uses."""

    def poll(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...

    def wait(self) -> int: ...


@dataclass(frozen=True, slots=True)
class RankCommand:
    """How to start a rank."""

    command: tuple[str, ...]
    """`python -m unetsweep.worker` with arguments."""
    log: Path
    environment: Mapping[str, str]
    cpus: tuple[int, ...]

    @property
    def arguments(self) -> list[str]:
        """The arguments of `unetsweep.worker`."""
        return list(self.command[self.command.index("unetsweep.worker") + 1 :])

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it as a new process. Raises OSError and SubprocessError."""
        tie = die_with_parent()

        def prepare() -> None:
            tie()
            _prepare(self.cpus)

        with self.log.open("ab") as stream:
            return process.start(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=self.environment,
                preexec_fn=prepare,
            )


def _prepare(cpus: Sequence[int]) -> None:
    os.sched_setaffinity(0, cpus)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until the rank handles it; by default it would end the rank


# ---- the job's side


class WarmServer:
    """Starts a server, and asks it for ranks."""

    def __init__(self, modules: Sequence[str] = MODULES) -> None:
        tie = die_with_parent()

        def prepare() -> None:
            tie()
            for number in _FOR_RANKS:
                signal.signal(number, signal.SIG_IGN)

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = process.program("unetsweep.worker", "warm", *modules)
        self._environment = dict(os.environ)
        with theirs:
            self._process = process.start(command, stdin=theirs, env=self._environment, preexec_fn=prepare)
        ours.setblocking(False)
        self._socket = ours
        self._ranks: dict[int, WarmRank] = {}
        self.is_lost = False

    def start(self, command: RankCommand) -> "WarmRank":
        """Ask for a rank. It begins when the server has imported everything."""
        rank = self._ranks[len(self._ranks)] = WarmRank(self, len(self._ranks), command)
        request = {"start": rank.number, "arguments": command.arguments, "log": str(command.log)}
        names = self._environment.keys() | command.environment.keys()
        changed = {
            name: command.environment.get(name)
            for name in names
            if self._environment.get(name) != command.environment.get(name)
        }
        if not self.send(request | {"environment": changed, "cpus": command.cpus}):
            rank.start_new()
        return rank

    def send(self, message: Mapping[str, Any]) -> bool:
        """Send a message; return False if the server has no room for it now. A server that takes none is lost."""
        try:
            self._socket.send(json.dumps(message).encode())
        except BlockingIOError:
            return False
        except OSError:
            self._lose()
        return True

    def receive(self) -> None:
        """Tell the ranks what the server has reported about them."""
        while not self.is_lost:
            try:
                message = self._socket.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._lose()
                return
            found = json.loads(message)
            rank = self._ranks[found["rank"]]
            if "status" in found:
                rank.returncode = found["status"]
            elif "error" in found:
                rank.start_new()
            else:
                rank.has_begun = True

    def _lose(self) -> None:
        """The server has died, and its ranks with it. Those that it had not started are started as new processes."""
        self.is_lost = True
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for rank in self._ranks.values():
            if rank.returncode is None and rank.has_begun:
                rank.returncode = _LOST
            elif rank.returncode is None:
                rank.start_new()


@dataclass(slots=True)
class WarmRank:
    """A rank that the server forks, or after a failure of the server a new process."""

    server: WarmServer
    number: int
    command: RankCommand
    has_begun: bool = False
    returncode: int | None = None
    process: "subprocess.Popen[bytes] | None" = None
    signals: list[int] = field(default_factory=list)
    """The signals that it was sent before it was started as a new process."""

    def poll(self) -> int | None:
        """Return its exit status as Popen does; None: it runs, or will."""
        if self.process is None and self.returncode is None:
            self.server.receive()  # which may start a process
        return self.returncode if self.process is None else self.process.poll()

    def send_signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
        elif self.returncode is None:
            self.signals.append(number)
            self.server.send({"signal": int(number), "rank": self.number})

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        while (status := self.poll()) is None:
            time.sleep(_POLL_S)
        return status

    def start_new(self) -> None:
        """Start it as a new process; if that fails too, or it was meant to end, it has ended."""
        if signal.SIGTERM in self.signals or signal.SIGKILL in self.signals:
            self.returncode = -signal.SIGTERM
            return
        try:
            self.process = self.command.start()
        except (OSError, subprocess.SubprocessError):
            self.returncode = 1


# ---- the server


def serve(modules: Sequence[str], run: Callable[[Sequence[str]], object]) -> NoReturn:
    """Import these modules, then fork a rank for each request on standard input, until that is closed.

    `run` runs the arguments of a rank.
    """
    environment = dict(os.environ)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # it starts its threads when it is imported; the ranks use PyTorch's
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else it asks the internet for a newer version
    with socket.socket(fileno=os.dup(0)) as asked:
        for name in modules:
            importlib.import_module(name)
        if why := _why_not_forked():
            sys.exit(f"the trainings of this job are not forked: {why}")
        gc.collect()
        gc.freeze()  # a collection in a rank would copy the pages that it shares
        ranks: dict[int, int] = {}
        asked.settimeout(_POLL_S)
        while True:
            _report_ends(asked, ranks)
            try:
                message = asked.recv(MAX_MESSAGE)
            except TimeoutError:
                continue
            if not message:
                os._exit(0)  # the job has ended; the kernel ends the ranks
            request = json.loads(message)
            if "signal" in request:
                pid = next((pid for pid, number in ranks.items() if number == request["rank"]), None)
                if pid is not None:  # it has not been waited for, so no other process has its number
                    os.kill(pid, request["signal"])
                continue
            try:
                ranks[_fork(request, environment, asked, run)] = request["start"]
            except OSError as error:
                asked.send(json.dumps({"rank": request["start"], "error": str(error)}).encode())
            else:
                asked.send(json.dumps({"rank": request["start"]}).encode())


def _report_ends(asked: socket.socket, ranks: dict[int, int]) -> None:
    while ranks:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        asked.send(json.dumps({"rank": ranks.pop(pid), "status": os.waitstatus_to_exitcode(status)}).encode())


def _why_not_forked() -> str | None:
    """Return why a fork of this process would not be like a new process; None: it would."""
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        return f"{threads} threads run after the imports"
    names = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    if any(os.readlink(name).startswith("/dev/nvidia") for name in names if os.path.lexists(name)):
        return "a GPU is in use after the imports"
    return None


def _fork(
    request: Mapping[str, Any],
    environment: Mapping[str, str],
    asked: socket.socket,
    run: Callable[[Sequence[str]], object],
) -> int:
    """Fork a rank, and return its pid."""
    tie = die_with_parent()
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    pid = os.fork()
    if pid:
        os.close(log)
        return pid
    status = 1
    try:
        tie()
        asked.close()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        _prepare(request["cpus"])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        changed = request["environment"]
        os.environ.clear()
        os.environ.update({name: value for name, value in {**environment, **changed}.items() if value is not None})
        random.seed()
        sys.argv[1:] = request["arguments"]
        run(request["arguments"])
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)  # noqa: T201
    finally:
        _end(status)


def _end(status: int) -> NoReturn:
    """End a rank as an interpreter ends, without returning into the server."""
    import atexit
    import threading

    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
