"""A cluster in memory: a queue with arrays, throttles, dependencies and nodes, and jobs that train.

Rule 1: a job keeps the worker's rules: it leaves where its attempt was given up, a later start claimed the run, or
        there is nothing to do; it asks whether it owns the run at each epoch's end, and writes only then.
Rule 2: things go wrong only where the history says so.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unetsweep.core.observation import EpochReport, Job, JobState
from unetsweep.core.ports import ReconcilerRequest, Submission

from .files import Claimed, SimAttempt, moment

if TYPE_CHECKING:
    from .world import World

MIN_AGE = 300.0
"""After so many seconds an ended job is listed no more."""
START_S = 5.0
LIMIT_S = 3600.0


@dataclass(slots=True, eq=False)
class SimJob:
    """One job, as the controller keeps it."""

    job_id: str
    token: str
    index: int
    shown: float
    throttle: int | None = None
    exclude: tuple[str, ...] = ()
    after: "tuple[SimJob, ...] | None" = None
    """Of a reconciler job; None: it trains."""
    begins: float = 0.0
    state: JobState = JobState.QUEUED
    raw_state: str = "PENDING"
    node: str | None = None
    restart: int = 0
    ended: float | None = None
    known: bool = True
    """The controller has it in its books."""

    @property
    def is_reconciler(self) -> bool:
        return self.after is not None

    def seen(self) -> Job:
        ended = moment(self.ended) if self.ended is not None else None
        return Job(self.job_id, self.token, self.index, self.state, self.raw_state, "", ended, self.node)


@dataclass(slots=True, eq=False)
class Training:
    """The processes of one start."""

    job: SimJob
    attempt: SimAttempt
    restart: int
    since: float
    epoch: int
    alive: bool = True
    stuck: bool = False
    shown: float = 0.0
    """What was written so far is seen by then."""

    @property
    def claim(self) -> tuple[int, int]:
        return self.attempt.number, self.restart


class Cluster:
    """The queue and the nodes."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.jobs: list[SimJob] = []
        self.trainings: list[Training] = []
        self.accounts: dict[tuple[str, str], tuple[JobState, str]] = {}
        self.down: dict[str, float] = {}
        self._next = 100

    # ---- what the port asks

    def listed(self, tokens: Collection[str]) -> list[Job]:
        now = self._world.time
        return [each.seen() for each in self.jobs if each.known and each.token in tokens and each.shown <= now]

    def count(self) -> int:
        return sum(each.known and each.state.is_live for each in self.jobs)

    def is_all(self, nodes: Collection[str]) -> bool:
        return set(self._world.settings.nodes) <= set(nodes)

    def add(self, submission: Submission) -> Sequence[str]:
        number, shown = self._number(), self._world.time + self._world.value("late", 0.0)
        many, ids = submission.elements > 1, []
        for index in range(submission.elements):
            job_id = f"{number}_{index}" if many else str(number)
            job = SimJob(job_id, submission.token, index, shown, submission.throttle, submission.exclude)
            self.jobs.append(job)
            ids.append(job_id)
        self._world.at(1.0, self.kick)
        return ids

    def add_reconciler(self, reconciler: ReconcilerRequest) -> str:
        now = self._world.time
        after = tuple(each for each in self.jobs if each.job_id.partition("_")[0] in reconciler.after)
        job = SimJob(str(self._number()), reconciler.token, 0, now + self._world.value("late", 0.0), after=after)
        job.begins = now + reconciler.delay_s
        self.jobs.append(job)
        self._world.at(reconciler.delay_s + 0.5, self.kick)
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
            job.known = False  # SLURM forgets it at once
            self.accounts[job.job_id, job.token] = (JobState.CANCELLED, "CANCELLED")
        self.end(job, JobState.CANCELLED, "CANCELLED", status=143)

    # ---- starting

    def kick(self) -> None:
        """Start what can."""
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
            self._world.at(2.0, lambda: self._keep(job, restart))
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

    def _keep(self, job: SimJob, restart: int) -> None:
        if not self._is_on(job, restart):
            return
        if self._world.reconcile_sweep("reconciler", mine=job.token):
            self.end(job, JobState.ENDED, "COMPLETED")
        else:
            self._world.at(60.0, lambda: self._keep(job, restart))

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
        now, shown = self._world.time, self._shown(0.0)
        attempt.claims[restart] = Claimed(job.job_id, moment(now), job.node or "", shown)
        training = Training(job, attempt, restart, now, found.saved, shown=shown)
        self.trainings.append(training)
        self._world.next_epoch(training)

    def _nothing_to_do(self, job: SimJob, attempt: SimAttempt, restart: int) -> bool:
        run, files = self._world.files.runs[attempt.run], self._world.files
        if (attempt.token, attempt.index) != (job.token, job.index) or attempt.lost is not None:
            return True
        if run.owner() >= (attempt.number, restart):
            return True
        trials = [files.trials[trial] for trial, _ in attempt.milestones]
        return (
            all(epochs in run.milestones for _, epochs in attempt.milestones)
            or all(trial.result is not None for trial in trials)
            or all(trial.cancelled is not None for trial in trials)
        )

    def _shown(self, before: float) -> float:
        return max(before, self._world.time + self._world.value("nfs", 0.0))

    def epoch(self, training: Training) -> None:
        """An epoch's end."""
        attempt = training.attempt
        if not training.alive:
            return
        if not self._world.files.owns(attempt.run, training.claim):
            self.leave(training, status=0)
            return
        run = self._world.files.runs[attempt.run]
        training.epoch += 1
        training.shown = self._shown(training.shown)
        at = moment(self._world.time)
        earlier = run.points.get(training.epoch)
        first = earlier[0].at if earlier else at
        value = self._world.value_of(attempt.run, training.epoch)
        run.points[training.epoch] = (EpochReport(training.epoch, value, 1 - value, first, 30.0), training.shown)
        run.lines.append((at, training.shown))
        run.saved = training.epoch
        if self._milestones(training):
            self.leave(training, status=0)
        elif self._world.time - training.since > LIMIT_S - 90:
            self.go_on_later(training, in_place=True)
        else:
            self._world.next_epoch(training)

    def _milestones(self, training: Training) -> bool:
        """Publish what is reached or pruned; whether all of it is there."""
        run, attempt = self._world.files.runs[training.attempt.run], training.attempt
        stop = run.stopped
        for _, epochs in attempt.milestones:
            if epochs <= training.epoch:
                state = "diverged" if self._world.diverges(attempt.run) else "complete"
                run.milestones.setdefault(epochs, (state, training.shown))
            elif stop is not None and stop.attempt == attempt.number and epochs in stop.milestones:
                run.milestones.setdefault(epochs, ("pruned", training.shown))
        return all(epochs in run.milestones for _, epochs in attempt.milestones)

    # ---- ending

    def leave(self, training: Training, status: int) -> None:
        """The processes end by themselves."""
        training.alive = False
        if self._is_on(training.job, training.restart):
            word = "COMPLETED" if status == 0 else "FAILED"
            self.end(training.job, JobState.ENDED, word, status=status)

    def fail(self, training: Training, kind: str) -> None:
        """An error file, and the end."""
        training.shown = self._shown(training.shown)
        training.attempt.errors.append((training.restart, kind, training.epoch, training.shown))
        self.leave(training, status=1)

    def go_on_later(self, training: Training, *, in_place: bool) -> None:
        """It stops in good order; the exit hook requeues the job, or is refused."""
        training.alive = False
        training.attempt.agains[training.restart] = self._shown(training.shown)
        if in_place:
            self.requeue(training.job, 5.0)
        elif self._is_on(training.job, training.restart):
            self.end(training.job, JobState.ENDED, "COMPLETED", status=0)

    def requeue(self, job: SimJob, after_s: float, *, zombie: bool = False) -> None:
        """The same job again; the queue calls it alive."""
        if not zombie:
            self._stop(job)
        job.state, job.raw_state, job.node, job.ended = JobState.QUEUED, "REQUEUED", None, None
        job.restart += 1
        job.begins = self._world.time + after_s
        self._world.at(after_s + 0.5, self.kick)

    def _stop(self, job: SimJob) -> None:
        for each in self.trainings:
            if each.job is job and each.restart == job.restart:
                each.alive = False
        self.trainings = [each for each in self.trainings if each.alive]

    def end(self, job: SimJob, state: JobState, word: str, *, status: int | None = None, zombie: bool = False) -> None:
        """The job ends; with a status its exit hook is made."""
        was_running = job.state is JobState.RUNNING
        if not zombie:
            self._stop(job)
        job.state, job.raw_state, job.ended = state, word, self._world.time
        if job.known:
            self.accounts[job.job_id, job.token] = (state, word)
            self._world.at(MIN_AGE, lambda: self._purge(job))
        self._world.at(1.0, self.kick)
        if status is not None and was_running and not job.is_reconciler:
            run, number = self._run_of(job)
            attempt = self._world.files.runs[run].attempts[number]
            if (attempt.token, attempt.index) == (job.token, job.index):
                attempt.exits[job.restart] = (status, self._shown(0.0))
            self._world.at(0.5, lambda: self._world.exit_hook())

    def _purge(self, job: SimJob) -> None:
        if not job.state.is_live:
            self.lose_sight(job)
            self.jobs = [each for each in self.jobs if each is not job]

    def lose_sight(self, job: SimJob) -> None:
        """The queue lists it no more; where nobody has decided by now, and no accounts tell, its word is lost."""
        job.known = False
        if not job.is_reconciler and not (self._world.settings.accounts and (job.job_id, job.token) in self.accounts):
            run, number = self._run_of(job)
            if self._world.files.runs[run].attempts[number].lost is None:
                self._world.blame(run, "unexplained")

    def forget(self, token: str) -> None:
        """The controller crashed, and knows nothing of it; what runs runs on for a while."""
        for job in [each for each in self.jobs if each.token == token]:
            self.accounts.pop((job.job_id, job.token), None)
            self.lose_sight(job)
            self.jobs.remove(job)
