"""Runs SLURM's commands. Each answers in time, or raises SchedulerError.

Rule 1: an error is never an empty answer.
Rule 2: a query that fails at once, or whose answer cannot be read, is repeated once.
Rule 3: no variable of an enclosing job or of the user's shell changes what a command does, except SLURM_CONF.
"""

import getpass
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from unetsweep.clock import utc_now
from unetsweep.core.observation import Job
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import answers, parse

T = TypeVar("T")

_log = logging.getLogger(__name__)

_VARIABLES = re.compile(r"(SLURM|SLURMD|SBATCH|SRUN|SALLOC|SQUEUE|SCANCEL|SINFO|SACCT|SCONTROL|SUBMITIT|PMI|PMIX)_")
_DEVICES = {"CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}
_OUTPUT_FORMAT = {
    "SLURM_BITSTR_LEN": "0",  # do not shorten long ranges of elements
    "SLURM_TIME_FORMAT": "%s",  # seconds since 1970, not the cluster's local time
    "LC_ALL": "C",
}
_COMMANDS = ("sinfo", "squeue", "scontrol", "srun")
"""Commands besides sbatch that show that a machine belongs to a cluster."""
_IDS_PER_COMMAND = 1000
"""Ids on one command line: with 16 characters each, well below the kernel's limit for its length."""
_AT_ONCE_S, _PAUSE_S = 5.0, 1.0
"""A query that fails within the first time is repeated after the second; in seconds."""
PATH_PATTERNS = "%\\"
"""Characters that SLURM reads as parts of a pattern in the path of a log, so that jobs could not write theirs."""
SIGNAL_LEAD_S = 120
"""How long before the end of a job SLURM sends it SIGUSR2, in seconds."""


def scrubbed(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `outer` that a SLURM command of ours gets, and with it the job that it submits.

    The SLURM_* variables of an enclosing job would become options of the new job (observed: its memory and its number
    of tasks), and a job without GPUs would use the GPUs of the enclosing job.
    """
    inside = "SLURM_JOB_ID" in outer
    return {
        name: value
        for name, value in outer.items()
        if name == "SLURM_CONF" or not (_VARIABLES.match(name) or (inside and name in _DEVICES))
    }


def ask(command: Sequence[str], timeout: float) -> str:
    """Run a command and return its output; SchedulerError if it fails, or gives no answer within `timeout` seconds."""
    environment = scrubbed(os.environ) | _OUTPUT_FORMAT
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise SchedulerError(f"{command[0]} is not on PATH: use --executor local, or load SLURM first") from None
    except OSError as error:
        raise SchedulerError(f"{command[0]} cannot be run: {error}") from error
    except subprocess.TimeoutExpired:
        raise SchedulerError(f"{command[0]} gave no answer within {timeout:g} s; try again later") from None
    if done.returncode != 0:
        message = answers.join_messages(answers.readable(done.stderr)) or f"exit status {done.returncode}"
        raise SchedulerError(f"{command[0]}: {message}")
    return answers.readable(done.stdout)


def query(command: Sequence[str], timeout: float, read: Callable[[str], T]) -> T:
    """Return what `read` makes of a command's output. SchedulerError if the command or `read` (ValueError) fails twice,
    or if there is no answer within `timeout` seconds."""
    began = time.monotonic()
    try:
        return _read(command, timeout, read)
    except SchedulerError as error:
        has_no_command = shutil.which(command[0]) is None
        is_slow = time.monotonic() - began > min(_AT_ONCE_S, timeout / 2)
        if has_no_command or is_slow or parse.is_without_cluster(str(error)):
            raise
    time.sleep(_PAUSE_S)
    return _read(command, timeout, read)


def _read(command: Sequence[str], timeout: float, read: Callable[[str], T]) -> T:
    text = ask(command, timeout)
    try:
        return read(text)
    except ValueError as error:
        raise SchedulerError(f"{command[0]}: {error}") from None


def list_jobs(tokens: Collection[str], timeout: float) -> tuple[Job, ...]:
    """Return the jobs of these tokens, oldest first; SchedulerError if squeue gives no answer."""
    now = utc_now()
    return query(parse.SQUEUE, timeout, lambda text: parse.parse_jobs(text, tokens, now))


def has_slurm(timeout: float = 20.0) -> bool:
    """Whether this machine has SLURM, that is its commands and a configured cluster.

    Raises SchedulerError if that is not known, because only a part of SLURM is installed, or because sinfo failed or
    gave no answer within `timeout` seconds. Otherwise trainings for a cluster would start on its login node.
    """
    if shutil.which("sbatch") is None:
        signs = [f"{name} is there" for name in _COMMANDS if shutil.which(name)]
        signs += ["SLURM_CONF is set"] if "SLURM_CONF" in os.environ else []
        if not signs:
            return False
        raise SchedulerError(
            f"sbatch is not on PATH, but {signs[0]}, so no training is started on this machine automatically: "
            "load SLURM's module, or use --executor local"
        )
    try:
        query(parse.SINFO, timeout, str)
    except SchedulerError as error:
        if parse.is_without_cluster(str(error)) and "SLURM_CONF" not in os.environ:
            return False
        raise SchedulerError(
            f"{error}; SLURM is installed here, so no training is started on this machine automatically: "
            "try again later, or use --executor local"
        ) from error
    return True


def is_reachable(timeout: float = 5.0) -> bool:
    """Whether this machine has sbatch, and a controller answers within `timeout` seconds."""
    try:
        return has_slurm(timeout)
    except SchedulerError:
        return False


def current_cluster(timeout: float = 20.0) -> str | None:
    """Return the name of the cluster to which SLURM's commands submit; None if it is not known."""
    try:
        return parse.parse_cluster(ask(parse.SHOW_CONFIG, timeout))
    except SchedulerError as error:  # some sites forbid the query
        _log.debug("the cluster's name is not known: %s", error)
        return None


def own_job() -> str | None:
    """Return the id of the job that this process runs in (`A_T` for an element of an array); None: in none."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}" if array else os.environ.get("SLURM_JOB_ID")


def requeue(job_id: str, timeout: float = 30.0) -> None:
    """Requeue a job, so that it starts again under its id (`A_T` for an element); SchedulerError if that is refused."""
    ask(("scontrol", "requeue", job_id), timeout)


def end_time(job_id: str, timeout: float) -> float | None:
    """Return the latest end of the job in seconds since 1970; None if squeue does not know it."""
    return query((*parse.END_TIME, f"--jobs={job_id}"), timeout, parse.parse_end_time)


def partitions(timeout: float) -> tuple[str, ...]:
    """List the cluster's partitions; SchedulerError if sinfo fails."""
    return query(parse.SINFO, timeout, parse.parse_partitions)


def max_elements(timeout: float) -> int:
    """Return the maximal size of an array; SchedulerError if scontrol does not tell it, which some sites forbid."""
    return query(parse.SHOW_CONFIG, timeout, parse.parse_max_elements)


def unknown_limits(timeout: float = 20.0) -> tuple[str, ...]:
    """Return what a user should know if the cluster does not tell its limits; empty if it does."""
    try:
        max_elements(timeout)
    except SchedulerError as error:
        return (
            f"{error}. So SLURM's default limit is assumed: at most {parse.DEFAULT_MAX_ELEMENTS} jobs in an array. "
            "If sbatch refuses an array, smaller ones are submitted",
        )
    return ()


def account_names(timeout: float) -> tuple[str, ...]:
    """List the accounts of this user on this cluster; empty if accounting does not tell them."""
    user, cluster = getpass.getuser(), current_cluster(timeout)
    try:
        return query(parse.ACCOUNTS, timeout, lambda text: parse.parse_account_names(text, user, cluster))
    except SchedulerError as error:
        _log.debug("no accounts: %s", error)
        return ()


def batches(job_ids: Collection[str]) -> list[list[str]]:
    """Split ids into groups that fit on one command line."""
    ids = sorted(job_ids)
    return [ids[at : at + _IDS_PER_COMMAND] for at in range(0, len(ids), _IDS_PER_COMMAND)]
