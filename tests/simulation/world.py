"""A history of one sweep: the real `reconcile` on files and a cluster in memory, with a script of faults.

Rule 1: a history is determined by its settings and its script.
Rule 2: jobs and reconciler jobs reconcile; the user only submits, and does what the script says.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from unetsweep.contract import DataConfig, ModelConfig
from unetsweep.core.actions import Submit, SubmitReconciler
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.observation import JobState
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import Resources, RunSpec, StudySpec, SweepSpec
from unetsweep.errors import UnetsweepError
from unetsweep.reconcile import loop
from unetsweep.reconcile.context import SweepContext

from .checks import Checks
from .cluster import Cluster, SimJob, Training
from .faults import apply_fault
from .files import Files
from .ports import (
    Killed,
    SimulatedDirectory,
    SimulatedReconcilers,
    SimulatedReconciliation,
    SimulatedScheduler,
    SimulatedStudy,
)

PATIENCE_S = 24 * 3600.0
"""A sweep that has not ended this long after the last fault counts as stuck."""
LEASE_S = 30.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds since the beginning."""
    kind: str
    which: int = 0
    """Selects one of the possible targets."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The sweep and its cluster."""

    seed: int = 0
    trials: int = 4
    epochs: int = 4
    longer: tuple[int, ...] = ()
    """More values of epochs: trials that differ in epochs only share a run."""
    parallel: int | None = 2
    sampler: str = "grid"
    driver: str = "jobs"
    pruner: str | None = None
    accounts: bool = False
    overlap: bool = False
    """Whether reconciliations may sleep until their lease expires, so that others overtake them."""
    largest: int = 1001
    nodes: tuple[str, ...] = ("n1", "n2", "n3")
    recurring: tuple[tuple[int, str], ...] = ()
    """(run, fault): the fault hits this run in every epoch."""
    epoch_s: float = 30.0


def spec_of(settings: Settings) -> SweepSpec:
    rates = Choices(tuple(1e-3 * (k + 1) for k in range(settings.trials)))
    adaptive = settings.sampler != "grid"
    epochs = tuple(sorted({settings.epochs, *settings.longer}))
    trials = settings.trials * len(epochs)
    space = Space.of(
        epochs=Choices(epochs),
        batch_size=Choices((4,)),
        learning_rate=Range(1e-5, 1e-1, log=True) if adaptive else rates,
    )
    study = StudySpec(settings.sampler, trials=trials if adaptive else None, pruner=settings.pruner)
    run = RunSpec(settings.parallel, settings.driver)  # type: ignore[arg-type]
    slurm = Resources(mem="4G", mem_max="16G")
    return SweepSpec("sim", DataConfig("images"), space, study, ModelConfig(norm="none"), run=run, slurm=slurm)


