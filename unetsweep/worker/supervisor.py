"""Local runs: a supervisor starts the ranks, waits for them, and makes the exit hook."""

import contextlib
import fcntl
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from unetsweep import contract, process
from unetsweep.config.load import load
from unetsweep.core import paths
from unetsweep.core.spec import Resources
from unetsweep.process import Identity, tied_to_us
from unetsweep.records import AttemptFile, ProcessFile, link_record, read_record
from unetsweep.schedulers.local import local_jobs
from unetsweep.schedulers.slurm.batch_script import code_lines
from unetsweep.store import code_snapshot
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.worker.claim import free_port

STOP_S = 15.0
"""How long the other ranks may go on when one has died, before they are killed."""


def supervise(root: Path, token: str, index: int, job_id: str, driver: str) -> None:
    """Start the ranks of one local run, wait for them, write down how they ended, make the exit hook."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it has the ranks tell where they hang; they take it up themselves
    directory = SweepDir(root)
    directory.check_private()
    me = Identity.of_this_process()
    record = ProcessFile(index, job_id, socket.gethostname(), me.boot, me.pid, me.start)
    if not link_record(local_jobs.process_path(root, token, index), record):
        return
    run, attempt = directory.intent(token).elements[index]
    size, gpus = _size(root, run)
    resources = load(root / paths.SPEC).slurm
    base = ["rank", str(root), token, str(index), job_id]
    with contextlib.ExitStack() as held:
        env = {**os.environ, **_devices(gpus, held)}  # a cancellation ends us while we wait for them
        asked: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))  # the ranks that there are got it too
        code = code_snapshot.running(root)
        ranks = [_start_rank([*base, str(rank), str(size)], resources, env, code) for rank in range(size)]
        if asked:  # before some of them were there
            for rank in ranks:
                rank.terminate()
        status = wait_all(ranks)
    if directory.is_owner(token, index):  # before the end is in sight: a reconciliation may look in between
        directory.record_exit(run, attempt, 0, status, local_jobs.log_path(root, token, index))
    local_jobs.ended_path(root, token, index).touch()
    command = process.program("unetsweep", "exit-hook", str(root), token)
    command += ["--index", str(index), "--status", str(status)] + ([] if driver == "jobs" else ["--no-reconcile"])
    process.start(command, stdin=subprocess.DEVNULL, start_new_session=True, cwd=root)


def _size(root: Path, run: int) -> tuple[int, int]:
    """Processes and GPUs of a run."""
    first = read_record(AttemptFile, root / paths.attempt(run, 1))
    path = SweepDir(root).config_path(first.milestones[0].trial)
    config = contract.config_from(json.loads(path.read_bytes()), str(path))
    size = 1 if config.trainer.command else config.processes
    return size, config.processes if config.accelerator == "gpu" else 0


def _start_rank(
    words: list[str], resources: Resources, env: dict[str, str], code: Path | None
) -> "subprocess.Popen[bytes]":
    """One rank, in the environment that the sweep asks for; ours stays as it is, for the exit hook."""
    command = process.program("unetsweep.worker", *words, python=resources.python)
    if resources.setup:
        command = ["bash", "-c", "\n".join([*resources.setup, *code_lines(code), 'exec "$@"']), "bash", *command]
    return process.start(command, stdin=subprocess.DEVNULL, env=env, preexec_fn=tied_to_us())


def wait_all(ranks: "Sequence[subprocess.Popen[bytes]]") -> int:
    """Wait for all; when one dies the others get `STOP_S` to notice. The first bad status, else 0."""
    status, until = 0, float("inf")
    while any(rank.poll() is None for rank in ranks):
        bad = next((rank.returncode for rank in ranks if rank.returncode), 0)
        if bad and not status:
            status, until = bad, time.monotonic() + STOP_S
        if time.monotonic() > until:
            for rank in ranks:
                rank.kill()
        time.sleep(0.05)
    status = status or next((rank.returncode for rank in ranks if rank.returncode), 0)
    return status if status >= 0 else 128 - status  # as a shell says it: 137 after SIGKILL, 143 after SIGTERM


def _devices(gpus: int, held: contextlib.ExitStack) -> dict[str, str]:
    """The GPUs of a local run: each is held by a lock that ends with the supervisor. All or none, so
    that two runs do not wait for each other's."""
    if gpus == 0:
        return {}
    while True:
        with contextlib.ExitStack() as mine:
            free = list(itertools.islice((name for name in local_jobs.devices() if _locked(name, mine)), gpus))
            if len(free) == gpus:
                held.push(mine.pop_all())
                return {"CUDA_VISIBLE_DEVICES": ",".join(free)}
        time.sleep(random.uniform(1, 2))  # noqa: S311


def _locked(device: str, mine: contextlib.ExitStack) -> bool:
    place = Path(tempfile.gettempdir(), f"unetsweep-{os.getuid()}-gpu-{device}")
    lock = mine.enter_context(place.open("a"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def train_ranks_by_hand(path: Path, out: Path, size: int) -> int:
    """All processes of such a training; the status of the first that went wrong, else 0."""
    port = str(free_port())
    command = process.program("unetsweep.worker", "hand", str(path), str(out))
    words = [[*command, str(rank), str(size), port] for rank in range(size)]
    return wait_all([process.start(each, preexec_fn=tied_to_us()) for each in words])
