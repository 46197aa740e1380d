"""The job's side of a warm server: it asks for ranks, and follows them like processes.

Rule 1: a rank that the server cannot fork is started as a new process. So the server saves time, and nothing depends
        on it.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unetsweep import process
from unetsweep.process import die_with_parent
from unetsweep.worker.rank_command import RankCommand
from unetsweep.worker.warm_server import MAX_MESSAGE, MODULES, POLL_S

_FOR_RANKS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that SLURM and terminals send to all processes. The server ignores them, since its end ends the ranks."""
_LOST = -signal.SIGKILL
"""The exit status of a rank whose server has died: the kernel has killed it."""


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
        """Record what the server has reported about the ranks."""
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
            time.sleep(POLL_S)
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
