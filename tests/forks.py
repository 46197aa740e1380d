"""Run `python -m unetsweep …` without a cold start: fork it from a server that has imported everything.

A cold start costs up to a second, with PyTorch six. `start` and `run` take the command of `subprocess.Popen` and give a
process with that command line, directory, environment, signals and streams; only the imports are shared. Commands that
`unetsweep` itself starts are forked from it in the same way. Any other command is started normally.

Rule 1: a server only imports. It starts no thread, computes nothing and uses no GPU, so a fork of it is complete.
        (It asks git once about the checkout, for all of its forks.)
Rule 2: there are two servers, one with PyTorch and one without, because a fork with PyTorch costs four times as much.
        A process of the server without PyTorch may still import it.
Rule 3: tests of the start itself (interpreter, PYTHONPATH, sitecustomize, pinned code) start cold:
        `subprocess.run([sys.executable, "-m", "unetsweep", …])`.
"""

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import os
import pickle
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

PROGRAMS = ("unetsweep", "unetsweep.worker")
LATE = ("cv2", "numpy", "optuna", "optuna.storages.journal", "scipy.special", "yaml")
"""Libraries that our modules import only in functions."""
WITH_TORCH = ("albumentations", "comet_ml", "pytorch_lightning", "torch._dynamo")
NEED_TORCH = ("unetsweep.training", "unetsweep.lightning")
"""Modules of ours that import torch, by the beginning of their names."""
TITLE = 8192
"""The longest command line of a fork in /proc, in bytes; a server reserves them with its last argument."""
STATUS_BYTES = 4


_kept: list[Any] = []
"""Objects that must not be garbage-collected: replaced streams, which would close their descriptors, and servers."""


@dataclass(frozen=True)
class Order:
    """The description of a process to fork."""

    command: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    new_session: bool = False
    group: int | None = None
    umask: int = -1
    before: Callable[[], object] | None = None
    """Called first in the new process, as Popen's `preexec_fn`."""

    @property
    def program(self) -> str:
        """The module, or the path of a script."""
        return self.command[self.command.index("-m") + 1] if "-m" in self.command else self.command[1]

    @property
    def arguments(self) -> tuple[str, ...]:
        return self.command[self.command.index(self.program) + 1 :]


def is_ours(command: Sequence[str]) -> bool:
    """Whether the command runs one of our programs with this interpreter."""
    parts = list(map(str, command))
    if parts[:1] != [sys.executable] or "-m" not in parts:
        return False
    at = parts.index("-m")
    return set(parts[1:at]) <= {"-P"} and parts[at + 1] in PROGRAMS


# ---- the functions for tests


def run(
    command: Sequence[object],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    torch: bool = False,
    **more: Any,
) -> "subprocess.CompletedProcess[str]":
    """Like `subprocess.run` with its output as text, TimeoutExpired included. `torch`: the command trains."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(command, cwd=cwd, env=env, stdout=out, stderr=err, torch=torch, **more)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        output = [_text(each) for each in (out, err)]
    return subprocess.CompletedProcess(list(map(str, command)), process.returncode, *output)


def start(
    command: Sequence[object],
    *,
    cwd: Any = None,
    env: Mapping[str, str] | None = None,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    start_new_session: bool = False,
    process_group: int | None = None,
    umask: int = -1,
    preexec_fn: Callable[[], object] | None = None,
    torch: bool = False,
    script: bool = False,
) -> Any:
    """Like `subprocess.Popen` with these arguments; a `Process` if the command is ours. `torch`: the command trains.
    `script`: it is `[sys.executable, SCRIPT, …]`, and is forked too."""
    argv = tuple(map(str, command))
    env = dict(os.environ if env is None else env)
    if not script and not is_ours(argv):
        more: dict[str, Any] = {"cwd": cwd, "env": env, "stdin": stdin, "stdout": stdout, "stderr": stderr}
        more |= {"start_new_session": start_new_session, "umask": umask, "preexec_fn": preexec_fn}
        more |= {} if process_group is None else {"process_group": process_group}
        return subprocess.Popen(argv, **more)
    where = os.getcwd() if cwd is None else str(cwd)
    order = Order(argv, where, env, start_new_session, process_group, umask, preexec_fn)
    with contextlib.ExitStack() as held:
        streams, read = _streams(stdin, stdout, stderr, held)
        if _FORKED:
            return Process(argv, _fork(order, streams), None, read)
        pid, status = _ask(server(torch=torch), order, streams)
        return Process(argv, pid, status, read)


def client() -> None:
    """Run `unetsweep` with the arguments of this process and exit with its status; for a script in its place."""
    process = start([sys.executable, "-m", "unetsweep", *sys.argv[1:]], cwd=os.getcwd(), torch=True)
    status = process.wait()
    sys.exit(status if status >= 0 else 128 - status)


def script_client() -> None:
    """Run the script that the arguments of this process name, and exit with its status; in the place of `python`."""
    status = start([sys.executable, *sys.argv[1:]], cwd=os.getcwd(), torch=True, script=True).wait()
    sys.exit(status if status >= 0 else 128 - status)


def write_python(path: Path) -> None:
    """Write a command that runs a script as `python` does, but in a fork with PyTorch; COLD=1: in a new process."""
    client = f'import sys; sys.path.insert(0, "{Path(__file__).parent}"); import forks; forks.script_client()'
    path.write_text(
        f"""#!/bin/bash
