"""SLURM's commands: each answers in time, or raises SchedulerError.

Rule 1: an error is never an empty answer.
Rule 2: no variable of an enclosing job or of the user's shell steers a command, SLURM_CONF excepted.
"""

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence

from unetsweep.errors import SchedulerError, UsageError
from unetsweep.schedulers.slurm import parse

_log = logging.getLogger(__name__)

_STEERING = re.compile(r"(SLURM|SLURMD|SBATCH|SRUN|SALLOC|SQUEUE|SCANCEL|SINFO|SACCT|SCONTROL|SUBMITIT|PMI|PMIX)_")
_DEVICES = {"CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}
_ANSWERS = {
    "SLURM_BITSTR_LEN": "0",  # long ranges of elements are not cut
    "SLURM_TIME_FORMAT": "%s",  # seconds since 1970, not the cluster's local time
    "LC_ALL": "C",
}
_COMMANDS = ("sinfo", "squeue", "scontrol", "srun")
"""Beside sbatch, what tells that a machine belongs to a cluster."""
_AT_ONCE = 1000
"""Ids on one command line: 16 letters each stay far below the kernel's bound."""


SIGNAL_LEAD_S = 120
"""How long before the end of a job SLURM sends it SIGUSR2, in seconds."""


def scrubbed(outer: Mapping[str, str]) -> dict[str, str]:
    """The variables that a SLURM command of ours, and so a job of ours, gets of these.

    An enclosing job's SLURM_* would become options of the new job (seen: its memory and its number
    of tasks), and a job without GPUs would believe in the enclosing job's.
    """
    inside = "SLURM_JOB_ID" in outer
    return {
        name: value
        for name, value in outer.items()
        if name == "SLURM_CONF" or not (_STEERING.match(name) or (inside and name in _DEVICES))
    }


def ask(command: Sequence[str], timeout: float) -> str:
    """What the command prints; SchedulerError with its words where it fails, or is silent for `timeout` seconds."""
    environment = scrubbed(os.environ) | _ANSWERS
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
        said = parse.words(done.stderr.decode(errors="replace")) or f"exit status {done.returncode}"
        raise SchedulerError(f"{command[0]}: {said}")
    return done.stdout.decode(errors="replace")


def has_slurm(timeout: float = 20.0) -> bool:
    """Whether this machine has SLURM: its commands, and a cluster that they speak to.

    SchedulerError: nobody knows, because only a part of SLURM is found here, or because sinfo failed or gave no answer
    within `timeout` seconds. That is no "no": trainings that were meant for a cluster would begin on its login node.
    """
    if shutil.which("sbatch") is None:
        signs = [f"{name} is there" for name in _COMMANDS if shutil.which(name)]
        signs += ["SLURM_CONF is set"] if "SLURM_CONF" in os.environ else []
        if not signs:
            return False
        raise SchedulerError(
            f"sbatch is not on PATH, but {signs[0]}, so nothing is started on this machine by itself: "
            "load SLURM's module, or say --executor local"
        )
    try:
        ask(parse.SINFO, timeout)
    except SchedulerError as error:
        if parse.is_without_cluster(str(error)) and "SLURM_CONF" not in os.environ:
            return False
        raise SchedulerError(
            f"{error}; SLURM is installed here, so nothing is started on this machine by itself: "
            "try again later, or say --executor local"
        ) from error
    return True


def is_reachable(timeout: float = 5.0) -> bool:
    """Whether sbatch is here and a controller answers within `timeout` seconds."""
    try:
        return has_slurm(timeout)
    except SchedulerError:
        return False


def current_cluster(timeout: float = 20.0) -> str | None:
    """The name of the cluster that SLURM's commands speak to; None where nobody says."""
    try:
        return parse.parse_cluster(ask(parse.SHOW_CONFIG, timeout))
    except SchedulerError as error:  # some sites forbid it
        _log.debug("the cluster's name is not known: %s", error)
        return None


def check_cluster(cluster: str | None) -> None:
    """UsageError where SLURM's commands speak to another cluster than a sweep's (None: not known). There the numbers of
    its jobs are other people's jobs."""
    here = None if cluster is None else current_cluster()
    if cluster is None or here is None or here.lower() == cluster.lower():
        return
    raise UsageError(
        f"the sweep's jobs are on the cluster {cluster}, and SLURM's commands here speak to {here}: use a login node "
        f"of {cluster}, or its SLURM_CONF. To continue the sweep on {here} instead: `unetsweep adopt`, which cancels "
        f"no job on {cluster}"
    )


def requeue(job_id: str, timeout: float = 30.0) -> None:
    """Have a job start again under its id (`A_T` for an element); SchedulerError where that may not be."""
    ask(("scontrol", "requeue", job_id), timeout)


def end_time(job_id: str, timeout: float) -> float | None:
    """When the job ends at the latest, in seconds since 1970; None where squeue does not say."""
    return parse.parse_end_time(ask((*parse.END_TIME, f"--jobs={job_id}"), timeout))


def partitions(timeout: float) -> tuple[str, ...]:
    """The partitions that there are; SchedulerError where nobody says."""
    return parse.parse_partitions(ask(parse.SINFO, timeout))


def batches(job_ids: Collection[str]) -> list[list[str]]:
    ids = sorted(job_ids)
    return [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]
