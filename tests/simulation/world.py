"""A history of one sweep: the real `reconcile` on files and a cluster in memory, with a script of faults.

Rule 1: a history follows from its settings and its script alone; the same ones give the same history.
Rule 2: jobs and reconciler jobs reconcile; a person only begins, and does what the script says.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from unetsweep.contract import DataConfig, ModelConfig
from unetsweep.core.actions import Submit, SubmitReconciler
from unetsweep.core.observation import JobState
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import Resources, RunSpec, StudySpec, SweepSpec, trials_wanted
from unetsweep.errors import UnetsweepError
from unetsweep.reconcile import loop
from unetsweep.reconcile.context import SweepContext

from .checks import Checks
from .cluster import Cluster, SimJob, Training
from .faults import apply_fault
from .files import Files
from .ports import Killed, Pass, PassFiles, PassQueue, SimulatedReconcilers, Study

PATIENCE_S = 24 * 3600.0
"""So long after the last fault the sweep must have ended."""
LEASE_S = 30.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds since the beginning."""
    kind: str
    which: int = 0
    """Chooses among what it could hit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The sweep and the place."""

    seed: int = 0
    trials: int = 4
    epochs: int = 4
    longer: tuple[int, ...] = ()
    """Further numbers of epochs: trials that differ in them alone share a run."""
    parallel: int | None = 2
    sampler: str = "grid"
    driver: str = "jobs"
    pruner: str | None = None
    accounts: bool = False
    overlap: bool = False
    """Passes may sleep for longer than the lease lives, and others pass them by."""
    largest: int = 1001
    nodes: tuple[str, ...] = ("n1", "n2", "n3")
    cursed: tuple[tuple[int, str], ...] = ()
    """(run, fault): what befalls it at every first epoch."""
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
class World:
    """Everything, at one moment."""

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

    def at(self, after_s: float, what: Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(self._events, (self.time + after_s, self._order, what))

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        until = self.time + seconds
        while self._events and self._events[0][0] <= until and not self.check.broken:
            self._step()
        self.time = max(self.time, until)

    def _step(self) -> None:
        self.time, _, what = heapq.heappop(self._events)
        what()
        self.counts["steps"] += 1
        self.check.now()

    def note(self, line: str) -> None:
        self.lines.append(f"{self.time:8.1f} {line}")
        if len(self.lines) > 400:
            del self.lines[:200]

    # ---- what the script turns on

    def turn_on(self, what: str, seconds: float, value: float = 0.0) -> None:
        self._on[what] = (self.time + seconds, value)

    def is_on(self, what: str) -> bool:
        return self._on.get(what, (0.0, 0.0))[0] > self.time

    def value(self, what: str, default: float) -> float:
        return self._on[what][1] if self.is_on(what) else default

    def arm(self, what: str) -> None:
        self._armed[what] += 1

    def armed(self, what: str) -> bool:
        if not self._armed[what]:
            return False
        self._armed[what] -= 1
        self.note(f"! {what}")
        return True

    def reuse(self, number: int) -> None:
        self._ids.append(number)

    def take_id(self) -> int | None:
        return self._ids.pop() if self._ids else None

    def blame(self, run: int, what: str) -> None:
        """This loss of the run is due to this."""
        self.check.blame(run, what)

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
        return dict(self.settings.cursed).get(run) == "diverge"

    def next_epoch(self, training: Training) -> None:
        run = training.attempt.run
        cursed = dict(self.settings.cursed).get(run)
        if cursed is not None and cursed != "diverge":
            seed = Fault(self.time, cursed)
            self.at(5.0, lambda: training.alive and apply_fault(self, seed, training))
        length = self.settings.epoch_s * (0.8 + 0.4 * self.random.random())
        self.at(length, lambda: None if training.stuck else self.cluster.epoch(training))

    # ---- passes

    def moment_of(self, mine: Pass) -> None:
        """A reconciliation is between two deeds: it may die here, or sleep."""
        self.counts["deeds"] += 1
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

    def reconcile_sweep(self, who: str, mine: str | None = None, *, interactive: bool = False) -> bool:
        """Whether it came to its end; where the lease is held, its holder takes another turn."""
        if self.check.broken:
            return True
        if self._depth and self.time < self._held_until:
            self._turn = mine is None
            return mine is None
        self.counts["passes"] += 1
        self._depth += 1
        try:
            return self._pass(who, mine, interactive=interactive)
        finally:
            self._depth -= 1
            if not self._depth and self._turn:
                self._turn = False
                self.at(0.1, lambda: self.reconcile_sweep("another turn"))

    def _pass(self, who: str, mine: str | None, *, interactive: bool) -> bool:
        view = Pass(self, self.value("clock", 0.0), mine is not None)
        self.note(f"pass: {who}")
        ports = SweepContext(
            self.spec,
            PassFiles(view),
            PassQueue(view),
            Study(self),
            view,
            SimulatedReconcilers(view),
            lambda token, sent: self._submission(token, sent),
            lambda token, keep: self._reconciler(token, keep),
            mine=mine,
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
        self.check.planned(view, reconciliation)
        return mine is None or (
            reconciliation.observation.scheduler_error is None and not reconciliation.lacks_reconciler
        )

    def _submission(self, token: str, sent: Submit) -> Submission:
        resources = Resources(mem=sent.mem)
        return Submission(
            token, "sim", Path("/sim"), len(sent.elements), resources, sent.throttle, exclude=sent.exclude
        )

    def _reconciler(self, token: str, keep: SubmitReconciler) -> ReconcilerRequest:
        return ReconcilerRequest(token, "sim", Path("/sim"), Resources(), keep.after, keep.delay_s)

    # ---- who reconciles

    def exit_hook(self) -> None:
        if self.settings.driver == "jobs":
            self.reconcile_sweep("exit hook")

    def periodic(self, job: SimJob, restart: int) -> None:
        """The job's batch shell looks whether a reconciliation is due, as long as it lives."""

        def look() -> None:
            if job.state is not JobState.RUNNING or job.restart != restart:
                return
            if self.settings.driver == "jobs" and self.time - self.files.last_reconciliation >= 60:
                self.reconcile_sweep("periodic")
            self.periodic(job, restart)

        self.at(30 + 30 * self.random.random(), look)

    def begin(self) -> None:
        """Somebody submits the sweep (again)."""
        if self.settings.driver == "jobs":
            self.person()
        else:
            self.watch()

    def person(self) -> None:
        """Who began the sweep tries until a reconciliation comes to its end and the queue answered."""
        is_fine = self.reconcile_sweep("submit", interactive=True) and not self.is_on("scheduler_error")
        is_fine = is_fine and bool(self.cluster.count() or not self.files.open)  # else it says that nothing was sent
        if not is_fine:
            self.at(60.0, self.person)

    def watch(self) -> None:
        self.reconcile_sweep("watch")
        if not self.is_over():
            self.at(30.0, self.watch)

    # ---- the history

    def is_over(self) -> bool:
        wanted = self.files.stopped or len(self.files.trials) >= trials_wanted(self.spec)
        return wanted and not self.files.open and not self.cluster.count()

    def run(self) -> "World":
        """The whole history; AssertionError where an invariant was broken."""
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
            told = "\n".join(self.lines[-150:])
            raise AssertionError(f"{self.check.broken[0]}\n{self.settings}\n{self.script}\n{told}")
        return self
