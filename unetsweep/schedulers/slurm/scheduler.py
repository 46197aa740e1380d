"""SLURM as a `core.ports.Scheduler`.

Rule 1: an error is never an empty answer.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import RECONCILER_MIN, Payload, ReconcilerRequest, Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands, limits, parse, partitions
from unetsweep.schedulers.slurm.log_state import parse_log_state

_log = logging.getLogger(__name__)
LIMITS_S = 60.0
"""How long an answer of accounting about limits is used."""
_DUMP_S = 2.0
"""How long processes have to write their stacks before they are cancelled."""
_SIGNAL_TIMEOUT_S = 10.0
"""Time limit of the scancel that sends a signal: it retries for a minute if the job cannot receive one."""


class Slurm:
    """The cluster to which the commands on PATH submit."""

    kind = "slurm"
    queues = True

    def __init__(
        self, payload: Callable[[Submission], Payload], *, timeout: float = 60.0, sbatch_timeout: float = 60.0
    ) -> None:
        """`payload` makes what each element of a submission runs.

        Both time-outs are in seconds, and should be longer than the cluster's MessageTimeout.
        """
        self._payload = payload
        self._timeout = timeout
        self._sbatch_timeout = sbatch_timeout
        self._max_elements: int | None = None
        self._limits: tuple[float, Resources, list[limits.Limit]] | None = None

    def max_elements(self) -> int:
        """Return the maximal size of an array, or SLURM's default if the cluster does not tell it: sbatch refuses a
        larger array with LimitError. The cluster is queried once."""
        if self._max_elements is None:
            try:
                self._max_elements = commands.max_elements(self._timeout)
            except SchedulerError as error:
                _log.debug("the limit of an array is not known: %s", error)
                self._max_elements = parse.DEFAULT_MAX_ELEMENTS
        return self._max_elements

    def remaining_submissions(self, resources: Resources) -> int | None:
        """Return how many more jobs of this kind the user may submit by the limits in accounting; None if it names
        none.

        sbatch reports other limits with LimitError.
        """
        try:
            found = self._submit_limits(resources)
        except SchedulerError as error:
            _log.debug("no submit limits: %s", error)
            return None
        if not found:
            return None
        return limits.remaining(found, commands.query(limits.MINE, self._timeout, limits.parse_queued))

    def _submit_limits(self, resources: Resources) -> list[limits.Limit]:
        """The limits in accounting. The answer is used for LIMITS_S, because it takes up to five queries."""
        if self._limits is not None and self._limits[1] == resources and time.monotonic() < self._limits[0] + LIMITS_S:
            return self._limits[2]
        found = limits.submit_limits(resources, lambda command: commands.ask(command, self._timeout))
        self._limits = time.monotonic(), resources, found
        return found

    def jobs(self, tokens: Collection[str]) -> tuple[Job, ...]:
        """Query all jobs with one squeue. Ended jobs are listed for the cluster's MinJobAge (often 5 minutes)."""
        return commands.list_jobs(frozenset(tokens), self._timeout) if tokens else ()

    def submit(self, submission: Submission) -> tuple[str, ...]:
        """Return the job id of each element, in order; see `submitit_jobs.submit`."""
        from unetsweep.schedulers.slurm import submitit_jobs  # imports submitit, which few reconciliations need

        job_id = submitit_jobs.submit(submission, self._payload(submission), timeout=self._sbatch_timeout)
        if submission.elements == 1:
            return (job_id,)
        return tuple(f"{job_id}_{index}" for index in range(submission.elements))

    def cancel(self, job_ids: Collection[str]) -> None:
        """Cancel jobs. Ended and unknown ids are ignored."""
        for some in commands.batches(job_ids):
            commands.ask(("scancel", "--quiet", *some), self._timeout)

    def end(self, job_id: str) -> None:
        """Send SIGUSR1 to the job's processes, which dump their stacks, and cancel the job two seconds later."""
        try:
            commands.ask(("scancel", "--quiet", "--signal=USR1", job_id), min(self._timeout, _SIGNAL_TIMEOUT_S))
            time.sleep(_DUMP_S)
        except SchedulerError as error:  # the job is pending or has just ended: no process could write stacks
            _log.debug("no stacks of %s: %s", job_id, error)
        finally:
            self.cancel([job_id])

    def set_throttle(self, job_id: str, throttle: int | None) -> None:
        """Change how many elements of an array run at once; None: all."""
        try:
            commands.ask(("scontrol", "update", f"JobId={job_id}", f"ArrayTaskThrottle={throttle or 0}"), self._timeout)
        except SchedulerError as error:
            if "No error" not in str(error):  # it fails if elements have ended, and says `No error` of the others
                raise

    def submit_reconciler(self, request: ReconcilerRequest) -> str:
        from unetsweep.schedulers.slurm import submitit_jobs  # imports submitit, as above

        return submitit_jobs.submit_reconciler(self._with_time_that_fits(request), timeout=self._sbatch_timeout)

    def _with_time_that_fits(self, request: ReconcilerRequest) -> ReconcilerRequest:
        """The request, with no more time than its partition allows.

        The user's own `slurm.reconciler.time` stays, unless the request is that of a training.
        """
        resources = request.resources
        if "time" in resources.reconciler and not request.as_training:
            return request
        partition = resources.partition if request.as_training else resources.reconciler_partition
        allowed = partitions.time_limit(partition, partitions.time_limits(self._timeout))
        asked = min(RECONCILER_MIN, resources.time_min) if request.as_training else request.limit_min
        return replace(request, limit_min=asked if allowed is None else max(1, min(asked, allowed)))

    def state_in_log(self, log: str) -> tuple[JobState, str] | None:
        raw_state = parse_log_state(log)
        return None if raw_state is None else (parse.state_of(raw_state), raw_state)

    def final_states(self, jobs: Mapping[str, str]) -> dict[str, tuple[JobState, str]]:
        """Return the states in accounting of jobs that have ended or that squeue no longer lists.

        The result is empty without accounting. Do not ask for a job that squeue lists as alive: for some seconds,
        accounting lists a requeued job as NODE_FAIL.
        """
        found: dict[str, str] = {}
        try:
            for some in commands.batches(jobs):
                text = commands.ask((*parse.SACCT, f"--jobs={','.join(some)}"), self._timeout)
                found |= parse.parse_final_states(text, {job_id: jobs[job_id] for job_id in some})
        except SchedulerError as error:
            _log.debug("no final states: %s", error)
        states = {job_id: (parse.state_of(raw_state), raw_state) for job_id, raw_state in found.items()}
        return {job_id: (state, raw_state) for job_id, (state, raw_state) in states.items() if not state.is_live}
