"""A cluster in memory: a queue with arrays, throttles, dependencies and nodes, and jobs that train.

Rule 1: a job follows the rules of the worker: it ends if its attempt is lost, a later start has claimed the run, or
        there is nothing to do; at the end of each epoch it writes only if it still owns the run.
Rule 2: nothing fails unless the script of the history says so.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unetsweep.core.observation import EpochReport, Job, JobState
from unetsweep.core.ports import ReconcilerRequest, Submission

from .files import SimAttempt, SimClaim, moment

if TYPE_CHECKING:
    from .world import SimulatedWorld

MIN_AGE = 300.0
"""Seconds for which an ended job stays listed: the default of SLURM's MinJobAge."""
START_S = 5.0
LIMIT_S = 3600.0


@dataclass(slots=True, eq=False)
class SimJob:
    """One job in the controller."""

    job_id: str
    token: str
    index: int
    visible_at: float
    throttle: int | None = None
    exclude: tuple[str, ...] = ()
    after: "tuple[SimJob, ...] | None" = None
    """The dependencies of a reconciler job; None: the job trains."""
    begins: float = 0.0
    state: JobState = JobState.QUEUED
    raw_state: str = "PENDING"
    node: str | None = None
    restart: int = 0
    ended: float | None = None
    known: bool = True
    """Whether the controller still knows the job."""

    @property
    def is_reconciler(self) -> bool:
        return self.after is not None

    def as_job(self) -> Job:
        ended = moment(self.ended) if self.ended is not None else None
        return Job(self.job_id, self.token, self.index, self.state, self.raw_state, "", ended, self.node)


@dataclass(slots=True, eq=False)
class Training:
    """The processes of one start of an attempt."""

    job: SimJob
    attempt: SimAttempt
    restart: int
    since: float
    epoch: int
    alive: bool = True
    stuck: bool = False
    visible_at: float = 0.0
    """Everything written so far is visible from this time on."""

    @property
    def claim(self) -> tuple[int, int]:
        return self.attempt.number, self.restart