@dataclass(eq=False)
class SimulatedWorld:
    """The state of one history: time, files, cluster, invariants and pending events."""

    settings: Settings
    script: tuple[Fault, ...] = ()
    time: float = 0.0
    files: Files = field(default_factory=Files)
    lines: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.settings.seed)
        self.spec = spec_of(self.settings)
        self.cluster = Cluster(self)
        self.check = Checks(self)
        self.paused: str | None = None
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = 0
        self._on: dict[str, tuple[float, float]] = {}
        self._armed: Counter[str] = Counter()
        self._ids: list[int] = []
        self._tokens = 0
        self._depth = 0
        self._turn = False
        self._held_until = 0.0
        self.deaths: list[int] = []
        self.sleeps: list[tuple[int, float]] = []

    # ---- time

    def at(self, after_s: float, action: Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(self._events, (self.time + after_s, self._order, action))

    def advance(self, seconds: float) -> None:
        """Advance the time and run the events that are due."""
        until = self.time + seconds
        while self._events and self._events[0][0] <= until and not self.check.broken:
            self._step()
        self.time = max(self.time, until)

    def _step(self) -> None:
        self.time, _, action = heapq.heappop(self._events)
        action()
        self.counts["steps"] += 1
        self.check.now()

    def note(self, line: str) -> None:
        self.lines.append(f"{self.time:8.1f} {line}")
        if len(self.lines) > 400:
            del self.lines[:200]

    # ---- conditions that the script turns on

    def turn_on(self, condition: str, seconds: float, value: float = 0.0) -> None:
        self._on[condition] = (self.time + seconds, value)

    def is_on(self, condition: str) -> bool:
        return self._on.get(condition, (0.0, 0.0))[0] > self.time

    def value(self, condition: str, default: float) -> float:
        return self._on[condition][1] if self.is_on(condition) else default

    def arm(self, event: str) -> None:
        self._armed[event] += 1

    def armed(self, event: str) -> bool:
        if not self._armed[event]:
            return False
        self._armed[event] -= 1
        self.note(f"! {event}")
        return True

    def reuse(self, number: int) -> None:
        self._ids.append(number)

    def take_id(self) -> int | None:
        return self._ids.pop() if self._ids else None

    def blame(self, run: int, cause: str) -> None:
        """Count this cause of a loss of the run."""
        self.check.blame(run, cause)

    # ---- the sweep's numbers

    def new_token(self) -> str:
        self._tokens += 1
        return f"{self._tokens:012x}"

    def point(self, number: int) -> dict[str, float]:
        lengths = (self.settings.epochs, *self.settings.longer)
        rate, length = divmod(number, len(lengths))
        return {"epochs": lengths[length], "batch_size": 4, "learning_rate": 1e-3 * (rate + 1)}

    def value_of(self, run: int, epoch: int) -> float:
        return 0.3 + 0.01 * ((run * 7 + self.settings.seed) % 13) + 0.01 * epoch

    def diverges(self, run: int) -> bool:
        return dict(self.settings.recurring).get(run) == "diverge"

    def next_epoch(self, training: Training) -> None:
        run = training.attempt.run
        recurring = dict(self.settings.recurring).get(run)
        if recurring is not None and recurring != "diverge":
            seed = Fault(self.time, recurring)
            self.at(5.0, lambda: training.alive and apply_fault(self, seed, training))
        length = self.settings.epoch_s * (0.8 + 0.4 * self.random.random())
        self.at(length, lambda: None if training.stuck else self.cluster.epoch(training))

    # ---- reconciliations

    def maybe_interrupt(self, reconciliation: SimulatedReconciliation) -> None:
        """Kill the reconciliation between two effects, or let it sleep, if the script says so."""
        self.counts["effects"] += 1
        if self.deaths:
            self.deaths[0] -= 1
            if self.deaths[0] < 0:
                self.deaths.pop(0)
                self.counts["kills"] += 1
                self.note("! the reconciliation is killed")
                raise Killed
        if self.sleeps and self._depth < 3:
            left, seconds = self.sleeps[0]
            self.sleeps[0] = (left - 1, seconds)
            if left <= 0:
                self.sleeps.pop(0)
                self.counts["sleeps"] += 1
                self.note(f"! the reconciliation sleeps for {seconds:.0f} s")
                self._held_until = self.time + LEASE_S
                self.advance(seconds if self.settings.overlap else min(seconds, LEASE_S - 5))
                self.note("the reconciliation wakes")

    def reconcile_sweep(
        self, caller: str, own_reconciler_token: str | None = None, *, interactive: bool = False
    ) -> bool:
        """Reconcile; whether that succeeded. While the lease is held, its holder takes another turn instead."""
        if self.check.broken:
            return True
        if self._depth and self.time < self._held_until:
            self._turn = own_reconciler_token is None
            return own_reconciler_token is None
        self.counts["reconciliations"] += 1
        self._depth += 1
        try:
            return self._reconcile(caller, own_reconciler_token, interactive=interactive)
        finally:
            self._depth -= 1
            if not self._depth and self._turn:
                self._turn = False
                self.at(0.1, lambda: self.reconcile_sweep("another turn"))

    def _reconcile(self, caller: str, own_reconciler_token: str | None, *, interactive: bool) -> bool:
        view = SimulatedReconciliation(self, self.value("clock", 0.0), own_reconciler_token is not None)
        self.note(f"reconciliation: {caller}")
        ports = SweepContext(
            self.spec,
            SimulatedDirectory(view),
            SimulatedScheduler(view),
            SimulatedStudy(self),
            view,
            SimulatedReconcilers(view),
            lambda token, submit: self._submission(token, submit),
            lambda token, submit: self._reconciler(token, submit),
            own_reconciler_token=own_reconciler_token,
            interactive=interactive,
        )
        try:
            reconciliation = loop.reconcile(ports, notify=lambda action: self.note(f"  {action}"))
        except Killed:
            return False
        except UnetsweepError as error:
            self.note(f"  {error}")
            return False
        self.paused = reconciliation.plan.paused
        self.check.planned(reconciliation)
        return own_reconciler_token is None or (
            reconciliation.observation.scheduler_error is None and not reconciliation.lacks_reconciler
        )

    def _submission(self, token: str, submit: Submit) -> Submission:
        resources = Resources(mem=submit.mem)
        return Submission(
            token, "sim", Path("/sim"), len(submit.elements), resources, submit.throttle, exclude=submit.exclude
        )

    def _reconciler(self, token: str, submit: SubmitReconciler) -> ReconcilerRequest:
        return ReconcilerRequest(token, "sim", Path("/sim"), Resources(), submit.after, submit.delay_s)

    # ---- the callers of reconcile_sweep

    def exit_hook(self) -> None:
        if self.settings.driver == "jobs":
            self.reconcile_sweep("exit hook")

    def periodic(self, job: SimJob, restart: int) -> None:
        """Let the batch shell of the job check from time to time whether a reconciliation is due."""

        def check() -> None:
            if job.state is not JobState.RUNNING or job.restart != restart:
                return
            if self.settings.driver == "jobs" and self.time - self.files.last_reconciliation >= 60:
                self.reconcile_sweep("periodic")
            self.periodic(job, restart)

        self.at(30 + 30 * self.random.random(), check)

    def begin(self) -> None:
        """The user submits the sweep, or submits it again."""
        if self.settings.driver == "jobs":
            self.submit()
        else:
            self.watch()

    def submit(self) -> None:
        """The user submits until a reconciliation succeeds and the queue has answered."""
        is_done = self.reconcile_sweep("submit", interactive=True) and not self.is_on("scheduler_error")
        is_done = is_done and bool(
            self.cluster.count() or not self.files.open
        )  # otherwise it reports that nothing was submitted
        if not is_done:
            self.at(60.0, self.submit)

    def watch(self) -> None:
        self.reconcile_sweep("watch")
        if not self.is_over():
            self.at(30.0, self.watch)

    # ---- the history

    def is_over(self) -> bool:
        wanted = self.files.cancelled or len(self.files.trials) >= trials_wanted(self.spec)
        return wanted and not self.files.open and not self.cluster.count()

    def run(self) -> "SimulatedWorld":
        """Run the whole history; raises AssertionError if an invariant breaks."""
        for fault in self.script:
            self.at(fault.at, lambda fault=fault: apply_fault(self, fault))
        self.at(0.0, self.begin)
        last = max((fault.at for fault in self.script), default=0.0)
        while self._events and not self.check.broken and not (self.time > last and self.is_over()):
            if self.time > last + PATIENCE_S or self.counts["steps"] > 60_000:
                break
            self._step()
        if not self.check.broken:
            self.check.at_the_end(last)
        if self.check.broken:
            lines = "\n".join(self.lines[-150:])
            raise AssertionError(f"{self.check.broken[0]}\n{self.settings}\n{self.script}\n{lines}")
        return self