if [ -z "$COLD" ] && [ "${{1%.py}}" != "$1" ]; then
    exec "{sys.executable}" -I -S -c '{client}' "$@"
fi
exec "{sys.executable}" "$@"
"""
    )
    path.chmod(0o755)


@dataclass
class Process:
    """A forked process, with the part of Popen's interface that the tests use."""

    args: tuple[str, ...]
    pid: int
    status: int | None
    """The pipe that the server writes the exit status to; None: it is a child of this process."""
    stdout: "IO[str] | None"
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self._poll_status(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = 1.0 if until is None else until - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._poll_status(min(left, 1.0))
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Everything written to its pipe until all writers have closed it. Raises TimeoutExpired like Popen's."""
        assert self.stdout is not None
        until, parts = time.monotonic() + (float("inf") if timeout is None else timeout), [b""]
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.stdout], [], [], None if left == float("inf") else left)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0, b"".join(parts))
            parts.append(os.read(self.stdout.fileno(), 1 << 16))
            if not parts[-1]:
                break
        self.stdout.close()
        self.wait(None if timeout is None else max(0.0, until - time.monotonic()) + 1)
        return b"".join(parts).decode(), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _poll_status(self, seconds: float) -> None:
        """Set `returncode` if the process ends within this many seconds."""
        if self.status is not None:
            if select.select([self.status], [], [], seconds)[0]:
                content = os.read(self.status, STATUS_BYTES)
                os.close(self.status)
                assert len(content) == STATUS_BYTES, "the fork server has died"
                self.returncode = int.from_bytes(content, "big", signed=True)
            return
        until = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
            if pid or time.monotonic() >= until:
                return
            time.sleep(0.005)


def _streams(stdin: Any, stdout: Any, stderr: Any, held: contextlib.ExitStack) -> tuple[list[int], "IO[str] | None"]:
    """Descriptors for 0, 1 and 2, and our end of a pipe if there is one; `held` closes what this opens."""
    read: IO[str] | None = None
    found: list[int] = []
    for number, stream in enumerate((stdin, stdout, stderr)):
        if stream is None:
            found.append(number)
        elif stream == subprocess.DEVNULL:
            nothing = os.open(os.devnull, os.O_RDWR)
            held.callback(os.close, nothing)
            found.append(nothing)
        elif stream == subprocess.STDOUT:
            found.append(found[1])
        elif stream == subprocess.PIPE:
            assert number == 1, "only stdout may be a pipe"
            ours, theirs = os.pipe()
            held.callback(os.close, theirs)
            read = os.fdopen(ours)
            found.append(theirs)
        else:
            found.append(stream if isinstance(stream, int) else stream.fileno())
    return found, read


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


# ---- the servers


FOLDER = "UNETSWEEP_FORKS"
"""The variable with the folder of the server sockets, which the workers of pytest-xdist share."""
WHOLE_COPY = "UNETSWEEP_WHOLE_COPY"
"""If this variable is set, a sweep gets a whole copy of the package: another interpreter will run it."""
PATIENCE_S = 300.0
"""A server imports in seconds, but needs much longer on a busy machine with a cold disk cache."""
_AT_FIRST = dict(os.environ)
"""The environment of the servers, from before any test changed it."""


def share() -> None:
    """Make the folder of the servers; the servers and the folder end with this process."""
    folder = Path(tempfile.mkdtemp(prefix="forks-"))
    os.mkfifo(folder / "alive")
    held = os.open(folder / "alive", os.O_RDWR)  # a server notices when the last writer has gone
    os.environ[FOLDER] = str(folder)

    def end() -> None:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)


