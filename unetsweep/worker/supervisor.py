"""Supervises a local run: starts the ranks, waits for them, and starts the exit hook."""

import contextlib
import fcntl
import itertools
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
from unetsweep.atomic import open_to_append
from unetsweep.bounded_json import read_json
from unetsweep.core import paths
from unetsweep.core.spec import Resources
from unetsweep.process import Identity, die_with_parent
from unetsweep.record_files import link_record, read_record
from unetsweep.records import AttemptFile, ProcessFile
from unetsweep.schedulers.local import local_jobs
from unetsweep.schedulers.local.machine import devices
from unetsweep.schedulers.slurm.batch_script import code_lines
from unetsweep.store import code_snapshot
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.worker.claim import free_port

EXIT_S = 15.0
"""How long the other ranks may keep running after one has failed, before they are killed."""


def supervise(root: Path, token: str, index: int, job_id: str, driver: str) -> None:
    """Start the ranks of one local run, wait for them, record how they ended, and start the exit hook."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # meant for the ranks, which then print their stacks
    directory = SweepDir(root)
    directory.check_private()
    run, attempt = directory.attempt_of(token, index)
    me = Identity.of_this_process()
    record = ProcessFile(
        index, job_id, socket.gethostname(), me.boot, me.pid, me.start_ticks, process.suspended_seconds()
    )
    if not link_record(local_jobs.process_path(root, token, index), record):
        return
    size, gpus = _size(root, run)
    resources = SweepDir(root).spec().slurm
    base = ["rank", str(root), token, str(index), job_id, "0"]
    with contextlib.ExitStack() as locks:
        env = {**os.environ, **_lock_gpus(gpus, locks)}  # SIGTERM still ends this process while it waits for GPUs
        terminated: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: terminated.append(1))  # ranks that already run receive it as well
        code = code_snapshot.running_snapshot(root)
        ranks = [_start_rank([*base, str(rank), str(size)], resources, env, code) for rank in range(size)]
        if terminated:  # some ranks may have started after the signal and missed it
            for rank in ranks:
                rank.terminate()
        status = wait_all(ranks)
    if directory.is_owner(token, index):  # before `ended_path`, so that no reconciliation sees an end without a status
        directory.record_exit(run, attempt, 0, status, local_jobs.log_path(root, token, index))
    local_jobs.ended_path(root, token, index).touch()
    command = process.program("unetsweep", "exit-hook", str(root), token)
    command += ["--index", str(index), "--status", str(status)] + ([] if driver == "jobs" else ["--no-reconcile"])
    process.start(command, stdin=subprocess.DEVNULL, start_new_session=True, cwd=root)


def _size(root: Path, run: int) -> tuple[int, int]:
    """The numbers of ranks and GPUs of a run. A trainer command runs as one rank."""
    first = read_record(AttemptFile, root / paths.attempt(run, 1))
    path = SweepDir(root).config_path(first.trials[0].trial)
    config = contract.config_from(read_json(path), str(path))
    size = 1 if config.trainer.command else config.processes
    return size, config.processes if config.accelerator == "gpu" else 0


def _start_rank(
    arguments: list[str], resources: Resources, env: dict[str, str], code: Path | None
) -> "subprocess.Popen[bytes]":
    """Start one rank in the environment that the sweep configures; the exit hook keeps ours."""
    command = process.program("unetsweep.worker", *arguments, python=resources.python)
    if resources.setup:
        command = ["bash", "-c", "\n".join([*resources.setup, *code_lines(code), 'exec "$@"']), "bash", *command]
    return process.start(command, stdin=subprocess.DEVNULL, env=env, preexec_fn=die_with_parent())


def wait_all(ranks: "Sequence[subprocess.Popen[bytes]]") -> int:
    """Return the first exit status of a rank that is not 0, else 0, when all ranks have ended.

    If one fails, the others are killed `EXIT_S` seconds later.
    """
    status, until = 0, float("inf")
    while any(rank.poll() is None for rank in ranks):
        bad = next((rank.returncode for rank in ranks if rank.returncode), 0)
        if bad and not status:
            status, until = bad, time.monotonic() + EXIT_S
        if time.monotonic() > until:
            for rank in ranks:
                rank.kill()
        time.sleep(0.05)
    status = status or next((rank.returncode for rank in ranks if rank.returncode), 0)
    return status if status >= 0 else 128 - status  # as a shell reports it: 137 after SIGKILL, 143 after SIGTERM


def _lock_gpus(gpus: int, locks: contextlib.ExitStack) -> dict[str, str]:
    """Wait for this many free GPUs, and lock them until the supervisor ends.

    It locks all of them or none, so that two runs cannot wait for each other.
    """
    if gpus == 0:
        return {}
    while True:
        with contextlib.ExitStack() as mine:
            free = list(itertools.islice((name for name in devices() if _try_lock(name, mine)), gpus))
            if len(free) == gpus:
                locks.push(mine.pop_all())
                return {"CUDA_VISIBLE_DEVICES": ",".join(free)}
        time.sleep(random.uniform(1, 2))  # noqa: S311


def _try_lock(device: str, locks: contextlib.ExitStack) -> bool:
    path = Path(tempfile.gettempdir(), f"unetsweep-{os.getuid()}-gpu-{device}")
    lock = locks.enter_context(open_to_append(path))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def train_ranks_by_hand(path: Path, out: Path, size: int) -> int:
    """Run all ranks of a training outside any sweep. Returns the first failed status, else 0."""
    port = str(free_port(str(os.getpid())))
    command = process.program("unetsweep.worker", "hand", str(path), str(out))
    commands = [[*command, str(rank), str(size), port] for rank in range(size)]
    return wait_all([process.start(each, preexec_fn=die_with_parent()) for each in commands])
