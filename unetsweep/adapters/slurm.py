"""SLURM's commands: each answers in time, or raises SchedulerError.

Rule 1: an error is never an empty answer.
Rule 2: no variable of an enclosing job or of the user's shell steers a command, SLURM_CONF excepted.
"""

import getpass
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from unetsweep.adapters import slurm_text
from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.errors import SchedulerError, UsageError

_log = logging.getLogger(__name__)

Payload = Callable[[], object]
"""What each element runs; it must be importable by the job's python."""

_STEERING = re.compile(r"(SLURM|SLURMD|SBATCH|SRUN|SALLOC|SQUEUE|SCANCEL|SINFO|SACCT|SCONTROL|SUBMITIT|PMI|PMIX)_")
_DEVICES = {"CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}
_ANSWERS = {
    "SLURM_BITSTR_LEN": "0",  # long ranges of elements are not cut
    "SLURM_TIME_FORMAT": "%s",  # seconds since 1970, not the cluster's local time
    "LC_ALL": "C",
}
_DUMP_S = 2.0
"""What a process gets to write its stacks."""
_DUMP_ASK_S = 10.0
"""How long scancel may take to pass the signal on: it tries for a minute where a job cannot take it."""
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
        said = slurm_text.words(done.stderr.decode(errors="replace")) or f"exit status {done.returncode}"
        raise SchedulerError(f"{command[0]}: {said}")
    return done.stdout.decode(errors="replace")


def is_here(timeout: float = 20.0) -> bool:
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
        ask(slurm_text.SINFO, timeout)
    except SchedulerError as error:
        if slurm_text.is_without_cluster(str(error)) and "SLURM_CONF" not in os.environ:
            return False
        raise SchedulerError(
            f"{error}; SLURM is installed here, so nothing is started on this machine by itself: "
            "try again later, or say --executor local"
        ) from error
    return True


def available(timeout: float = 5.0) -> bool:
    """Whether sbatch is here and a controller answers within `timeout` seconds."""
    try:
        return is_here(timeout)
    except SchedulerError:
        return False


def cluster_here(timeout: float = 20.0) -> str | None:
    """The name of the cluster that SLURM's commands speak to; None where nobody says."""
    try:
        return slurm_text.parse_cluster(ask(slurm_text.SHOW_CONFIG, timeout))
    except SchedulerError as error:  # some sites forbid it
        _log.debug("the cluster's name is not known: %s", error)
        return None


def check_cluster(cluster: str | None) -> None:
    """UsageError where SLURM's commands speak to another cluster than a sweep's (None: not known). There the numbers of
    its jobs are other people's jobs."""
    here = None if cluster is None else cluster_here()
    if cluster is None or here is None or here.lower() == cluster.lower():
        return
    raise UsageError(
        f"the sweep's jobs are on the cluster {cluster}, and SLURM's commands here speak to {here}: use a login node "
        f"of {cluster}, or its SLURM_CONF. To continue the sweep on {here} instead: `unetsweep adopt`, which cancels "
        f"no job on {cluster}"
    )


class Slurm:
    """The cluster that the commands on PATH speak to; a `core.ports.Scheduler`."""

    kind = "slurm"
    queues = True

    def __init__(
        self, payload: Callable[[Submission], Payload], *, timeout: float = 60.0, sbatch_timeout: float = 60.0
    ) -> None:
        """`payload` makes what each element of a submission runs. Both time-outs are in seconds;
        they should be longer than the cluster's MessageTimeout."""
        self._payload = payload
        self._timeout = timeout
        self._sbatch_timeout = sbatch_timeout
        self._max_elements: int | None = None

    def max_elements(self) -> int:
        """The most elements that one array may have; asked once."""
        if self._max_elements is None:
            self._max_elements = slurm_text.parse_max_elements(ask(slurm_text.SHOW_CONFIG, self._timeout))
        return self._max_elements

    def room(self) -> int | None:
        """How many more jobs this user may have, by the limits that the accounting tells of; without
        accounting there are none, and a limit that it does not tell shows as sbatch's LimitError."""
        try:
            limit = slurm_text.parse_submit_limit(
                ask(slurm_text.ASSOCIATIONS, self._timeout), ask(slurm_text.QOS, self._timeout), getpass.getuser()
            )
        except SchedulerError as error:
            _log.debug("no submit limits: %s", error)
            return None
        if limit is None:
            return None
        return max(0, limit - len(ask(slurm_text.MINE, self._timeout).split()))

    def jobs(self, tokens: Collection[str]) -> tuple[Job, ...]:
        """One squeue call for all; ended jobs are in it for the cluster's MinJobAge (often 5 minutes)."""
        if not tokens:
            return ()
        try:
            return slurm_text.parse_jobs(ask(slurm_text.SQUEUE, self._timeout), frozenset(tokens))
        except ValueError as error:
            raise SchedulerError(f"squeue: {error}") from error

    def submit(self, submission: Submission) -> tuple[str, ...]:
        """The job id of each element, in their order; see `submitit_jobs.submit`."""
        from unetsweep.adapters import submitit_jobs  # slow to import, and most reconciliations submit nothing

        job_id = submitit_jobs.submit(submission, self._payload(submission), timeout=self._sbatch_timeout)
        if submission.elements == 1:
            return (job_id,)
        return tuple(f"{job_id}_{index}" for index in range(submission.elements))

    def cancel(self, job_ids: Collection[str]) -> None:
        """Ended and unknown ids are no error."""
        for some in _in_lots(job_ids):
            ask(("scancel", "--quiet", *some), self._timeout)

    def end(self, job_id: str) -> None:
        """SIGUSR1 reaches the steps' processes, which dump their stacks; some seconds later they are cancelled."""
        try:
            ask(("scancel", "--quiet", "--signal=USR1", job_id), min(self._timeout, _DUMP_ASK_S))
            time.sleep(_DUMP_S)
        except SchedulerError as error:  # it waits, or has just ended: there is nobody who could write stacks
            _log.debug("no stacks of %s: %s", job_id, error)
        finally:
            self.cancel([job_id])

    def submit_reconciler(self, reconciler: ReconcilerRequest) -> str:
        from unetsweep.adapters import submitit_jobs

        return submitit_jobs.submit_reconciler(reconciler, timeout=self._sbatch_timeout)

    def word_in(self, log: str) -> tuple[JobState, str] | None:
        word = slurm_text.parse_log_word(log)
        return None if word is None else (slurm_text.state_of(word), word)

    def last_words(self, jobs: Mapping[str, str]) -> dict[str, tuple[JobState, str]]:
        """The accounting's last word on jobs that have ended or that squeue has forgotten; empty without
        accounting. While squeue lists a job as alive it may not be asked: it calls a requeued one
        NODE_FAIL for some seconds."""
        found: dict[str, str] = {}
        try:
            for some in _in_lots(jobs):
                text = ask((*slurm_text.SACCT, f"--jobs={','.join(some)}"), self._timeout)
                found |= slurm_text.parse_final_words(text, {job_id: jobs[job_id] for job_id in some})
        except SchedulerError as error:
            _log.debug("no last words: %s", error)
        states = {job_id: (slurm_text.state_of(word), word) for job_id, word in found.items()}
        return {job_id: (state, word) for job_id, (state, word) in states.items() if not state.is_live}


def requeue(job_id: str, timeout: float = 30.0) -> None:
    """Have a job start again under its id (`A_T` for an element); SchedulerError where that may not be."""
    ask(("scontrol", "requeue", job_id), timeout)


def end_time(job_id: str, timeout: float) -> float | None:
    """When the job ends at the latest, in seconds since 1970; None where squeue does not say."""
    return slurm_text.parse_end_time(ask((*slurm_text.END_TIME, f"--jobs={job_id}"), timeout))


def partitions(timeout: float) -> tuple[str, ...]:
    """The partitions that there are; SchedulerError where nobody says."""
    return slurm_text.parse_partitions(ask(slurm_text.SINFO, timeout))


def _in_lots(job_ids: Collection[str]) -> list[list[str]]:
    ids = sorted(job_ids)
    return [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]
