"""Tells a trainer command that the end of its job was announced, by a file in the run's folder.

SLURM announces the time limit and a preemption by SIGUSR2. A program should need no signal handler, and one that it has
not written may end it. So the worker receives the signal, and writes what it means: the program may read it.

Rule 1: no error here ends the training; the program then knows the end that it was started with.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from unetsweep.atomic import write_json
from unetsweep.worker.deadline import Deadline

POLL_S = 1.0
"""How often the thread looks for a signal."""


def deadline_file(folder: Path, claim: str) -> Path:
    """The file that says when the job ends, and whether to stop now."""
    return folder / f"deadline-{claim}.json"


@contextlib.contextmanager
def announcing(job_end: Deadline, folder: Path, claim: str) -> Iterator[None]:
    """Write the file whenever a signal announces the end of the job, inside the `with` block."""
    over = threading.Event()
    thread = threading.Thread(target=_announce, args=(job_end, deadline_file(folder, claim), over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(POLL_S)


def _announce(job_end: Deadline, path: Path, over: threading.Event) -> None:
    while not over.wait(POLL_S):
        if not job_end.is_announced:
            continue
        try:
            reason = job_end(0.0)
            write_json(path, {"end": job_end.end, "reason": reason})
            print(f"the end of the job is announced: {reason or 'the time limit'}", flush=True)  # noqa: T201
        except Exception as error:
            print(f"the end of the job is announced, but not to the program: {error}", flush=True)  # noqa: T201
