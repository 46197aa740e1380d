"""The ports of core/ports and reconcile/context for one reconciliation of the simulated world.

At each effect the reconciliation may be killed or sleep.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from unetsweep.contract import Result, TrialConfig, run_key
from unetsweep.core.actions import Element, Prune
from unetsweep.core.built_in_pruners import verdicts
from unetsweep.core.metric import Metric
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.observation import EpochReport, Job, JobState, Observation, PruneDecision
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.pruning import History, Verdict
from unetsweep.core.space import Point, Space
from unetsweep.core.spec import Resources, SweepSpec
from unetsweep.core.trials import StoredTrial, params_of
from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.reconcile.context import Curve

from .files import SimAttempt, SimReconciler, SimRun, SimTrial, moment

if TYPE_CHECKING:
    from .world import SimulatedWorld


class Killed(BaseException):
    """The reconciliation is killed; `except Exception` does not catch it."""


@dataclass(slots=True)
class SimulatedReconciliation:
    """One reconciliation: its clock, and what it knows, for the invariants."""

    world: "SimulatedWorld"
    skew: float
    is_reconciler: bool = False
    got_no_answer: bool = False
    alive: frozenset[tuple[str, int]] = frozenset()
    """(token, index) of the jobs that the queue listed as alive in the last query."""
    cancelled: frozenset[int] = frozenset()
    """Trials that were cancelled before its latest observation."""

    marked_lost: set[tuple[int, int]] = field(default_factory=set)
    """(run, attempt) of the attempts that it marked lost."""

    def now(self) -> datetime:
        return moment(self.world.time + self.skew)

    def interruption_point(self) -> None:
        self.world.maybe_interrupt(self)


class SimulatedDirectory:
    """The Directory port, in memory."""

    def __init__(self, reconciliation: SimulatedReconciliation) -> None:
        self._reconciliation, self._world, self._files = (
            reconciliation,
            reconciliation.world,
            reconciliation.world.files,
        )

    def observe(self, metric: Metric | None = None) -> Observation:
        self._reconciliation.cancelled = frozenset(
            n for n in self._files.open if self._files.trials[n].cancelled is not None
        )
        return self._files.observe(self._world.time, self._reconciliation.now())

    def trials(self) -> list[StoredTrial]:
        return [
            StoredTrial(
                each.number,
                each.run,
                each.epochs,
                params=each.params,
                run_key=each.key,
                result=Result(each.result.state) if each.result else None,
                cancelled=each.cancelled is not None,
            )
            for each in self._files.trials.values()
        ]

    def code(self) -> str | None:
        return None

    def add_trials(
        self,
        configs: Sequence[TrialConfig],
        origin: Mapping[str, Any] | None = None,
        first: int | None = None,
        runs: Sequence[int] | None = None,
        space: Space | None = None,
        listed: Sequence[bool] = (),
    ) -> list[int]:
        start, added = first or 0, list[int]()
        for number, config in enumerate(configs, start):
            self._reconciliation.interruption_point()
            run = number if runs is None else runs[number - start]
            if start <= run < number and run not in added:
                break
            if number in self._files.trials:
                continue
            params = params_of(config, space or Space(()))
            self._world.check.adds(number, run, run_key(config))
            self._files.trials[number] = SimTrial(number, run, config.epochs, run_key(config), params)
            self._files.runs.setdefault(run, SimRun(run))
            self._files.open.add(number)
            added.append(number)
        self._reconciliation.interruption_point()
        return added

    def milestone(self, run: int, epochs: int) -> Result | None:
        state, visible_at = self._files.runs[run].published_states.get(epochs, ("", self._world.time + 1))
        return Result(state=state, val_iou=0.5) if visible_at <= self._world.time else None  # type: ignore[arg-type]

    def end_trial(self, trial: int, result: Result) -> bool:
        self._reconciliation.interruption_point()
        found = self._files.trials[trial]
        is_first = found.result is None
        if is_first:
            self._world.check.ends(found, result)
            found.result = result
            self._files.open.discard(trial)
        self._reconciliation.interruption_point()
        return is_first

    def create_attempts(
        self, elements: Sequence[Element], throttle: int | None, kind: str, token: str | None = None
    ) -> tuple[str, list[Element]]:
        token, owned, at = self._world.new_token(), [], self._reconciliation.now()
        for index, each in enumerate(elements):
            self._reconciliation.interruption_point()
            attempts = self._files.runs[each.run].attempts
            if each.attempt not in attempts:
                attempts[each.attempt] = SimAttempt(
                    each.run, each.attempt, token, index, at, throttle, each.trials, each.mem, each.micro_batch
                )
                owned.append(each)
        self._reconciliation.interruption_point()
        self._files.tokens[token] = [(each.run, each.attempt) for each in elements]
        self._world.check.intends(self._reconciliation, owned)
        return token, owned

    def _attempt(self, run: int, attempt: int) -> SimAttempt:
        return self._files.runs[run].attempts[attempt]

    def restore_if_deleted(self, run: int) -> bool:
        return False  # nobody deletes a folder here

    def record_job(self, run: int, attempt: int, job_id: str) -> None:
        self._reconciliation.interruption_point()
        found = self._attempt(run, attempt)
        found.job_id = found.job_id or job_id
        self._reconciliation.interruption_point()

    def record_jobs(self, elements: Sequence[Element], job_ids: Sequence[str]) -> None:
        for each, job_id in zip(elements, job_ids, strict=True):
            self.record_job(each.run, each.attempt, job_id)

    def record_throttle(self, attempts: Sequence[tuple[int, int]], throttle: int | None) -> None:
        for run, attempt in attempts:
            self._reconciliation.interruption_point()
            self._files.runs[run].attempts[attempt].throttle = throttle

    def mark_lost(self, run: int, attempt: int, reason: str, **about: object) -> None:
        self._reconciliation.interruption_point()
        found = self._attempt(run, attempt)
        self._world.check.marks_lost(self._reconciliation, found)
        if found.lost is None:
            found.lost = {"reason": reason, **about, "at": self._reconciliation.now()}
            self._reconciliation.marked_lost.add((run, attempt))
        self._reconciliation.interruption_point()

    def end_attempt(self, run: int, attempt: int, cause: str, reason: str) -> None:
        self._reconciliation.interruption_point()
        found = self._attempt(run, attempt)
        found.terminated_for = found.terminated_for or cause
        self._reconciliation.interruption_point()

    def log_tail(self, token: str, index: int, job_id: str) -> str:
        return ""

    def has_log(self, token: str, job_id: str) -> bool:
        return (token, job_id) in self._files.logs

    def mark_reconciled(self) -> None:
        self._files.last_reconciliation = self._world.time

    def progress(self, run: int) -> Sequence[EpochReport]:
        return [point for point, visible_at in self._files.runs[run].points.values() if visible_at <= self._world.time]

    def record_prune(self, prune: Prune) -> None:
        self._reconciliation.interruption_point()
        decision = PruneDecision(prune.attempt, prune.trial, prune.milestones, prune.epoch, prune.reason)
        self._files.runs[prune.run].prune_decision = decision
        self._reconciliation.interruption_point()

    def read_prune_decision(self, run: int) -> PruneDecision | None:
        return self._files.runs[run].prune_decision

    def note(self, **content: object) -> None:
        self._world.note(f"  {content}")


class SimulatedScheduler:
    """The Scheduler port, in memory."""

    kind, queues = "slurm", True

    def __init__(self, reconciliation: SimulatedReconciliation) -> None:
        self._reconciliation, self._world, self._cluster = (
            reconciliation,
            reconciliation.world,
            reconciliation.world.cluster,
        )

    def _answer(self) -> None:
        if self._world.is_on("scheduler_error"):
            self._reconciliation.got_no_answer = True
            raise SchedulerError("squeue: Unable to contact slurm controller")

    def max_elements(self) -> int:
        return self._world.settings.largest

    def remaining_submissions(self, resources: Resources) -> int | None:
        return None

    def jobs(self, tokens: Collection[str]) -> Sequence[Job]:
        self._reconciliation.interruption_point()
        self._answer()
        found = self._cluster.listed(tokens)
        self._reconciliation.alive = frozenset((job.token, job.index) for job in found if job.state.is_live)
        return found

    def final_states(self, jobs: Mapping[str, str]) -> Mapping[str, tuple[JobState, str]]:
        if not self._world.settings.accounts:
            return {}
        found = self._cluster.accounts
        return {job_id: found[job_id, token] for job_id, token in jobs.items() if (job_id, token) in found}

    def state_in_log(self, log: str) -> tuple[JobState, str] | None:
        return None

    def submit(self, submission: Submission) -> Sequence[str]:
        self._reconciliation.interruption_point()
        self._world.check.submits(self._reconciliation, submission)
        self._refuse(submission.elements)
        if submission.exclude and self._cluster.is_all(submission.exclude):
            raise RefusedError("sbatch: error: Requested node configuration is not available")
        if self._world.armed("timeout before"):
            raise SchedulerError("sbatch: timed out")
        ids = self._cluster.add(submission)
        if self._world.armed("timeout after"):
            raise SchedulerError("sbatch: timed out")
        self._reconciliation.interruption_point()
        return ids

    def _refuse(self, elements: int) -> None:
        self._answer()
        if self._world.is_on("refusal"):
            raise RefusedError("sbatch: error: Invalid account")
        if self._world.is_on("limit") and self._cluster.count() + elements > 2:
            raise LimitError("sbatch: error: QOSMaxSubmitJobPerUserLimit")

    def cancel(self, job_ids: Collection[str]) -> None:
        self._reconciliation.interruption_point()
        self._answer()
        self._cluster.cancel(job_ids)
        self._reconciliation.interruption_point()

    def end(self, job_id: str) -> None:
        self._reconciliation.interruption_point()
        self._answer()
        self._cluster.cancel([job_id])
        self._reconciliation.interruption_point()

    def set_throttle(self, job_id: str, throttle: int | None) -> None:
        self._reconciliation.interruption_point()
        self._answer()
        self._cluster.set_throttle(job_id, throttle)
        self._reconciliation.interruption_point()

    def submit_reconciler(self, request: ReconcilerRequest) -> str:
        self._reconciliation.interruption_point()
        self._world.check.submits_reconciler(self._reconciliation)
        self._refuse(1)
        job_id = self._cluster.add_reconciler(request)
        self._reconciliation.interruption_point()
        return job_id


class SimulatedReconcilers:
    """The ReconcilerJobs port, in memory."""

    def __init__(self, reconciliation: SimulatedReconciliation) -> None:
        self._reconciliation, self._world, self._reconcilers = (
            reconciliation,
            reconciliation.world,
            reconciliation.world.files.reconcilers,
        )

    def create_intent(self, number: int, *, as_training: bool = False) -> str | None:
        self._reconciliation.interruption_point()
        if number in self._reconcilers:
            return None
        token = self._world.new_token()
        self._reconcilers[number] = SimReconciler(token, self._reconciliation.now(), as_training=as_training)
        self._reconciliation.interruption_point()
        return token

    def record(self, number: int, job_id: str) -> None:
        self._reconciliation.interruption_point()

    def mark_lost(self, number: int, reason: str, *, refused: bool = False, limit: bool = False) -> None:
        self._reconciliation.interruption_point()
        self._reconcilers[number].lost = True
        if refused:
            self._reconcilers[number].refusal, self._reconcilers[number].refused_at = reason, self._reconciliation.now()
        if not self._reconciliation.is_reconciler and not reason.startswith("nothing is left"):
            self._world.check.lacks_reconciler = True


class SimulatedStudy:
    """The Study port: it proposes points in order and ignores exports."""

    def __init__(self, world: "SimulatedWorld") -> None:
        self._world = world

    def propose(self, spec: SweepSpec, trials: Sequence[StoredTrial], count: int, curve: Curve) -> list[Point]:
        start = max((trial.number for trial in trials), default=-1) + 1
        return [self._world.point(number) for number in range(start, min(start + count, trials_wanted(spec)))]

    def export(self, spec: SweepSpec, trials: Sequence[StoredTrial], curve: Curve) -> None: ...

    def verdicts(
        self, spec: SweepSpec, asked: Sequence[History], others: Callable[[], Sequence[History]]
    ) -> Mapping[int, Verdict]:
        return verdicts(spec, [*others(), *asked])

    def mark_stale(self) -> None: ...

    def is_stale(self) -> bool:
        return False

    def is_export_due(self) -> bool:
        return False


GRACE = timedelta(seconds=90)
