"""Processes of this machine: how ours are started, and who one is: boot, pid and start time together, since a pid
alone is given out again."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

start: "Callable[..., subprocess.Popen[bytes]]" = subprocess.Popen
"""How a process of our own program is started here. Tests put a quicker way in its place."""


def program(module: str, *words: str, python: str | None = None) -> list[str]:
    """The command line of a program of ours, for `python` (default: the interpreter that runs now).

    -P: a folder of our name, or of a library's, in the directory where it starts is never imported.
    """
    return [python or sys.executable, "-P", "-m", module, *words]


def without_empty(search_path: str) -> str:
    """A PYTHONPATH without its empty elements, each of which means the working directory.

    >>> without_empty(":/lib::/opt:")
    '/lib:/opt'
    """
    return os.pathsep.join(filter(None, search_path.split(os.pathsep)))


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of one boot of one machine."""

    boot: str
    pid: int
    start: int
    """Clock ticks since boot at which it started (field 22 of /proc/PID/stat)."""

    @classmethod
    def of_this_process(cls) -> "Identity":
        return cls(boot_id(), os.getpid(), _start(os.getpid()) or 0)

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Of a process of this machine; None: there is none."""
        start = _start(pid)
        return None if start is None else cls(boot_id(), pid, start)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Identity":
        return cls(str(raw.get("boot")), int(raw.get("pid", 0)), int(raw.get("start", 0)))

    def as_json(self) -> dict[str, Any]:
        return {"boot": self.boot, "pid": self.pid, "start": self.start}

    def is_alive(self) -> bool:
        """Whether it runs on this machine now; a zombie does not."""
        return self.boot == boot_id() and self.start == _start(self.pid)


def with_words(*words: str) -> list[tuple[Identity, list[str]]]:
    """The processes of this machine with these words, one after the other, on their command lines; with all words."""
    wanted, found = "\0".join(("", *words, "")), []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:  # it has ended, or is another user's
            continue
        identity = Identity.of(int(path.parent.name)) if wanted in f"\0{line}" else None
        if identity is not None:
            found.append((identity, line.split("\0")))
    return found


def tied_to_us() -> Callable[[], None]:
    """For Popen's `preexec_fn`: the kernel kills the new process when this one dies, so that nobody
    trains without being seen. It is tied before it becomes another program: later would be too late
    for a parent that dies early."""
    ours, libc = os.getpid(), ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, linux/prctl.h
        if os.getppid() != ours:  # we were gone already
            os._exit(1)

    return tie


def boot_id() -> str:
    """The same until this machine starts again; two machines never share it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])
