"""What a reconciliation needs, bundled: a sweep, its directory, its scheduler, its study, the time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from unetsweep.contract import Result, TrialConfig
from unetsweep.core.actions import Element, Prune, Submit, SubmitReconciler
from unetsweep.core.capacity import Capacity
from unetsweep.core.observation import Observation, Point, Stopped
from unetsweep.core.ports import Clock, ReconcilerRequest, Scheduler, Submission
from unetsweep.core.pruning import History, Verdict
from unetsweep.core.spec import SweepSpec


class Study(Protocol):
    """Proposes points, decides which trainings are pruned, and exports the trials to a journal for other tools."""

    def propose(self, spec: SweepSpec, trials: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, float]]: ...
    def export(self, spec: SweepSpec, trials: Sequence[Mapping[str, Any]]) -> None:
        """Bring the journal up to date; it is not stale any more."""
        ...

    def verdicts(
        self, spec: SweepSpec, asked: Sequence[History], others: Callable[[], Sequence[History]]
    ) -> Mapping[int, Verdict]:
        """Which of the asked trials the pruner ends. `others` (what they are compared with) is read only
        when there is something new."""
        ...

    def mark_stale(self) -> None:
        """Note that trials are about to end: should this reconciliation die, the next one exports the journal."""
        ...

    def is_stale(self) -> bool: ...
    def is_export_due(self) -> bool:
        """Return whether the journal is stale, and an export costs little compared with its age."""
        ...


class Directory(Protocol):
    """The sweep's files."""

    def look(self) -> Observation: ...
    def trials(self) -> list[dict[str, Any]]: ...
    def code(self) -> str | None:
        """Hash of the package that new jobs run; None: it is not pinned."""
        ...

    def add_trials(
        self,
        configs: Sequence[TrialConfig],
        origin: Mapping[str, Any],
        first: int | None = None,
        runs: Sequence[int] | None = None,
    ) -> list[int]:
        """The numbers that are ours. `runs`: the run of each; None: each has its own."""
        ...

    def milestone(self, run: int, epochs: int) -> Result | None: ...
    def end_trial(self, trial: int, result: Result) -> bool: ...
    def intend(
        self, elements: Sequence[Element], throttle: int | None, kind: str, token: str | None = None
    ) -> tuple[str, list[Element]]: ...
    def record_job(self, run: int, attempt: int, job_id: str) -> None: ...
    def record_jobs(self, elements: Sequence[Element], job_ids: Sequence[str]) -> None: ...
    def mark_lost(self, run: int, attempt: int, reason: str, **about: object) -> None: ...
    def end_attempt(self, run: int, attempt: int, cause: str, reason: str) -> None: ...
    def log_tail(self, token: str, index: int, job_id: str) -> str: ...
    def has_log(self, token: str, job_id: str) -> bool: ...
    def looked(self) -> None: ...
    def progress(self, run: int) -> Sequence[Point]: ...
    def stop_run(self, stop: Prune) -> None: ...
    def stopped(self, run: int) -> Stopped | None: ...
    def note(self, **content: object) -> None: ...


class ReconcilerJobs(Protocol):
    """The sweep's reconciler jobs."""

    def intend(self, number: int) -> str | None: ...
    def record(self, number: int, job_id: str) -> None: ...
    def mark_lost(self, number: int, reason: str) -> None: ...


class CollectableRuns(Protocol):
    """The runs whose last checkpoints may go."""

    def mark(self, run: int) -> None: ...
    def clear(self, run: int) -> bool:
        """Whether anything went: nothing does while a trial of it is open, or where one failed or was cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Clocks:
    """How long is waited for what."""

    unseen: timedelta = timedelta(seconds=90)
    """… a submission that the queue does not list."""
    result: timedelta = timedelta(seconds=60)
    """… the files of a job that has ended."""
    hang: timedelta = timedelta(minutes=10)
    """… progress, at least."""
    exit_timeout_s: int = 300
    """… the processes of a job whose last result is there: then it is ended."""
    reconciler_s: int = 60
    """… before a reconciler job looks."""
    watch: timedelta = timedelta(seconds=15)
    """… between two reconciliations of `--watch`; the jobs' own reconciliations do the work in between."""
    settle: timedelta = timedelta(seconds=5)
    """… between two looks for a job whose submitter died before it knew the id."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the core."""

    spec: SweepSpec
    directory: Directory
    scheduler: Scheduler
    study: Study
    clock: Clock
    reconcilers: ReconcilerJobs
    submission: Callable[[str, Submit], Submission]
    """What to ask of the scheduler under a token."""
    reconciler: Callable[[str, SubmitReconciler], ReconcilerRequest]
    clocks: Clocks = Clocks()
    mine: str | None = None
    """Token of the reconciler job that reconciles now."""
    interactive: bool = False
    """A person makes it."""
    collectable: CollectableRuns | None = None
    """None: all checkpoints are kept."""

    def capacity(self) -> Capacity:
        """Without asking the scheduler: its limits matter only where there is something to submit."""
        return Capacity(
            self.scheduler.queues,
            self.spec.run.parallel,
            pack=self.spec.slurm.pack if self.scheduler.queues else 1,
            unseen_grace=self.clocks.unseen,
            result_grace=self.clocks.result,
            hang_after=self.clocks.hang,
            reconciler_delay_s=self.clocks.reconciler_s,
            interactive=self.interactive,
            reconciler=self.mine,
        )
