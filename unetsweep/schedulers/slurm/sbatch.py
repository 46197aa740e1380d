"""One call of sbatch, and what its answer means.

Rule 1: an id in the answer is a job, whatever the exit status: a site's wrapper may fail after sbatch has succeeded.
Rule 2: sbatch has a time-out of ours; only a refusal that SLURM spoke counts as "there is no job".
"""

import contextlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.schedulers.slurm import commands, parse
from unetsweep.store.permissions import original_umask


def sbatch(path: Path, timeout: float) -> str:
    """Submit the script at `path` and return the job's id.

    RefusedError: SLURM said no, there is no job; LimitError if only for now. SchedulerError: nobody knows; after
    `timeout` seconds too.
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
            umask=original_umask(),  # the job inherits that too
        )
    except subprocess.TimeoutExpired as error:
        said = parse.words((error.stderr or b"").decode(errors="replace"))
        raise _unknown(f"no answer within {timeout:g} s" + (f": {said}" if said else "")) from None
    except OSError as error:
        raise RefusedError(f"sbatch cannot be run: {error}") from error
    said = done.stdout.decode(errors="replace")
    job_id = parse.parse_job_id(said)
    if job_id is not None:
        return job_id
    if done.returncode != 0:
        raise _failure(done.returncode, done.stderr.decode(errors="replace"))
    raise _unknown(f"it printed no job id but {' '.join(said.split())[:200]!r}")


def _unknown(what: str) -> SchedulerError:
    return SchedulerError(f"sbatch: {what}; the job may exist all the same, the next reconciliation looks for it")


def _failure(status: int, stderr: str) -> SchedulerError:
    said = parse.words(stderr) or f"exit status {status}"
    match parse.classify(status, stderr):
        case parse.Refusal.UNKNOWN:
            return _unknown(said)
        case parse.Refusal.LIMIT:
            return LimitError(f"sbatch: {said}")
        case parse.Refusal.REFUSED:
            return RefusedError(f"sbatch: {said}{_advice(said, os.environ)}")


def _advice(said: str, environment: Mapping[str, str]) -> str:
    """What a user needs to know to ask better: the partitions that there are, variables that were not used."""
    advice = ""
    if "partition" in said.lower():
        with contextlib.suppress(SchedulerError):  # the refusal itself is what matters
            advice += f" (partitions: {', '.join(commands.partitions(10.0))})"
    ignored = sorted(name for name in environment if name.startswith("SBATCH_"))
    if ignored:
        advice += f"; {', '.join(ignored)} of your shell do not count here: write them into the profile"
    return advice
