"""Starts and identifies processes of this machine.

Rule 1: a process is identified by boot, pid and start time together, since the kernel reuses pids.
"""

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

start: "Callable[..., subprocess.Popen[bytes]]" = subprocess.Popen
"""Starts a process of unetsweep itself. Tests replace it with something faster."""


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
    """Switch off garbage collection inside the `with` block, or the decorated function.

    It is for reading thousands of files: nothing of that is freed, and looking for it takes up to a third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def program(module: str, *arguments: str, python: str | None = None) -> list[str]:
    """The command line that runs a module of unetsweep with `python` (default: the running interpreter).

    With -P Python never imports a folder that has the name of unetsweep or a library from the working directory.
    """
    return [python or sys.executable, "-P", "-m", module, *arguments]


def without_empty(search_path: str) -> str:
    """Remove the empty elements of a PYTHONPATH, each of which stands for the working directory.

    >>> without_empty(":/lib::/opt:")
    '/lib:/opt'
    """
    return os.pathsep.join(filter(None, search_path.split(os.pathsep)))


@dataclass(frozen=True, slots=True)
class Identity:
    """Identifies one process of one machine."""

    boot: str
    pid: int
    start_ticks: int
    """Clock ticks since boot at which it started (field 22 of /proc/PID/stat)."""

    @classmethod
    def of_this_process(cls) -> "Identity":
        return cls(boot_id(), os.getpid(), _start(os.getpid()) or 0)

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a process of this machine; None if it does not exist."""
        start = _start(pid)
        return None if start is None else cls(boot_id(), pid, start)

    def is_alive(self) -> bool:
        """Whether the process runs on this machine now; a zombie does not."""
        return self.boot == boot_id() and self.start_ticks == _start(self.pid)


def suspended_seconds() -> float:
    """How long this machine has been suspended since its boot, as a laptop is while it is closed."""
    return max(0.0, round(time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC), 1))


def find_processes(*arguments: str) -> list[tuple[Identity, list[str]]]:
    """The processes of this machine with these consecutive arguments, each with its whole command line."""
    wanted, found = "\0".join(("", *arguments, "")), []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:  # the process has ended, or belongs to another user
            continue
        identity = Identity.of(int(path.parent.name)) if wanted in f"\0{line}" else None
        if identity is not None:
            found.append((identity, line.split("\0")))
    return found


def die_with_parent() -> Callable[[], None]:
    """A `preexec_fn` for Popen with which the kernel kills the new process when this one dies.

    So no training survives its supervisor. The new process calls it before it executes its program. If the parent has
    died by then, the kernel sends no signal any more, so the new process exits by itself.
    """
    ours, libc = os.getpid(), ctypes.CDLL(None)

    def kill_with_parent() -> None:
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, linux/prctl.h
        if os.getppid() != ours:  # the parent had died already
            os._exit(1)

    return kill_with_parent


def boot_id() -> str:
    """Return the id of this boot, which is unique among all boots of all machines."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot; None if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])
