"""SLURM as a scheduler: what the reconciliation asks of a cluster.

Rule 1: an error is never an empty answer.
"""

import getpass
import logging
import time
from collections.abc import Callable, Collection, Mapping

from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import Payload, ReconcilerRequest, Submission
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands, parse

_log = logging.getLogger(__name__)
_DUMP_S = 2.0
"""What a process gets to write its stacks."""
_DUMP_ASK_S = 10.0
"""How long scancel may take to pass the signal on: it tries for a minute where a job cannot take it."""


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
            self._max_elements = parse.parse_max_elements(commands.ask(parse.SHOW_CONFIG, self._timeout))
        return self._max_elements

    def remaining_submissions(self) -> int | None:
        """How many more jobs this user may have, by the limits that the accounting tells of; without
        accounting there are none, and a limit that it does not tell shows as sbatch's LimitError."""
        try:
            limit = parse.parse_submit_limit(
                commands.ask(parse.ASSOCIATIONS, self._timeout),
                commands.ask(parse.QOS, self._timeout),
                getpass.getuser(),
            )
        except SchedulerError as error:
            _log.debug("no submit limits: %s", error)
            return None
        if limit is None:
            return None
        return max(0, limit - len(commands.ask(parse.MINE, self._timeout).split()))

    def jobs(self, tokens: Collection[str]) -> tuple[Job, ...]:
        """One squeue call for all; ended jobs are in it for the cluster's MinJobAge (often 5 minutes)."""
        if not tokens:
            return ()
        try:
            return parse.parse_jobs(commands.ask(parse.SQUEUE, self._timeout), frozenset(tokens))
        except ValueError as error:
            raise SchedulerError(f"squeue: {error}") from error

    def submit(self, submission: Submission) -> tuple[str, ...]:
        """The job id of each element, in their order; see `submitit_jobs.submit`."""
        from unetsweep.schedulers.slurm import submitit_jobs  # slow to import, and most reconciliations submit nothing

        job_id = submitit_jobs.submit(submission, self._payload(submission), timeout=self._sbatch_timeout)
        if submission.elements == 1:
            return (job_id,)
        return tuple(f"{job_id}_{index}" for index in range(submission.elements))

    def cancel(self, job_ids: Collection[str]) -> None:
        """Ended and unknown ids are no error."""
        for some in commands.batches(job_ids):
            commands.ask(("scancel", "--quiet", *some), self._timeout)

    def end(self, job_id: str) -> None:
        """SIGUSR1 reaches the steps' processes, which dump their stacks; some seconds later they are cancelled."""
        try:
            commands.ask(("scancel", "--quiet", "--signal=USR1", job_id), min(self._timeout, _DUMP_ASK_S))
            time.sleep(_DUMP_S)
        except SchedulerError as error:  # it waits, or has just ended: there is nobody who could write stacks
            _log.debug("no stacks of %s: %s", job_id, error)
        finally:
            self.cancel([job_id])

    def submit_reconciler(self, reconciler: ReconcilerRequest) -> str:
        from unetsweep.schedulers.slurm import submitit_jobs

        return submitit_jobs.submit_reconciler(reconciler, timeout=self._sbatch_timeout)

    def state_in_log(self, log: str) -> tuple[JobState, str] | None:
        word = parse.parse_log_word(log)
        return None if word is None else (parse.state_of(word), word)

    def final_states(self, jobs: Mapping[str, str]) -> dict[str, tuple[JobState, str]]:
        """The accounting's last word on jobs that have ended or that squeue has forgotten; empty without
        accounting. While squeue lists a job as alive it may not be asked: it calls a requeued one
        NODE_FAIL for some seconds."""
        found: dict[str, str] = {}
        try:
            for some in commands.batches(jobs):
                text = commands.ask((*parse.SACCT, f"--jobs={','.join(some)}"), self._timeout)
                found |= parse.parse_final_words(text, {job_id: jobs[job_id] for job_id in some})
        except SchedulerError as error:
            _log.debug("no last words: %s", error)
        states = {job_id: (parse.state_of(word), word) for job_id, word in found.items()}
        return {job_id: (state, word) for job_id, (state, word) in states.items() if not state.is_live}
