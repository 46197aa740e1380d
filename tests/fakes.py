"""Fakes of the ports: a cluster in memory, a study in memory, and a clock that only tests advance.

Rule 1: FakeScheduler passes schedulers/scheduler_contract.py, like the real schedulers.
Rule 2: its jobs follow the rules of the worker: a job finds its run by (token, index), claims it before it works, and
        ends when it finds results or a lost attempt.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from unetsweep.atomic import link_json, write_json
from unetsweep.bounded_json import read_json
from unetsweep.core import paths
from unetsweep.core.built_in_pruners import verdicts
from unetsweep.core.missing_points import missing_trainings
from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.pruning import History, Verdict
from unetsweep.core.space import Point, remaining_grid_points
from unetsweep.core.spec import Resources, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.reconcile.context import Curve

ENDED_STATES = (JobState.ENDED, JobState.CANCELLED, JobState.NODE_FAILED)


class FakeClock:
    """A clock that moves only when a test advances it."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass(slots=True)
class FakeJob:
    """One element of an array in the fake cluster."""

    job: Job
    throttle: int | None
    listed_at: datetime
    """From this time on the controller lists it."""


@dataclass(frozen=True, slots=True)
class FakeReconciler:
    """A reconciler job in the queue."""

    job: Job
    after: tuple[str, ...]
    begins: datetime


@dataclass(slots=True)
class FakeScheduler:
    """A cluster with arrays and throttles; its jobs act only in `tick`, `start`, `finish` and `die`."""

    clock: FakeClock = field(default_factory=FakeClock)
    root: Path | None = None
    """The sweep directory that its jobs write claims and results to; None: they write nothing."""
    queues: bool = True
    largest: int = 1001
    scheduler_error: str | None = None
    """If set, no query is answered, for this reason."""
    refusal: str | None = None
    """If set, every submission is refused with this message."""
    refuse_trainings: str | None = None
    """If set, every submission but that of a reconciler job is refused with this message."""
    limit: int | None = None
    """Maximum of live jobs; a submission that exceeds it is refused completely."""
    reports_limit: bool = False
    """Whether accounting shows the limit."""
    limits_all: bool = False
    """Whether the limit counts reconciler jobs and `others` too."""
    others: int = 0
    """Jobs of the user that are none of the sweep."""
    lag: timedelta = timedelta(0)
    """How long a new job is not listed."""
    slowness: timedelta = timedelta(0)
    """How long sbatch takes."""
    accounts: dict[str, tuple[JobState, str]] = field(default_factory=dict)
    """The states that accounting has for jobs that are no longer listed."""
    found: list[FakeJob] = field(default_factory=list)
    reconcilers: list["FakeReconciler"] = field(default_factory=list)
    """The queued reconciler jobs."""
    trained: list[int] = field(default_factory=list)
    """Runs, in the order in which their training began."""
    questions: int = 0
    arrays: int = 0
    kind: str = "slurm"

    # ---- the port

    def max_elements(self) -> int:
        self._answer()
        return self.largest

    def remaining_submissions(self, resources: Resources) -> int | None:
        self._answer()
        return max(0, self.limit - self._counted()) if self.limit is not None and self.reports_limit else None

    def _counted(self) -> int:
        return len(self.live()) + (len(self.reconcilers) + self.others if self.limits_all else 0)

    def jobs(self, tokens: Collection[str]) -> Sequence[Job]:
        self.questions += 1
        self._answer()
        now = self.clock.now()
        trainings = [each.job for each in self.found if each.job.token in tokens and each.listed_at <= now]
        return trainings + [each.job for each in self.reconcilers if each.job.token in tokens]

    def final_states(self, jobs: Mapping[str, str]) -> Mapping[str, tuple[JobState, str]]:
        """The states in `accounts`; without them the cluster has no accounting."""
        return {job_id: self.accounts[job_id] for job_id in jobs if job_id in self.accounts}

    def state_in_log(self, log: str) -> tuple[JobState, str] | None:
        return (JobState.ENDED, "TIMEOUT") if "DUE TO TIME LIMIT" in log else None

    def end(self, job_id: str) -> None:
        self.cancel([job_id])

    def set_throttle(self, job_id: str, throttle: int | None) -> None:
        self._answer()
        for each in self.found:
            if each.job.job_id.partition("_")[0] == job_id:
                each.throttle = throttle

    def submit_reconciler(self, request: ReconcilerRequest) -> str:
        self._answer()
        if self.refusal is not None:
            raise RefusedError(self.refusal)
        if self.limit is not None and self.limits_all and self._counted() >= self.limit:
            raise LimitError("QOSMaxSubmitJobPerUserLimit")
        self.arrays += 1
        job = Job(str(18800 + self.arrays), request.token, 0, JobState.QUEUED, "PENDING")
        self.reconcilers.append(
            FakeReconciler(job, request.after, self.clock.now() + timedelta(seconds=request.delay_s))
        )
        return job.job_id

    def submit(self, submission: Submission) -> Sequence[str]:
        self._answer()
        refusal = self.refusal or self.refuse_trainings
        if refusal is not None:
            raise RefusedError(refusal)
        if self.limit is not None and self._counted() + submission.elements > self.limit:
            raise LimitError("QOSMaxSubmitJobPerUserLimit")
        self.arrays += 1
        number = 18800 + self.arrays
        for index in range(submission.elements):
            job_id = f"{number}_{index}" if submission.elements > 1 else str(number)
            job = Job(job_id, submission.token, index, JobState.QUEUED, "PENDING")
            self.found.append(FakeJob(job, submission.throttle, self.clock.now() + self.lag))
        self.clock.advance(self.slowness.total_seconds())
        return [each.job.job_id for each in self.found[-submission.elements :]]

    def cancel(self, job_ids: Collection[str]) -> None:
        self._answer()
        for each in self.live():
            if each.job.job_id in job_ids:
                self._become(each, JobState.CANCELLED, "CANCELLED")
        self.reconcilers = [each for each in self.reconcilers if each.job.job_id not in job_ids]

    def _answer(self) -> None:
        if self.scheduler_error is not None:
            raise SchedulerError(self.scheduler_error)

    # ---- the cluster

    def live(self) -> list[FakeJob]:
        return [each for each in self.found if each.job.state.is_live]

    def running(self) -> list[FakeJob]:
        return [each for each in self.found if each.job.state is JobState.RUNNING]

    def live_runs(self) -> list[int]:
        """The run of each live job: a run listed twice would be trained twice."""
        return [self.run_of(each)[0] for each in self.live()]

    def tick(self) -> None:
        """Finish what runs, and start what waits as far as the throttle of its array allows."""
        for each in self.running():
            self.finish(each)
        for each in [each for each in self.found if each.job.state is JobState.QUEUED]:
            running = [other for other in self.running() if other.job.token == each.job.token]
            if each.throttle is None or len(running) < each.throttle:
                self.start(each)

    def start(self, each: FakeJob) -> None:
        """Start the job: it claims its run, or ends at once."""
        self._become(each, JobState.RUNNING, "RUNNING")
        if self.root is None:
            return
        run, attempt = self.run_of(each)
        folder = self.root / paths.run_dir(run)
        intent = read_json(self.root / paths.attempt(run, attempt))
        is_lost = (self.root / paths.attempt_lost(run, attempt)).exists()
        if (intent["token"], intent["index"]) != (each.job.token, each.job.index) or is_lost or self._results(run):
            self._become(each, JobState.ENDED, "COMPLETED")
            return
        (folder / "claims").mkdir(exist_ok=True)
        assert link_json(
            self.root / paths.claim(run, attempt, 0), {"job_id": each.job.job_id, "at": self.clock.now().isoformat()}
        )
        self.trained.append(run)

    def finish(self, each: FakeJob) -> None:
        """End the job with its results."""
        self.publish(each)
        self._become(each, JobState.ENDED, "COMPLETED")

    def publish(self, each: FakeJob) -> None:
        """Write the results of the job, which still runs, as in its exit hook."""
        if self.root is not None:
            run, attempt = self.run_of(each)
            for trial in read_json(self.root / paths.attempt(run, attempt))["trials"]:
                path = self.root / paths.run_dir(run) / paths.milestone(trial["epochs"])
                path.parent.mkdir(exist_ok=True)
                write_json(path, {"state": "complete", "val_iou": 0.5 + run / 100, "job_id": each.job.job_id})

    def die(self, each: FakeJob, state: JobState = JobState.NODE_FAILED) -> None:
        """End the job without results."""
        self._become(each, state, state.name)

    def forget(self, each: FakeJob) -> None:
        """Stop listing the job, as a controller does after some time or after a crash."""
        self.found.remove(each)

    def run_of(self, each: FakeJob) -> tuple[int, int]:
        """The run and attempt of the job, found by token and index like in a real job."""
        assert self.root is not None
        intent = read_json(self.root / paths.submission(each.job.token) / "intent.json")
        run, attempt = intent["elements"][each.job.index]
        return run, attempt

    def _results(self, run: int) -> bool:
        assert self.root is not None
        return (self.root / paths.run_dir(run) / "milestones").exists()

    def _become(self, each: FakeJob, state: JobState, raw_state: str) -> None:
        ended = self.clock.now() if state in ENDED_STATES else None
        each.job = replace(each.job, state=state, raw_state=raw_state, ended_at=ended)


