"""A process that has imported what a training needs, and forks the ranks of a job: `unetsweep.worker warm`.

Rule 1: it only imports. It starts no thread, computes nothing and uses no GPU, so a fork is like a new process.
Rule 2: it ends with its job, and every rank ends with it.
"""

import contextlib
import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from unetsweep.process import die_with_parent
from unetsweep.worker.rank_command import prepare_rank

MODULES = ("unetsweep.training.ranks", "unetsweep.training.run", "unetsweep.worker.rank", "albumentations")
"""What a rank of the built-in training imports, which is nearly all of its time before the first step."""
MAX_MESSAGE = 1 << 17
"""Most bytes of a request: the command of a rank, and the variables that differ from those of the server."""
POLL_S = 0.05
"""Time between two checks whether a rank has ended."""


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
        asked.settimeout(POLL_S)
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
        prepare_rank(request["cpus"])
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
