"""What a packed job runs: several trainings side by side, each with its share of the job, its log and its claim.

This is the loop: it observes, lets `allocation_policy.decide` choose the actions, and applies them.
"""

import contextlib
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from unetsweep import process
from unetsweep.core import paths
from unetsweep.errors import UnetsweepError
from unetsweep.records import SlotTakenFile
from unetsweep.schedulers.packed.slot_table import (
    SlotTable,
    SlotTableDir,
    completion_event,
    is_published,
    requeue_marker,
)
from unetsweep.schedulers.slurm import commands
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.worker.allocation_policy import (
    Action,
    Close,
    JobObservation,
    KeepRunning,
    Leave,
    Limits,
    MarkEnded,
    RunningTraining,
    StartTrainings,
    StopTraining,
    decide,
    startable,
)
from unetsweep.worker.rank import GPU_SHARE
from unetsweep.worker.shares import cpus_of, gpus_of, visible_gpus
from unetsweep.worker.slot_processes import SlotProcesses, start_ranks
from unetsweep.worker.warm import WarmServer

OBSERVE_S = 1.0
"""Time between two observations while no training ends. Each lists a folder on the shared disk."""
POLL_S = 0.1
"""Time between two checks whether a training has ended, which cost nothing. If one has, the job observes at once."""
RECONCILE_S = 90.0
"""How long an idle job waits for the reconciliation after a training's end, which may send it new trainings."""
_FAILURES = (UnetsweepError, OSError, subprocess.SubprocessError, KeyError, TypeError, ValueError)
"""Errors that the files and processes of one training may raise: they are logged, and the other trainings continue."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """The payload of each job of a packed submission; the slot table says which trainings it runs."""

    sweep_dir: str
    token: str
    processes: int
    """Number of ranks of each training."""
    time_min: int
    jobs_reconcile: bool
    exit_timeout_s: int
    resumes: bool = True
    """Whether a training continues in the next job."""
    is_built_in: bool = False
    """Whether the trainings are those of the built-in trainer, so that a warm server saves each its imports."""

    def __call__(self) -> None:
        env = os.environ
        task = int(env.get("SLURM_ARRAY_TASK_ID", "0"))
        base = env.get("SLURM_ARRAY_JOB_ID") or env.get("SLURM_JOB_ID", "0")
        _Manager(self, Path(self.sweep_dir), base, task, int(env.get("SLURM_RESTART_COUNT", "0"))).run()


@dataclass(slots=True)
class _Manager:
    """One start of one packed job."""

    allocation: Allocation
    root: Path
    base: str
    """Id of the job's array."""
    task: int
    restart: int
    slots: dict[int, SlotProcesses] = field(default_factory=dict)
    """The running trainings, by slot."""
    ended: set[int] = field(default_factory=set)
    signals: set[int] = field(default_factory=set)
    wants_requeue: bool = False
    is_closed: bool = False
    last_event_at: float = 0.0
    failing_since: float | None = None
    longest_s: float = 0.0
    """The longest training that has ended."""
    server: WarmServer | None = None
    directory: SweepDir = field(init=False)
    packed: SlotTableDir = field(init=False)
    table: SlotTable = field(init=False)

    def __post_init__(self) -> None:
        self.directory, self.packed = SweepDir(self.root), SlotTableDir(self.root, self.allocation.token)

    def run(self) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, lambda number, _: self.signals.add(number))
        self.directory.check_private()
        self.table = self.packed.read()
        lead_s = min(commands.SIGNAL_LEAD_S, self.allocation.time_min * 60 // 4)
        limits = Limits(self.allocation.exit_timeout_s, lead_s, self.allocation.resumes)
        if self.allocation.is_built_in:
            with _log_failure("the warm server"):
                self.server = WarmServer()
        action: Action = KeepRunning()
        while not isinstance(action, Leave):
            with _log_failure("the slot table"):
                self.table = self.packed.read()
            self._collect_ended()
            for action in decide(self._observe(), limits):
                self._apply(action)

    # ---- observing

    def _observe(self) -> JobObservation:
        now = time.monotonic()
        end = os.environ.get("SLURM_JOB_END_TIME", "")
        observation = JobObservation(
            task=self.task,
            table=self.table,
            running=tuple(self._observe_training(slot, training, now) for slot, training in self.slots.items()),
            ended=frozenset(self.ended),
            failing_s=0.0 if self.failing_since is None else now - self.failing_since,
            signals=frozenset(self.signals),
            wants_requeue=self.wants_requeue,
            seconds_left=float(end) - time.time() if end.isdecimal() else math.inf,
            longest_s=self.longest_s,
            reconciliation_pending=not self.slots and self._is_reconciliation_pending(),
            is_closed=self.is_closed,
        )
        if not startable(observation):
            self.failing_since = None
        return observation

    def _observe_training(self, slot: int, training: SlotProcesses, now: float) -> RunningTraining:
        if not is_published(self.root, self.table.element(training.number)):
            return RunningTraining(training.number, slot)
        training.published_at = training.published_at or now
        return RunningTraining(training.number, slot, now - training.published_at)

    def _is_reconciliation_pending(self) -> bool:
        """Whether the job's shell still reconciles after the last training's end, and `RECONCILE_S` is not over."""
        event = completion_event(self.root, self.allocation.token, self.task)
        is_pending = event.exists() or event.with_suffix(".processing").exists()
        return is_pending and time.monotonic() <= self.last_event_at + RECONCILE_S

    def _collect_ended(self) -> None:
        """Record the trainings that have ended, and free their slots."""
        for slot, training in list(self.slots.items()):
            training.kill_when_due()
            if not training.is_over():
                continue
            del self.slots[slot]
            self.longest_s = max(self.longest_s, time.monotonic() - training.started_at)
            with _log_failure(f"the end of training {training.number}"):
                start = (training.run, training.attempt, training.restart)
                if training.is_owner:
                    self.directory.record_exit(*start, training.status, training.log)
            if self.directory.has_requeue_request(training.run, training.attempt, training.restart):
                self.wants_requeue = True
            elif signal.SIGTERM not in self.signals:  # else the whole job ends, and its exit hook reports that
                self.ended.add(training.number)
                self._request_reconciliation()

    def _request_reconciliation(self) -> None:
        if self.allocation.jobs_reconcile:
            self.last_event_at = time.monotonic()
            completion_event(self.root, self.allocation.token, self.task).touch()

    # ---- acting

    def _apply(self, action: Action) -> None:
        match action:
            case MarkEnded(number):
                with _log_failure(f"the mark of training {number}"):
                    self.packed.end(number)
            case StopTraining(slot, dump_stacks):
                self.slots[slot].stop(dump_stacks=dump_stacks)
            case StartTrainings(slots, numbers):
                self._start_trainings(slots, numbers)
            case KeepRunning():
                self._wait()
            case Close():
                with _log_failure("closing"):
                    self.packed.close(self.task)
                self.is_closed = True
            case Leave(requeue, status):
                self._leave(requeue, status)

    def _wait(self) -> None:
        """Wait until it is time to observe again, or a training has ended."""
        until = time.monotonic() + OBSERVE_S
        while time.monotonic() < until and not any(training.is_over() for training in self.slots.values()):
            time.sleep(POLL_S)

    def _start_trainings(self, slots: tuple[int, ...], numbers: tuple[int, ...]) -> None:
        """Start a training in each slot; one that cannot be started is tried again after the next observation."""
        candidates = iter(numbers)
        for slot in slots:
            try:
                number = next((n for n in candidates if self._take(n)), None)
                if number is None:
                    return
                self.slots[slot] = self._start(number, slot)
            except _FAILURES as error:
                self.failing_since = self.failing_since or time.monotonic()
                _print(f"slot {slot}: {type(error).__name__}: {error}")
            else:
                self.failing_since, self.is_closed = None, False

    def _take(self, number: int) -> bool:
        """Whether this job has the training: from an earlier start, or because it takes it now."""
        return number in self.table.taken or self.packed.take(number, self.task, self.restart)

    def _start(self, number: int, slot: int) -> SlotProcesses:
        token, index = self.table.element(number)
        job_id = f"{self.base}.{number}"
        taken = self.table.taken.get(number, SlotTakenFile(self.task, self.restart))
        restart = self.restart - taken.restart
        run, attempt = self.directory.attempt_of(token, index)
        log = self.root / paths.job_log(token, job_id)
        command = process.program("unetsweep.worker", "slot", str(self.root), token, str(index), job_id, str(restart))
        environment = {**os.environ, **self._gpu_environment(slot)}
        cpus = cpus_of(slot, self.table.pack, sorted(os.sched_getaffinity(0)))
        is_owner = self.directory.is_owner(token, index)
        server = None if self.server is None or self.server.is_lost else self.server
        ranks = start_ranks(command, self.allocation.processes, log, environment, cpus, server)
        _print(f"job {self.base}, slot {slot}: run {run} as {job_id}, log {log.name}")
        return SlotProcesses(number, run, attempt, restart, is_owner, log, ranks)

    def _gpu_environment(self, slot: int) -> dict[str, str]:
        gpus = visible_gpus()
        if not gpus:
            return {}
        share = min(1.0, len(gpus) / self.table.pack)
        return {"CUDA_VISIBLE_DEVICES": ",".join(gpus_of(slot, self.table.pack, gpus)), GPU_SHARE: f"{share:g}"}

    def _leave(self, requeue: bool, status: int) -> None:
        if requeue:
            with contextlib.suppress(OSError):
                requeue_marker(self.root, self.allocation.token, self.task, self.restart).touch()
        if status:
            raise SystemExit(status)


@contextlib.contextmanager
def _log_failure(what: str) -> Iterator[None]:
    """Print an error and continue, since the other trainings matter more; the next round tries again."""
    try:
        yield
    except _FAILURES as error:
        _print(f"{what}: {type(error).__name__}: {error}")


def _print(message: str) -> None:
    print(message, flush=True)  # noqa: T201  # into the log of the job
