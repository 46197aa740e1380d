"""What a packed job runs: several trainings side by side, each with its share, its log, its claim and its result.

Rule 1: how one ends is nothing to the others; its place takes the next that waits, at once.
Rule 2: it closes only when nothing runs and nothing waits, and looks once more after it has said so.
Rule 3: near its end it begins nothing new; where something is left to do it asks to be started again.
"""

import contextlib
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
from unetsweep.process import tied_to_us
from unetsweep.records import SlotTakenFile
from unetsweep.schedulers.packed.slot_table import (
    Packed,
    SlotTable,
    completion_event,
    is_published,
    more,
)
from unetsweep.schedulers.slurm import commands
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.worker.rank import GPU_SHARE
from unetsweep.worker.shares import cpus_of, gpus_of, visible_gpus

LOOK_S = 1.0
"""Between two looks at the board …"""
GLANCE_S = 0.1
"""… unless a training ends before."""
STOP_S = 15.0
"""What a training gets to leave in, before it is killed."""
DUMP_S = 2.0
STUCK_S = 60.0
"""How long an empty job tries to begin what it took, before it ends without it: then it is lost, and sent again."""
RECONCILE_S = 90.0
"""How long an empty job waits for the reconciliation that may have something new for it."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """The payload of each packed job: what there is to run, it finds on the board of its submission."""

    sweep_dir: str
    token: str
    processes: int
    """Of each training."""
    time_min: int
    jobs_reconcile: bool
    exit_timeout_s: int

    def __call__(self) -> None:
        env = os.environ
        task = int(env.get("SLURM_ARRAY_TASK_ID", "0"))
        base = env.get("SLURM_ARRAY_JOB_ID") or env.get("SLURM_JOB_ID", "0")
        _Manager(self, Path(self.sweep_dir), base, task, int(env.get("SLURM_RESTART_COUNT", "0"))).run()


@dataclass(slots=True)
class _Training:
    """One that runs in a place."""

    number: int
    run: int
    attempt: int
    restart: int
    owned: bool
    log: Path
    ranks: "list[subprocess.Popen[bytes]]"
    killed_at: float | None = None
    """When it is to be killed, where it was asked to leave."""
    published_at: float | None = None
    status: int = 0

    def is_over(self) -> bool:
        codes = [rank.poll() for rank in self.ranks]
        bad = next((code for code in codes if code), 0)
        self.status = self.status or (bad if bad >= 0 else 128 - bad)
        if self.status and self.killed_at is None:  # the others would wait for it
            self.killed_at = time.monotonic() + STOP_S
        return None not in codes

    def leave(self, *, dump: bool = False) -> None:
        if self.killed_at is not None:
            return
        self.killed_at = time.monotonic() + STOP_S
        if dump:
            self._signal(signal.SIGUSR1)
            time.sleep(DUMP_S)
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for rank in self.ranks:
            if rank.poll() is None:
                rank.send_signal(number)

    def kill_when_due(self) -> None:
        if self.killed_at is not None and time.monotonic() > self.killed_at:
            self._signal(signal.SIGKILL)


@dataclass(slots=True)
class _Manager:
    """One start of one packed job."""

    about: Allocation
    root: Path
    base: str
    task: int
    restart: int
    places: dict[int, _Training] = field(default_factory=dict)
    signals: list[int] = field(default_factory=list)
    wants_more: bool = False
    over: set[int] = field(default_factory=set)
    """Numbers that ended in this start."""
    told_at: float = 0.0
    stuck_at: float | None = None
    """Since when something waits that could not be begun."""

    def run(self) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, lambda number, _: self.signals.append(number))
        directory, packed = SweepDir(self.root), Packed(self.root, self.about.token)
        directory.check_private()
        closed, slots = False, packed.slots()
        while True:
            with _told("the board"):
                slots = packed.slots()
            self._reap(directory, packed, slots)
            self._call_off(slots)
            if not self._is_ending():
                self._fill(directory, packed, slots)
            if self.places:
                closed = False
            elif closed or self._is_ending():
                break
            elif not self._is_stuck() and self._has_no_completion_event():
                with _told("closing"):
                    packed.close(self.task)
                closed = True
                continue
            self._wait()
        self._leave(slots)

    def _wait(self) -> None:
        """Until it is time to look again, or a place is free."""
        until = time.monotonic() + LOOK_S
        while time.monotonic() < until and not any(training.is_over() for training in self.places.values()):
            time.sleep(GLANCE_S)

    def _fill(self, directory: SweepDir, packed: Packed, slots: SlotTable) -> None:
        waiting = self._next(slots)
        for place in range(slots.pack):
            if place in self.places:
                continue
            with _told(f"place {place}"):  # what was taken is tried again at the next look
                number = next((n for n in waiting if self._is_mine(packed, slots, n)), None)
                if number is None:
                    self.stuck_at = None
                    return
                self.stuck_at = self.stuck_at or time.monotonic()
                taken = slots.taken.get(number, SlotTakenFile(self.task, self.restart))
                self.places[place] = self._begin(directory, slots, number, place, self.restart - taken.restart)
                self.stuck_at = None

    def _is_stuck(self) -> bool:
        return self.stuck_at is not None and time.monotonic() < self.stuck_at + STUCK_S

    def _next(self, slots: SlotTable) -> Iterator[int]:
        """What an earlier start of this job began, and then what waits."""
        running = self.over | {training.number for training in self.places.values()}
        yield from sorted(self._mine(slots) - running - slots.ended.keys() - slots.cancelled - slots.stopped)
        yield from slots.waiting

    def _mine(self, slots: SlotTable) -> set[int]:
        return {number for number, taken in slots.taken.items() if taken.task == self.task}

    def _is_mine(self, packed: Packed, slots: SlotTable, number: int) -> bool:
        return number in slots.taken or packed.take(number, self.task, self.restart)

    def _begin(self, directory: SweepDir, slots: SlotTable, number: int, place: int, restart: int) -> _Training:
        token, index = slots.place(number)
        job_id, size = f"{self.base}.{number}", self.about.processes
        run, attempt = directory.intent(token).elements[index]
        log = self.root / paths.slurm_log(token, job_id)
        command = process.program("unetsweep.worker", "place", str(self.root), token)
        command += [str(index), job_id, str(restart)]
        environment = {**os.environ, **self._share(slots, place)}
        cpus = cpus_of(place, slots.pack, sorted(os.sched_getaffinity(0)))
        tie = tied_to_us()

        def begin() -> None:
            tie()
            os.sched_setaffinity(0, cpus)
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until it listens: the default would end it

        ranks: list[subprocess.Popen[bytes]] = []
        with log.open("ab") as stream:
            try:
                for rank in range(size):
                    started = process.start(
                        [*command, str(rank), str(size)],
                        stdin=subprocess.DEVNULL,
                        stdout=stream,
                        stderr=subprocess.STDOUT,
                        env=environment,
                        preexec_fn=begin,
                    )
                    ranks.append(started)
            except (OSError, subprocess.SubprocessError):  # the others would wait for this one
                for started in ranks:
                    started.kill()
                    started.wait()
                raise
        print(f"job {self.base}, place {place}: run {run} as {job_id}, log {log.name}", flush=True)  # noqa: T201
        return _Training(number, run, attempt, restart, directory.is_owner(token, index), log, ranks)

    def _share(self, slots: SlotTable, place: int) -> dict[str, str]:
        gpus = visible_gpus()
        if not gpus:
            return {}
        share = min(1.0, len(gpus) / slots.pack)
        return {"CUDA_VISIBLE_DEVICES": ",".join(gpus_of(place, slots.pack, gpus)), GPU_SHARE: f"{share:g}"}

    def _reap(self, directory: SweepDir, packed: Packed, slots: SlotTable) -> None:
        for place, training in list(self.places.items()):
            training.kill_when_due()
            if not training.is_over():
                continue
            del self.places[place]
            with _told(f"the end of training {training.number}"):
                about = (training.run, training.attempt, training.restart, training.status)
                if training.owned:
                    directory.record_exit(*about, training.log)
            if directory.wants_more(training.run, training.attempt, training.restart):
                self.wants_more = True
            elif signal.SIGTERM not in self.signals:  # else it is the job that ends, and says how
                self.over.add(training.number)
                self._tell()
        at_work = {training.number for training in self.places.values()}
        called_off = {n for n in self._mine(slots) & (slots.cancelled | slots.stopped) if n not in at_work}
        with _told("the end of trainings"):
            for number in (self.over | called_off) - slots.ended.keys():
                packed.end(number)

    def _call_off(self, slots: SlotTable) -> None:
        for training in self.places.values():
            if training.number in slots.stopped:
                training.leave(dump=True)
            elif training.number in slots.cancelled:
                training.leave()
            elif is_published(self.root, slots.place(training.number)):
                training.published_at = training.published_at or time.monotonic()
                if time.monotonic() > training.published_at + self.about.exit_timeout_s:
                    training.leave()

    def _tell(self) -> None:
        if self.about.jobs_reconcile:
            self.told_at = time.monotonic()
            completion_event(self.root, self.about.token, self.task).touch()

    def _has_no_completion_event(self) -> bool:
        """Whether the job's shell has reconciled the last that ended here, or has had its time."""
        path = completion_event(self.root, self.about.token, self.task)
        is_over = not path.exists() and not path.with_suffix(".looked").exists()
        return is_over or time.monotonic() > self.told_at + RECONCILE_S

    def _is_ending(self) -> bool:
        if self.signals or self.wants_more:
            return True
        end = os.environ.get("SLURM_JOB_END_TIME", "")
        lead = min(commands.SIGNAL_LEAD_S, self.about.time_min * 60 // 4)
        return end.isdecimal() and time.time() > float(end) - lead

    def _leave(self, slots: SlotTable) -> None:
        if signal.SIGTERM in self.signals:
            raise SystemExit(128 + signal.SIGTERM)
        if self.wants_more or slots.waiting:
            with contextlib.suppress(OSError):
                more(self.root, self.about.token, self.task, self.restart).touch()


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what went wrong, and go on: the other trainings are worth more, and the next look tries again."""
    try:
        yield
    except (UnetsweepError, OSError, subprocess.SubprocessError, KeyError, TypeError, ValueError) as error:
        print(f"{what}: {type(error).__name__}: {error}", flush=True)  # noqa: T201
