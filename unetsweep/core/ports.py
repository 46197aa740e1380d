"""The interfaces between a reconciliation and a scheduler. `schedulers` implements them, and tests fake them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from unetsweep.core.observation import Job, JobState
from unetsweep.core.spec import Resources

Payload = Callable[[], object]
"""What each element of a submission runs. The job's Python must be able to import it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request to run `elements` equal payloads under one token."""

    token: str
    sweep: str
    sweep_dir: Path
    """Absolute. The payload finds its run in there, by token and index."""
    elements: int
    resources: Resources
    throttle: int | None = None
    """How many elements may run at once; None: all of them."""
    slots: int | None = None
    """How many elements one job runs at once, and one after the other; None: each element is a job."""
    jobs: int = 1
    """Number of jobs, if they have slots."""
    resumes: bool = True
    """Whether a training that ends with its job continues where it was."""
    is_built_in: bool = False
    """Whether the built-in trainer trains, and no command of the user."""
    jobs_reconcile: bool = True
    """Whether each job reconciles when it ends, and while it trains."""
    reconcile_interval_s: int = 60
    """While it trains, a job reconciles if the last reconciliation is older than this."""
    exit_timeout_s: int = 300
    """How long an element may keep running after its last result, before its job ends itself."""
    exclude: tuple[str, ...] = ()
    """Nodes that it must not run on."""
    code: Path | None = None
    """The pinned package, which comes first on PYTHONPATH; None: the installed package."""


RECONCILER_MIN = 60
"""Longest time limit of a reconciler job, if the user sets none. One reconciliation takes minutes, but the job retries
while SLURM does not answer."""


@dataclass(frozen=True, slots=True)
class ReconcilerRequest:
    """A request for a reconciler job."""

    token: str
    sweep: str
    sweep_dir: Path
    resources: Resources
    after: tuple[str, ...]
    """Ids of the jobs that must have ended before it starts."""
    delay_s: int
    """It starts this many seconds from now at the earliest."""
    exclude: tuple[str, ...] = ()
    """Nodes that it must not run on."""
    code: Path | None = None
    """As in `Submission`."""
    limit_min: int = RECONCILER_MIN
    """Its time limit in minutes; the scheduler lowers it to what the partition allows, unless the user has set it."""
    as_training: bool = False
    """It asks for what a training asks for, instead of one CPU and the options of `slurm.reconciler`."""


class Scheduler(Protocol):
    """A queue of jobs. Every call returns an answer or raises SchedulerError."""

    @property
    def kind(self) -> str:
        """The name of its executor (`app.executors`)."""
        ...

    @property
    def queues(self) -> bool:
        """Whether it accepts more jobs than can run now, and limits how many elements of an array run at once."""
        ...

    def max_elements(self) -> int:
        """The maximal number of elements in one submission."""
        ...

    def remaining_submissions(self, resources: Resources) -> int | None:
        """How many more jobs with these resources this user may submit now; None: no known limit."""
        ...

    def jobs(self, tokens: Collection[str]) -> Sequence[Job]:
        """The jobs of these tokens, from one query. Ended jobs are included for as long as it lists them."""
        ...

    def final_states(self, jobs: Mapping[str, str]) -> Mapping[str, tuple[JobState, str]]:
        """The final states of these jobs (id -> token) in accounting, as a JobState and as the scheduler writes it.

        Jobs that accounting lists under another token, or as alive, are left out.
        """
        ...

    def state_in_log(self, log: str) -> tuple[JobState, str] | None:
        """The final state that the scheduler wrote into a job's log; None: it wrote nothing."""
        ...

    def submit(self, submission: Submission) -> Sequence[str]:
        """Submit jobs, and return the job id of each element. Their logs are at `paths.job_log` or `element_log`.

        Raises RefusedError if nothing was submitted, and SchedulerError if that is not known: a later query for the
        token shows it.
        """
        ...

    def cancel(self, job_ids: Collection[str]) -> None:
        """Cancel jobs. Ended and unknown ids are ignored."""
        ...

    def end(self, job_id: str) -> None:
        """Let the job's processes dump their stacks into its log, then cancel it."""
        ...

    def set_throttle(self, job_id: str, throttle: int | None) -> None:
        """Change how many elements of an array run at once; None: all. Only if `queues`."""
        ...

    def submit_reconciler(self, request: ReconcilerRequest) -> str:
        """Submit a reconciler job, and return its id. Errors are as for `submit`. Only if `queues`."""
        ...


class Clock(Protocol):
    """The current time."""

    def now(self) -> datetime:
        """The time in UTC, with its zone."""
        ...
