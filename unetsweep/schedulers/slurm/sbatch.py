"""Runs sbatch once, and interprets its answer.

Rule 1: an id in the answer is a job, whatever the exit status: a site's wrapper may fail after sbatch has succeeded.
Rule 2: only a refusal by SLURM itself means that there is no job; a time-out does not.
"""

import contextlib
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.schedulers.slurm import commands, parse
from unetsweep.store.permissions import original_umask


def sbatch(path: Path, timeout: float) -> str:
    """Submit the script at `path` and return the job's id.

    Raises RefusedError if SLURM refused the job, LimitError if it refused it for now, and SchedulerError if it is not
    known whether the job exists, for example after `timeout` seconds without an answer.
    """
    command = ["sbatch", "--parsable", str(path)]
    environment = commands.scrubbed(os.environ)  # the job inherits it
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            umask=original_umask(),  # the job inherits it as well
        )
    except subprocess.TimeoutExpired as error:
        message = parse.join_messages((error.stderr or b"").decode(errors="replace"))
        raise _unknown(f"no answer within {timeout:g} s" + (f": {message}" if message else "")) from None
    except OSError as error:
        raise RefusedError(f"sbatch cannot be run: {error}{_advice('', os.environ)}") from error
    output = done.stdout.decode(errors="replace")
    job_id = parse.parse_job_id(output)
    if job_id is not None:
        return job_id
    if done.returncode != 0:
        raise _failure(done.returncode, done.stderr.decode(errors="replace"))
    raise _unknown(f"it printed no job id but {' '.join(output.split())[:200]!r}")


def _unknown(message: str) -> SchedulerError:
    return SchedulerError(f"sbatch: {message}; the job may exist nevertheless; the next reconciliation checks that")


def _failure(status: int, stderr: str) -> SchedulerError:
    message = parse.join_messages(stderr) or f"exit status {status}"
    match parse.classify(status, stderr):
        case parse.Refusal.UNKNOWN:
            return _unknown(message)
        case parse.Refusal.LIMIT:
            return LimitError(f"sbatch: {message}")
        case parse.Refusal.REFUSED:
            return RefusedError(f"sbatch: {message}{_advice(message, os.environ)}")


def _advice(message: str, environment: Mapping[str, str]) -> str:
    """Return what helps to correct the request: the cluster's partitions, and variables that were ignored."""
    advice = ""
    if "partition" in message.lower():
        with contextlib.suppress(SchedulerError):  # the refusal matters more
            advice += f" (partitions: {', '.join(commands.partitions(10.0))})"
    if "SLURM_JOB_ID" in environment:
        advice += (
            f" (on the compute node {socket.gethostname()}: if nodes may not call sbatch, set `run: {{driver: cli}}` "
            "and keep `unetsweep submit … --watch` running)"
        )
    ignored = sorted(name for name in environment if name.startswith("SBATCH_"))
    if ignored:
        advice += f"; {', '.join(ignored)} of your shell are ignored: write them into the profile"
    return advice