@dataclass(slots=True)
class FakeStudy:
    """A study that proposes a grid and keeps the last exported state of each trial."""

    exported: dict[int, str | None] = field(default_factory=dict)
    """The state of each trial; None: it has not ended."""
    stale: bool = False
    lags: bool = False
    """Whether it has so many trials that it is exported only from time to time."""

    def propose(self, spec: SweepSpec, trials: Sequence[StoredTrial], count: int, curve: Curve) -> list[Point]:
        taken = [trial.point for trial in trials if trial.point is not None]
        return missing_trainings(spec, trials, count, lambda points: remaining_grid_points(spec.space, taken)[:points])

    def export(self, spec: SweepSpec, trials: Sequence[StoredTrial], curve: Curve) -> None:
        self.exported = {each.number: each.result and each.result.state for each in trials}
        self.stale = False

    def verdicts(
        self, spec: SweepSpec, asked: Sequence[History], others: Callable[[], Sequence[History]]
    ) -> Mapping[int, Verdict]:
        return verdicts(spec, [*others(), *asked])

    def is_stale(self) -> bool:
        return self.stale

    def is_export_due(self) -> bool:
        return self.stale and not self.lags

    def mark_stale(self) -> None:
        self.stale = True


class Crash(BaseException):
    """The simulated end of the process; `except Exception` does not catch it."""


@dataclass(slots=True)
class CrashPoint:
    """Raises Crash before or after the n-th effect."""

    at: int = -1
    """Twice the number of the effect to crash before it, plus one to crash after it; -1: never."""
    effects: int = 0

    def wrap(self, effect: Any) -> Any:
        """The function with a possible crash before and after it."""

        def crashing(*args: Any, **kwargs: Any) -> Any:
            self.effects += 1
            number = self.effects  # effects may be nested
            if self.at == 2 * number:
                raise Crash
            value = effect(*args, **kwargs)
            if self.at == 2 * number + 1:
                raise Crash
            return value

        return crashing