class Cluster:
    """The queue and the nodes."""

    def __init__(self, world: "SimulatedWorld") -> None:
        self._world = world
        self.jobs: list[SimJob] = []
        self.trainings: list[Training] = []
        self.accounts: dict[tuple[str, str], tuple[JobState, str]] = {}
        self.down: dict[str, float] = {}
        self._next = 100

    # ---- calls of the Scheduler port

    def listed(self, tokens: Collection[str]) -> list[Job]:
        now = self._world.time
        return [each.as_job() for each in self.jobs if each.known and each.token in tokens and each.visible_at <= now]

    def count(self) -> int:
        return sum(each.known and each.state.is_live for each in self.jobs)

    def is_all(self, nodes: Collection[str]) -> bool:
        return set(self._world.settings.nodes) <= set(nodes)

    def add(self, submission: Submission) -> Sequence[str]:
        number, visible_at = self._number(), self._world.time + self._world.value("late", 0.0)
        is_array, ids = submission.elements > 1, []
        for index in range(submission.elements):
            job_id = f"{number}_{index}" if is_array else str(number)
            job = SimJob(job_id, submission.token, index, visible_at, submission.throttle, submission.exclude)
            self.jobs.append(job)
            ids.append(job_id)
        self._world.at(1.0, self.start_jobs)
        return ids

    def set_throttle(self, array: str, throttle: int | None) -> None:
        for job in self.jobs:
            if job.job_id.partition("_")[0] == array:
                job.throttle = throttle
        self._world.at(1.0, self.start_jobs)

    def add_reconciler(self, request: ReconcilerRequest) -> str:
        now = self._world.time
        after = tuple(each for each in self.jobs if each.job_id.partition("_")[0] in request.after)
        job = SimJob(str(self._number()), request.token, 0, now + self._world.value("late", 0.0), after=after)
        job.begins = now + request.delay_s
        self.jobs.append(job)
        self._world.at(request.delay_s + 0.5, self.start_jobs)
        return job.job_id

    def _number(self) -> int:
        reused = self._world.take_id()
        self._next += reused is None
        return self._next if reused is None else reused

    def cancel(self, job_ids: Collection[str]) -> None:
        for job in [each for each in self.jobs if each.known and each.job_id in job_ids and each.state.is_live]:
            self.scancel(job)

    def scancel(self, job: SimJob) -> None:
        if job.state is JobState.QUEUED:
            job.known = False  # SLURM forgets a queued job at once
            self.accounts[job.job_id, job.token] = (JobState.CANCELLED, "CANCELLED")
        self.end(job, JobState.CANCELLED, "CANCELLED", status=143)

    # ---- starting

    def start_jobs(self) -> None:
        """Start the jobs that can start."""
        now, busy = self._world.time, {each.node for each in self.jobs if each.state is JobState.RUNNING}
        running: dict[str, int] = {}
        for each in self.jobs:
            if each.state is JobState.RUNNING:
                running[each.token] = running.get(each.token, 0) + 1
        for job in [each for each in self.jobs if each.known and each.state is JobState.QUEUED and each.begins <= now]:
            if job.is_reconciler:
                if not self._waits(job):
                    self._start(job, "head")
                continue
            free = [n for n in self._world.settings.nodes if n not in busy and n not in job.exclude and self._is_up(n)]
            if free and (job.throttle is None or running.get(job.token, 0) < job.throttle):
                busy.add(free[0])
                running[job.token] = running.get(job.token, 0) + 1
                self._start(job, free[0])

    def _is_up(self, node: str) -> bool:
        return self.down.get(node, 0.0) <= self._world.time

    def _waits(self, reconciler: SimJob) -> bool:
        return any(each.known and each.state.is_live for each in reconciler.after or ())

    def _start(self, job: SimJob, node: str) -> None:
        job.state, job.raw_state, job.node = JobState.RUNNING, "RUNNING", node
        restart = job.restart
        if job.is_reconciler:
            self._world.at(2.0, lambda: self._run_reconciler(job, restart))
            return
        self._world.files.logs.add((job.token, job.job_id))
        if self._world.armed("bad start"):
            self._world.blame(self._run_of(job)[0], "node")
            self._world.at(2.0, lambda: self._is_on(job, restart) and self.end(job, JobState.ENDED, "FAILED", status=1))
        else:
            self._world.at(START_S, lambda: self._claim(job, restart))
            self._world.at(LIMIT_S, lambda: self._limit(job, restart))
            self._world.periodic(job, restart)

    def _is_on(self, job: SimJob, restart: int) -> bool:
        return job.state is JobState.RUNNING and job.restart == restart

    def _limit(self, job: SimJob, restart: int) -> None:
        if job.known and self._is_on(job, restart):
            self._world.blame(self._run_of(job)[0], "time")
            self.end(job, JobState.ENDED, "TIMEOUT", status=143)

    def _run_reconciler(self, job: SimJob, restart: int) -> None:
        if not self._is_on(job, restart):
            return
        if self._world.reconcile_sweep("reconciler", own_reconciler_token=job.token):
            self.end(job, JobState.ENDED, "COMPLETED")
        else:
            self._world.at(60.0, lambda: self._run_reconciler(job, restart))

    def _run_of(self, job: SimJob) -> tuple[int, int]:
        return self._world.files.tokens[job.token][job.index]

    # ---- training

    def _claim(self, job: SimJob, restart: int) -> None:
        if not self._is_on(job, restart):
            return
        run, number = self._run_of(job)
        found = self._world.files.runs[run]
        attempt = found.attempts[number]
        if self._nothing_to_do(job, attempt, restart):
            self.end(job, JobState.ENDED, "COMPLETED", status=0)
            return
        self._world.check.starts(attempt)
        now, visible_at = self._world.time, self._visible_from(0.0)
        attempt.claims[restart] = SimClaim(job.job_id, moment(now), job.node or "", visible_at)
        training = Training(job, attempt, restart, now, found.saved, visible_at=visible_at)
        self.trainings.append(training)
        self._world.next_epoch(training)

    def _nothing_to_do(self, job: SimJob, attempt: SimAttempt, restart: int) -> bool:
        run, files = self._world.files.runs[attempt.run], self._world.files
        if (attempt.token, attempt.index) != (job.token, job.index) or attempt.lost is not None:
            return True
        if run.owner() >= (attempt.number, restart):
            return True
        trials = [files.trials[trial] for trial, _ in attempt.trials]
        return (
            all(epochs in run.published_states for _, epochs in attempt.trials)
            or all(trial.result is not None for trial in trials)
            or all(trial.cancelled is not None for trial in trials)
        )

    def _visible_from(self, earliest: float) -> float:
        return max(earliest, self._world.time + self._world.value("nfs", 0.0))

    def epoch(self, training: Training) -> None:
        """End an epoch of the training."""
        attempt = training.attempt
        if not training.alive:
            return
        if not self._world.files.owns(attempt.run, training.claim):
            self.end_processes(training, status=0)
            return
        run = self._world.files.runs[attempt.run]
        training.epoch += 1
        training.visible_at = self._visible_from(training.visible_at)
        at = moment(self._world.time)
        earlier_point = run.points.get(training.epoch)
        first = earlier_point[0].at if earlier_point else at
        value = self._world.value_of(attempt.run, training.epoch)
        run.points[training.epoch] = (
            EpochReport(training.epoch, {"val_iou": value, "val_loss": 1 - value}, first, 30.0),
            training.visible_at,
        )
        run.lines.append((at, training.visible_at))
        run.saved = training.epoch
        if self._milestones(training):
            self.end_processes(training, status=0)
        elif self._world.time - training.since > LIMIT_S - 90:
            self.stop_for_requeue(training, in_place=True)
        else:
            self._world.next_epoch(training)

    def _milestones(self, training: Training) -> bool:
        """Publish the milestones that are reached or pruned; whether all are published."""
        run, attempt = self._world.files.runs[training.attempt.run], training.attempt
        prune = run.prune_decision
        for _, epochs in attempt.trials:
            if epochs <= training.epoch:
                state = "diverged" if self._world.diverges(attempt.run) else "complete"
                run.published_states.setdefault(epochs, (state, training.visible_at))
            elif prune is not None and prune.attempt == attempt.number and epochs in prune.milestones:
                run.published_states.setdefault(epochs, ("pruned", training.visible_at))
        return all(epochs in run.published_states for _, epochs in attempt.trials)

    # ---- ending

    def end_processes(self, training: Training, status: int) -> None:
        """End the processes of the training with this status, and so the job."""
        training.alive = False
        if self._is_on(training.job, training.restart):
            word = "COMPLETED" if status == 0 else "FAILED"
            self.end(training.job, JobState.ENDED, word, status=status)

    def fail(self, training: Training, kind: str) -> None:
        """Write an error file and end the processes."""
        training.visible_at = self._visible_from(training.visible_at)
        training.attempt.errors.append((training.restart, kind, training.epoch, training.visible_at))
        self.end_processes(training, status=1)

    def stop_for_requeue(self, training: Training, *, in_place: bool) -> None:
        """Stop the training before its time limit; the exit hook requeues the job, or its request is refused."""
        training.alive = False
        training.attempt.requeues[training.restart] = self._visible_from(training.visible_at)
        if in_place:
            self.requeue(training.job, 5.0)
        elif self._is_on(training.job, training.restart):
            self.end(training.job, JobState.ENDED, "COMPLETED", status=0)

    def requeue(self, job: SimJob, after_s: float, *, zombie: bool = False) -> None:
        """Requeue the job, which stays alive in the queue."""
        if not zombie:
            self._stop(job)
        job.state, job.raw_state, job.node, job.ended = JobState.QUEUED, "REQUEUED", None, None
        job.restart += 1
        job.begins = self._world.time + after_s
        self._world.at(after_s + 0.5, self.start_jobs)

    def _stop(self, job: SimJob) -> None:
        for each in self.trainings:
            if each.job is job and each.restart == job.restart:
                each.alive = False
        self.trainings = [each for each in self.trainings if each.alive]

    def end(self, job: SimJob, state: JobState, word: str, *, status: int | None = None, zombie: bool = False) -> None:
        """End the job; with a status its exit hook runs."""
        was_running = job.state is JobState.RUNNING
        if not zombie:
            self._stop(job)
        job.state, job.raw_state, job.ended = state, word, self._world.time
        if job.known:
            self.accounts[job.job_id, job.token] = (state, word)
            self._world.at(MIN_AGE, lambda: self._purge(job))
        self._world.at(1.0, self.start_jobs)
        if status is not None and was_running and not job.is_reconciler:
            run, number = self._run_of(job)
            attempt = self._world.files.runs[run].attempts[number]
            if (attempt.token, attempt.index) == (job.token, job.index):
                attempt.exits[job.restart] = (status, self._visible_from(0.0))
            self._world.at(0.5, lambda: self._world.exit_hook())

    def _purge(self, job: SimJob) -> None:
        if not job.state.is_live:
            self.unlist(job)
            self.jobs = [each for each in self.jobs if each is not job]

    def unlist(self, job: SimJob) -> None:
        """Stop listing the job. Its final state is lost unless it was used before or accounting has it."""
        job.known = False
        if not job.is_reconciler and not (self._world.settings.accounts and (job.job_id, job.token) in self.accounts):
            run, number = self._run_of(job)
            if self._world.files.runs[run].attempts[number].lost is None:
                self._world.blame(run, "unexplained")

    def forget(self, token: str) -> None:
        """Forget the jobs of this submission, as after a crash of the controller; their processes continue."""
        for job in [each for each in self.jobs if each.token == token]:
            self.accounts.pop((job.job_id, job.token), None)
            self.unlist(job)
            self.jobs.remove(job)