def server(*, torch: bool) -> Path:
    """The socket of the server with or without PyTorch, which the first call starts."""
    if FOLDER not in os.environ:
        share()
    folder = Path(os.environ[FOLDER])
    path = folder / ("with-torch" if torch else "without")
    if not path.exists():
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _begin(path, torch)
    return path


def _begin(path: Path, torch: bool) -> None:
    env = {**_AT_FIRST, "OPENBLAS_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import forks; forks.serve({str(path)!r}, {torch})"
    # the last argument reserves memory for the command lines of the forks
    command = [sys.executable, "-P", "-c", code, "x" * TITLE]
    log_path = path.with_suffix(".log")
    with log_path.open("wb") as log:  # it must not share the streams of the first caller
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    path.with_suffix(".pid").write_text(str(process.pid))
    _kept.append(process)
    atexit.register(setattr, process, "returncode", 0)  # it outlives this worker, and Popen must not warn about that
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise RuntimeError(f"the fork server does not start: {log_path.read_text()}")
        time.sleep(0.02)


def _ask(path: Path, order: Order, streams: list[int]) -> tuple[int, int]:
    """The pid of the new process, and the pipe on which its exit status will arrive."""
    ours, theirs = os.pipe()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.connect(str(path))
            message = pickle.dumps((sys.path, pickle.dumps(order)))
            socket.send_fds(asking, [message], [*streams, theirs])
            answer = asking.recv(1 << 16)
    finally:
        os.close(theirs)
    if not answer:
        raise RuntimeError(f"the fork server has died: {path.with_suffix('.log').read_text()}")
    if not answer.isdigit():
        os.close(ours)
        raise subprocess.SubprocessError(answer.decode())
    return int(answer), ours


_FORKED = False
"""Whether this process was forked by this module."""


def serve(path: str, torch: bool) -> None:
    """Fork the processes requested on this socket and report their exit status, until all clients are gone."""
    alive = os.open(Path(path).with_name("alive"), os.O_RDONLY | os.O_NONBLOCK)
    import_everything(torch=torch)
    count = len(os.listdir("/proc/self/task"))
    assert count == 1, f"the fork server has {count} threads"
    gc.collect()
    gc.freeze()  # no collection in a fork may copy our pages
    wakes, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the tests
    living: dict[int, int] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{path}.new")
        listener.listen(64)
        os.rename(f"{path}.new", path)
        while True:
            ready, _, _ = select.select([listener, wakes, alive], [], [])
            if alive in ready:
                os._exit(0)
            if wakes in ready:
                os.read(wakes, 4096)
                _reap(living)
            if listener in ready:
                _answer(listener, living)


def _answer(listener: socket.socket, living: dict[int, int]) -> None:
    asked, _ = listener.accept()
    with asked:
        message, fds, _, _ = socket.recv_fds(asked, 1 << 20, 4)
        if not message:  # the client ended before it sent a request
            return
        *streams, status = fds
        try:
            pid = _fork(message, streams)
        except subprocess.SubprocessError as error:
            os.close(status)
            answer = str(error)
        else:
            living[pid] = status
            answer = str(pid)
        for each in streams:
            os.close(each)
        with contextlib.suppress(BrokenPipeError):
            asked.send(answer.encode())


def _reap(living: dict[int, int]) -> None:
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        pipe = living.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # the client is gone
            os.write(pipe, os.waitstatus_to_exitcode(status).to_bytes(STATUS_BYTES, "big", signed=True))
        os.close(pipe)


def import_everything(*, torch: bool) -> None:
    """Import every module of ours (NEED_TORCH only with `torch`) and what they import only in functions."""
    import unetsweep

    for name in (*LATE, *(WITH_TORCH if torch else ())):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(unetsweep.__path__, "unetsweep."):
        if not module.name.endswith("__main__") and (torch or not module.name.startswith(NEED_TORCH)):
            importlib.import_module(module.name)
    assert torch or "torch" not in sys.modules
    from unetsweep import package, process
    from unetsweep.report.page import render
    from unetsweep.store import code_snapshot

    process.start = start  # processes that ours start are forked as well
    # forks run the code imported here, so git is asked about it once and not at each submit
    commit, diff = code_snapshot._commit(package.folder()), code_snapshot._diff(package.folder())
    code_snapshot._commit, code_snapshot._diff = lambda _: commit, lambda _: diff
    render.template("page.html")
    without_slow_files()
    package.sources = code_snapshot.sources


def without_slow_files() -> None:
    """Let this process write less than a user's: a few files of the package in each sweep's copy, and no flushes.

    Nothing of the copies is run (see WHOLE_COPY), and tests kill processes, which loses nothing that was written."""
    from unetsweep import package
    from unetsweep.store import code_snapshot

    every_source = package.sources
    code_snapshot.sources = lambda folder: every_source(folder) if WHOLE_COPY in os.environ else _few_sources(folder)
    os.fsync = lambda _: None


def _few_sources(folder: Path) -> dict[str, bytes]:
    """Some of the sources of a package: hundreds of files for each sweep of a test take longer than the test."""
    names = ("__init__.py", "__main__.py", "package.py", "py.typed")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


# ---- a forked process


def _fork(message: bytes | Order, streams: list[int]) -> int:
    """Fork the ordered process and return its pid. Raises SubprocessError if it cannot start, like Popen."""
    done, become = os.pipe()
    # a signal to the child must not reach our handlers before it has reset them
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if not pid:
        _child(message, streams, become)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(become)
    with os.fdopen(done) as pipe:
        error = pipe.read()  # ends when the child has started its program, or has died
    if error:
        os.waitpid(pid, 0)
        raise subprocess.SubprocessError(error)
    return pid


def _child(message: bytes | Order, streams: list[int], become: int) -> NoReturn:
    """Run the ordered process. `become`: a pipe for an error at the start, closed once the program starts."""
    status = 1
    try:
        become = _take(streams, become)
        try:
            order = message if isinstance(message, Order) else _order_of(message)
            _become(order)
        except BaseException:
            os.write(become, traceback.format_exc().encode()[-4096:])
            raise
        os.close(become)
        status = _main(order)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _order_of(message: bytes) -> Order:
    """The order in this message, read with the client's module path: its function may be of a test module."""
    path, content = pickle.loads(message)  # noqa: S301  # from our own test process
    sys.path += [each for each in path if each not in sys.path]
    order: Order = pickle.loads(content)  # noqa: S301
    return order


def _take(streams: list[int], become: int) -> int:
    """Make these descriptors 0, 1 and 2, close all others except `become`, and return the new number of that."""
    duplicates = [os.dup(each) for each in streams]  # one of them may be 0, 1 or 2
    for number, each in enumerate(duplicates):
        os.dup2(each, number)
    become = os.dup2(become, 3, inheritable=False)
    os.closerange(4, max(1024, *duplicates) + 1)
    return become


def _become(order: Order) -> None:
    """Set signals, directory, environment and command line as exec() would."""
    global _FORKED
    _FORKED = True
    atexit._clear()  # the registered functions are those of the server
    if order.new_session:
        os.setsid()
    elif order.group is not None:
        os.setpgid(0, order.group)
    _reset_signals()
    os.chdir(order.cwd)
    if order.umask >= 0:
        os.umask(order.umask)
    if order.before is not None:
        order.before()
    _python_signals()
    os.environ.clear()
    os.environ.update(order.env)
    sys.path[:0] = [part for part in order.env.get("PYTHONPATH", "").split(os.pathsep) if part and part not in sys.path]
    _open_streams()
    _set_title(order.command)
    sys.argv = [order.program, *order.arguments]
    sys.orig_argv = list(order.command)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _python_signals() -> None:
    """Set the signal handlers that Python sets when it starts."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _open_streams() -> None:
    _kept.extend((sys.stdin, sys.stdout, sys.stderr))
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)  # type: ignore[misc]
    out, err = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    out.reconfigure(write_through=unbuffered)
    err.reconfigure(line_buffering=True)
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = err  # type: ignore[misc]


def _set_title(command: Sequence[str]) -> None:
    """Write the command line to where /proc reads it, because our code finds processes by it."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    line = b"".join(word.encode() + b"\0" for word in command)
    assert len(line) <= end - begin, f"{len(line)} bytes on the command line, at most {end - begin}"
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, line, len(line))


def _main(order: Order) -> int:
    """Run the program as `python -m` does; its exit status."""
    import numpy as np

    np.random.seed()  # a new process has its own random state
    status = 0
    try:
        if "-m" in order.command:
            runpy.run_module(order.program, run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(order.program).resolve().parent))
            runpy.run_path(order.program, run_name="__main__")
    except SystemExit as end:
        status = _status_of(end.code)
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return status


def _status_of(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
