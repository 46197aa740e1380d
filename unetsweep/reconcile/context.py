"""Everything that a reconciliation works on: a sweep, its directory, its scheduler, its study and the clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from unetsweep.contract import Result, TrialConfig
from unetsweep.core.actions import Element, Prune, Submit, SubmitReconciler
from unetsweep.core.capacity import Capacity
from unetsweep.core.metric import Metric
from unetsweep.core.observation import EpochReport, Observation, PruneDecision
from unetsweep.core.ports import Clock, ReconcilerRequest, Scheduler, Submission
from unetsweep.core.pruning import History, Verdict
from unetsweep.core.space import Point, Space
from unetsweep.core.spec import SweepSpec
from unetsweep.core.spending import Spending
from unetsweep.core.trials import StoredTrial

Curve = Callable[[int], Sequence[EpochReport]]
"""The finished epochs of a run, in order."""


class Study(Protocol):
    """Proposes points, decides which trainings are pruned, and exports the trials to a journal for other tools."""

    def propose(self, spec: SweepSpec, trials: Sequence[StoredTrial], count: int, curve: Curve) -> list[Point]:
        """At most `count` points that no trial has."""
        ...

    def export(self, spec: SweepSpec, trials: Sequence[StoredTrial], curve: Curve) -> None:
        """Bring the journal up to date; it is not stale any more."""
        ...

    def verdicts(
        self, spec: SweepSpec, asked: Sequence[History], others: Callable[[], Sequence[History]]
    ) -> Mapping[int, Verdict]:
        """Which trials of `asked` the pruner ends. `others` returns the histories that they are compared with; it is
        called only when there is a new report."""
        ...

    def mark_stale(self) -> None:
        """Note that trials are about to end: if this process dies, the next reconciliation exports the journal."""
        ...

    def is_stale(self) -> bool:
        """Whether the journal may lack the end of a trial."""
        ...

    def is_export_due(self) -> bool:
        """Whether the journal is stale, and an export costs little compared with its age."""
        ...


class Directory(Protocol):
    """The sweep's files."""

    def observe(self, metric: Metric | None = None) -> Observation: ...
    def trials(self) -> list[StoredTrial]: ...
    def code(self) -> str | None:
        """Hash of the copied package that new jobs run; None: they run the installed one."""
        ...

    def add_trials(
        self,
        configs: Sequence[TrialConfig],
        origin: Mapping[str, Any] | None = None,
        first: int | None = None,
        runs: Sequence[int] | None = None,
        space: Space | None = None,
        listed: Sequence[bool] = (),
    ) -> list[int]:
        """The numbers of the trials that were added. `runs`: the run of each; None: each has its own. `space`: the
        sweep's. `listed`: of each whether it is made for a listed point; empty: none is."""
        ...

    def milestone(self, run: int, epochs: int) -> Result | None: ...
    def end_trial(self, trial: int, result: Result) -> bool: ...
    def create_attempts(
        self, elements: Sequence[Element], throttle: int | None, kind: str, token: str | None = None
    ) -> tuple[str, list[Element]]: ...
    def restore_if_deleted(self, run: int) -> bool: ...
    def record_job(self, run: int, attempt: int, job_id: str) -> None: ...
    def record_jobs(self, elements: Sequence[Element], job_ids: Sequence[str]) -> None: ...
    def record_throttle(self, attempts: Sequence[tuple[int, int]], throttle: int | None) -> None: ...
    def mark_lost(
        self,
        run: int,
        attempt: int,
        reason: str,
        *,
        cause: str | None = None,
        node: str | None = None,
        epoch: int = 0,
        refused: bool = False,
        limit: bool = False,
    ) -> None: ...
    def end_attempt(self, run: int, attempt: int, cause: str, reason: str) -> None: ...
    def log_tail(self, token: str, index: int, job_id: str) -> str: ...
    def has_log(self, token: str, job_id: str) -> bool: ...
    def mark_reconciled(self) -> None: ...
    def progress(self, run: int) -> Sequence[EpochReport]: ...
    def record_prune(self, prune: Prune) -> None: ...
    def read_prune_decision(self, run: int) -> PruneDecision | None: ...
    def note(self, **content: object) -> None: ...


class ReconcilerJobFiles(Protocol):
    """The sweep's reconciler jobs."""

    def create_intent(self, number: int, *, as_training: bool = False) -> str | None: ...
    def record(self, number: int, job_id: str) -> None: ...
    def mark_lost(self, number: int, reason: str, *, refused: bool = False, limit: bool = False) -> None: ...


class CollectableRunFiles(Protocol):
    """The runs whose last checkpoints may be deleted."""

    def mark(self, run: int) -> None: ...
    def collect(self, run: int) -> bool:
        """Delete the checkpoints and return whether there were any. They stay while a trial of the run is open, or if
        one failed or was cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a reconciliation waits, and for what."""

    unlisted_grace: timedelta = timedelta(seconds=90)
    """For the queue to list a new submission: an sbatch without an answer is stopped after 60 s, and its job may still
    appear later."""
    result_grace: timedelta = timedelta(seconds=60)
    """For the files of an ended job: a network file system may show them late."""
    hang_after: timedelta = timedelta(minutes=10)
    """For progress, at least; slow epochs make it longer."""
    exit_timeout_s: int = 300
    """For the processes of a job to end after its last result; then the job is ended."""
    reconciler_s: int = 60
    """Before a reconciler job starts."""
    watch: timedelta = timedelta(seconds=15)
    """Between two reconciliations of `--watch`. The jobs reconcile as well, so this only refreshes the view."""
    settle: timedelta = timedelta(seconds=5)
    """Between two queries for a job that a killed process may have submitted."""


@dataclass(frozen=True, slots=True)
class SweepContext:
    """One sweep, and everything outside the core that a reconciliation of it uses."""

    spec: SweepSpec
    directory: Directory
    scheduler: Scheduler
    study: Study
    clock: Clock
    reconciler_files: ReconcilerJobFiles
    submission: Callable[[str, Submit], Submission]
    """Makes the request for training jobs, under a token."""
    reconciler_request: Callable[[str, SubmitReconciler], ReconcilerRequest]
    """Makes the request for a reconciler job, under a token."""
    timeouts: Timeouts = Timeouts()
    own_reconciler_token: str | None = None
    """Token of the reconciler job that runs this reconciliation; None: none does."""
    interactive: bool = False
    """A person started it."""
    job_ends: bool = False
    """The job that makes this reconciliation ends right after it."""
    repeats: bool = False
    """The caller reconciles again and again."""
    collectable: CollectableRunFiles | None = None
    """None: all checkpoints are kept."""
    spending: Callable[[Observation, datetime], Spending] | None = None
    """Reads what the sweep has used of its limit, from the files of all its trials; None: it has no limit."""

    def capacity(self) -> Capacity:
        """What may run at once. The scheduler's own limits are left out: asking for them costs a query, and they
        matter only if there is something to submit."""
        return Capacity(
            self.scheduler.queues,
            self.spec.run.parallel,
            slots=self.spec.slurm.slots if self.scheduler.queues else None,
            unlisted_grace=self.timeouts.unlisted_grace,
            result_grace=self.timeouts.result_grace,
            hang_after=self.timeouts.hang_after,
            reconciler_delay_s=self.timeouts.reconciler_s,
            interactive=self.interactive,
            reconciler_counts=not {"account", "partition", "qos"} & self.spec.slurm.reconciler.keys(),
            leaves_place=self.job_ends or self.own_reconciler_token is not None,
            repeats=self.repeats,
            own_reconciler_token=self.own_reconciler_token,
        )
