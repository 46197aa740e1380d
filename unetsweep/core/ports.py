"""What the reconciliation needs of the world; `store`, `schedulers` and `search` do it, tests fake it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from unetsweep.core.observation import Job, JobState
from unetsweep.core.spec import Resources

Payload = Callable[[], object]
"""What each element of a submission runs; the job's Python must be able to import it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One request to the scheduler: `elements` equal payloads under one token."""

    token: str
    sweep: str
    sweep_dir: Path
    """Absolute; the payload finds its run by (token, index) in there."""
    elements: int
    resources: Resources
    throttle: int | None = None
    """Most elements that may run at once; None: no bound."""
    pack: int = 1
    """So many elements run side by side in one job …"""
    jobs: int = 1
    """… of so many."""
    jobs_reconcile: bool = True
    """Whether the end of each element reconciles next, and so do all of them while they train."""
    reconcile_interval_s: int = 60
    """… when the last one is older than this."""
    exit_timeout_s: int = 300
    """So long after its last result an element may live on; then its job ends itself."""
    exclude: tuple[str, ...] = ()
    """Nodes that it keeps away from."""
    code: Path | None = None
    """Folder that comes first on its PYTHONPATH, the package as it was pinned; None: it runs the installed one."""


RECONCILER_MIN = 60
"""A reconciler job makes one reconciliation, but waits for a controller that is away."""


@dataclass(frozen=True, slots=True)
class ReconcilerRequest:
    """One request for a reconciler job."""

    token: str
    sweep: str
    sweep_dir: Path
    resources: Resources
    after: tuple[str, ...]
    """It begins when these jobs have ended, "afterany" …"""
    delay_s: int
    """… and so many seconds from now have passed."""
    code: Path | None = None
    """As of a submission."""
    limit_min: int = RECONCILER_MIN
    """Its time limit."""


class Scheduler(Protocol):
    """A queue of jobs. Each call answers, or raises SchedulerError."""

    @property
    def kind(self) -> str:
        """`slurm` or `local`."""
        ...

    @property
    def queues(self) -> bool:
        """Whether more may be submitted than can run: it queues, and throttles arrays."""
        ...

    def max_elements(self) -> int:
        """The most elements that one submission may have."""
        ...

    def remaining_submissions(self) -> int | None:
        """How many more jobs it takes from this user now; None: no limit that it tells of."""
        ...

    def jobs(self, tokens: Collection[str]) -> Sequence[Job]:
        """What it lists of these tokens, ended jobs included while it remembers them; one query."""
        ...

    def final_states(self, jobs: Mapping[str, str]) -> Mapping[str, tuple[JobState, str]]:
        """How these jobs (id -> token) ended, where it keeps accounts: state and its own word. Those
        that it does not know under that token, or that its accounts call alive, are left out."""
        ...

    def state_in_log(self, log: str) -> tuple[JobState, str] | None:
        """What it wrote into a job's log about its end; None: nothing."""
        ...

    def submit(self, submission: Submission) -> Sequence[str]:
        """The job id of each element. RefusedError: nothing was submitted, in the scheduler's words.
        SchedulerError: unknown, so look the token up."""
        ...

    def cancel(self, job_ids: Collection[str]) -> None: ...

    def end(self, job_id: str) -> None:
        """Have the stacks of its processes dumped into its log, then cancel it."""
        ...

    def submit_reconciler(self, reconciler: ReconcilerRequest) -> str:
        """Its job id; errors as for `submit`. Only where it queues."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """UTC, with its zone."""
        ...
