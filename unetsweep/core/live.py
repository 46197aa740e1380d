"""What is known of a sweep at one time: what `status` prints and `watch` draws.

Rule 1: pure data. `app.live` fills it in from an observation, and the renderers read it.
Rule 2: None means "not known"; each field says what else it may mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from unetsweep.core.end_estimate import UNKNOWN_END, EndEstimate
from unetsweep.core.failures import FailedTrials
from unetsweep.core.sweep_state import OPEN

OLD_AGE = timedelta(minutes=2)
"""A figure that is older than this is shown with its age."""


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """One trial that has not ended."""

    number: int
    state: str
    """`running`, `submitted` or `waiting`, or the state of its result until a reconciliation has seen that."""
    reason: str = ""
    """Why it waits; may be empty."""
    job_id: str | None = None
    node: str | None = None
    """Where it runs; None: not known, or it does not run."""
    epoch: int = 0
    """Epochs that its run has finished, at most its own."""
    epochs: int = 0
    """Epochs that it asks for; 0: its program has none, or they are not known."""
    curve: tuple[tuple[int, float], ...] = ()
    """Epoch and value of the metric, in order."""
    best: float | None = None
    """The best value of the metric so far; None: no epoch has reported one."""
    reported_at: datetime | None = None
    """When its last epoch was reported; None: none was."""
    starts_at: datetime | None = None
    """When the scheduler expects its job to start; None: it does not say."""

    @property
    def latest(self) -> float | None:
        """The newest value of the metric; None: no epoch has reported one."""
        return self.curve[-1][1] if self.curve else None


@dataclass(frozen=True, slots=True)
class WaitingTrials:
    """Open trials that do not run, for the same reason."""

    state: str
    """`submitted` or `waiting`."""
    reason: str
    trials: tuple[int, ...]
    starts_at: datetime | None = None
    """When the scheduler expects the first of their jobs to start; None: it does not say."""


@dataclass(frozen=True, slots=True)
class BestTrial:
    """The best complete trial."""

    number: int
    score: float
    """The metric; with repeats its mean over the trainings of the point."""


@dataclass(frozen=True, slots=True)
class SweepEvent:
    """One line of the sweep's ledger."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class UsedHours:
    """What all attempts have used."""

    hours: float
    unit: str
    """`GPU` or `CPU`."""


@dataclass(frozen=True, slots=True)
class LiveSweep:
    """One sweep."""

    name: str
    executor: str
    wanted: int
    """Trials that it asks for."""
    metric: str
    """The name of its metric for people."""
    at: datetime
    """When its files were read."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many trials are in each state."""
    open_trials: tuple[LiveTrial, ...] = ()
    failures: tuple[FailedTrials, ...] = ()
    """Those of the ended trials that failed, by their reasons."""
    best: BestTrial | None = None
    """None: no trial is complete."""
    used: UsedHours | None = None
    end: EndEstimate = UNKNOWN_END
    events: tuple[SweepEvent, ...] = ()
    """The last ones, the oldest first."""
    scheduler_error: str | None = None
    """Why the scheduler could not be asked; None: it answered, or there was nothing to ask."""
    answered_at: datetime | None = None
    """When the scheduler last answered; None: it has not since the command began."""
    paused: str | None = None
    """Why the sweep is paused; None: it is not."""
    active: int = 0
    """Trainings whose jobs may still run."""
    limit: str | None = None
    """Why no more trials are proposed, although the sweep asks for more; None: its limit does not prevent it."""
    problem: str | None = None
    """What keeps the sweep from continuing by itself, and what to do; None: nothing."""
    is_over: bool = False
    """Whether nothing changes any more unless a person does something."""

    @property
    def running(self) -> tuple[LiveTrial, ...]:
        """The trials that run."""
        return tuple(trial for trial in self.open_trials if trial.state == "running")

    @property
    def waiting(self) -> tuple[WaitingTrials, ...]:
        """The open trials that do not run, by state and reason: the most frequent reason first."""
        groups: dict[tuple[str, str], list[LiveTrial]] = {}
        for trial in self.open_trials:
            if trial.state in OPEN and trial.state != "running":
                groups.setdefault((trial.state, trial.reason), []).append(trial)
        found = [_group(state, reason, trials) for (state, reason), trials in groups.items()]
        return tuple(sorted(found, key=lambda each: (each.state, -len(each.trials))))

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(count for state, count in self.counts.items() if state not in OPEN)

    @property
    def failed(self) -> int:
        """How many trials failed."""
        return sum(len(each.trials) for each in self.failures)

    @property
    def is_well(self) -> bool:
        """Whether nothing went wrong: no trial failed, the sweep is not paused and continues, and if it is over, a
        trial is complete."""
        has_result = bool(self.counts.get("complete")) or not self.is_over
        is_stuck = self.is_over and self.problem is not None
        return not self.failures and self.paused is None and not is_stuck and has_result


def _group(state: str, reason: str, trials: list[LiveTrial]) -> WaitingTrials:
    starts = [trial.starts_at for trial in trials if trial.starts_at is not None]
    return WaitingTrials(state, reason, tuple(trial.number for trial in trials), min(starts, default=None))


def with_last_answer(current: LiveSweep, last: LiveSweep | None) -> LiveSweep:
    """Return the sweep with the last known states of its jobs, if the scheduler does not answer now.

    What the files say stays: epochs, scores, and which trials have ended.
    """
    if current.scheduler_error is None or last is None:
        return current
    known = {trial.number: trial for trial in last.open_trials}
    trials = tuple(_as_before(trial, known.get(trial.number)) for trial in current.open_trials)
    counts: dict[str, int] = {state: count for state, count in current.counts.items() if state not in OPEN}
    for trial in trials:
        if trial.state in OPEN:
            counts[trial.state] = counts.get(trial.state, 0) + 1
    return replace(current, open_trials=trials, counts=counts, answered_at=last.answered_at)


def _as_before(trial: LiveTrial, last: LiveTrial | None) -> LiveTrial:
    if last is None or trial.state not in OPEN or last.state not in OPEN:
        return trial
    if last.state != "running" and trial.epoch > last.epoch:  # it has started since
        return replace(trial, state="running")
    job_id, node = trial.job_id or last.job_id, trial.node or last.node
    return replace(trial, state=last.state, reason=last.reason, job_id=job_id, node=node, starts_at=last.starts_at)
