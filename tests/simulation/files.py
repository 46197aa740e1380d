"""The sweep directory in memory, with the promises of store/sweep_dir: the first link() wins.

Rule 1: on a slow file system, files of jobs become visible to reconciliations late, in the order of writing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from unetsweep.contract import Result
from unetsweep.core.causes import Cause
from unetsweep.core.observation import (
    Attempt,
    Ending,
    EpochReport,
    Failure,
    Observation,
    PruneDecision,
    ReconcilerJob,
    Run,
    Trial,
)

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
MAX_ENDED_FOR_FAILURES = 10


def moment(seconds: float) -> datetime:
    return BEGINNING + timedelta(seconds=seconds)


@dataclass(slots=True)
class SimClaim:
    """The claim of one start of an attempt."""

    job_id: str
    at: datetime
    node: str
    visible_at: float


@dataclass(slots=True)
class SimAttempt:
    """The files of one attempt."""

    run: int
    number: int
    token: str
    index: int
    at: datetime
    throttle: int | None
    trials: tuple[tuple[int, int], ...]
    mem: str | None
    micro_batch: int | None
    job_id: str | None = None
    lost: dict[str, Any] | None = None
    terminated_for: str | None = None
    retry_exempt: bool = False
    claims: dict[int, SimClaim] = field(default_factory=dict)
    requeues: dict[int, float] = field(default_factory=dict)
    errors: list[tuple[int, str, int, float]] = field(default_factory=list)
    """(restart, kind, finished epochs, visible from)."""
    exits: dict[int, tuple[int, float]] = field(default_factory=dict)


@dataclass(slots=True)
class SimRun:
    """The files of one run."""

    number: int
    attempts: dict[int, SimAttempt] = field(default_factory=dict)
    published_states: dict[int, tuple[str, float]] = field(default_factory=dict)
    points: dict[int, tuple[EpochReport, float]] = field(default_factory=dict)
    lines: list[tuple[datetime, float]] = field(default_factory=list)
    """(time, visible from) of every line of progress."""
    saved: int = 0
    """The epoch of its last checkpoint."""
    prune_decision: PruneDecision | None = None
    retries_reset_at: int = 0

    def owner(self) -> tuple[int, int]:
        """The highest claim, as (attempt, restart)."""
        return max(((k, r) for k, each in self.attempts.items() for r in each.claims), default=(0, 0))


@dataclass(slots=True)
class SimTrial:
    """The files of one trial."""

    number: int
    run: int
    epochs: int
    key: str
    """Trials with the same key may share a run."""
    params: dict[str, float]
    cancelled: float | None = None
    """When the user cancelled it."""
    result: Result | None = None


@dataclass(slots=True)
class SimReconciler:
    """The files of one reconciler job."""

    token: str
    at: datetime
    lost: bool = False
    as_training: bool = False
    refusal: str | None = None
    refused_at: datetime | None = None


@dataclass(slots=True)
class Files:
    """All files of the sweep. Seconds are those of the true clock."""

    trials: dict[int, SimTrial] = field(default_factory=dict)
    runs: dict[int, SimRun] = field(default_factory=dict)
    tokens: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    reconcilers: dict[int, SimReconciler] = field(default_factory=dict)
    logs: set[tuple[str, str]] = field(default_factory=set)
    """(token, job id) of every started job."""
    cancelled: bool = False
    last_reconciliation: float = -1e9
    open: set[int] = field(default_factory=set)
    """Numbers of the trials that have not ended."""

    def observe(self, now: float, clock: datetime) -> Observation:
        """The observation that a reconciliation makes now, by its clock."""
        trials = [self.trials[number] for number in sorted(self.open)]
        found = tuple(
            Trial(
                each.number,
                each.run,
                each.epochs,
                each.cancelled is not None,
                int(each.params["batch_size"]),
                cancelled_at=None if each.cancelled is None else clock - timedelta(seconds=now - each.cancelled),
            )
            for each in trials
        )
        runs = {number: observed_run(self.runs[number], now) for number in {each.run for each in trials}}
        ended = len(self.trials) - len(self.open)
        return Observation(
            ended, found, runs, self.cancelled, None, self._failures(ended), last_reconciler_job=self._reconciler()
        )

    def _reconciler(self) -> ReconcilerJob | None:
        if not self.reconcilers:
            return None
        number = max(self.reconcilers)
        newest = self.reconcilers[number]
        accepted = [each for each, files in self.reconcilers.items() if files.refusal is None]
        last = newest if newest.refusal is None else self.reconcilers[max(accepted, default=number)]
        return ReconcilerJob(
            number, last.token, last.at, last.lost, last.as_training, newest.refusal, newest.refused_at
        )

    def _failures(self, ended: int) -> tuple[Failure, ...]:
        if ended > MAX_ENDED_FOR_FAILURES:
            return ()
        found = []
        for trial in self.trials.values():
            if trial.result is None:
                continue
            kinds = [error[1] for each in self.runs[trial.run].attempts.values() for error in each.errors]
            if trial.result.state != "failed" or not kinds:
                return ()
            found.append(Failure(trial.number, trial.run, kinds[0], f"{kinds[0]} in the code"))
        return tuple(found)

    def owns(self, run: int, claim: tuple[int, int]) -> bool:
        """Whether this start may write: `Claim.holds`."""
        found = self.runs[run]
        return found.attempts[claim[0]].lost is None and found.owner() == claim


def observed_run(run: SimRun, now: float) -> Run:
    refusals, attempts = 0, []
    for number in sorted(run.attempts):
        each = run.attempts[number]
        attempts.append(_attempt(each, now, refusals))
        refusals = refusals + 1 if each.lost is not None and each.lost.get("refused") else 0
    points = _visible_points(run.points.values(), now)
    published = {epochs: state for epochs, (state, visible_at) in run.published_states.items() if visible_at <= now}
    last_at = next((at for at, visible_at in reversed(run.lines) if visible_at <= now), None)
    return Run(run.number, published, tuple(attempts), None, points, last_at, run.prune_decision, run.retries_reset_at)


def _visible_points(points: Iterable[tuple[EpochReport, float]], now: float) -> tuple[EpochReport, ...]:
    return tuple(point for point, visible_at in points if visible_at <= now)


def _attempt(each: SimAttempt, now: float, refusals: int) -> Attempt:
    restart, claim = max(((r, c) for r, c in each.claims.items() if c.visible_at <= now), default=(0, None))
    lost = each.lost or {}
    cause = lost.get("cause")
    return Attempt(
        each.run,
        each.number,
        each.token,
        each.index,
        each.at,
        milestones=tuple(sorted(epochs for _, epochs in each.trials)),
        throttle=each.throttle,
        job_id=each.job_id,
        claimed_by=claim.job_id if claim else None,
        claimed_at=claim.at if claim else None,
        node=lost.get("node") or (claim.node if claim else None),
        lost=lost.get("reason"),
        cause=Cause[cause] if cause else None,
        lost_at=lost.get("at"),
        lost_epoch=lost.get("epoch", 0),
        refused=lost.get("refused", False),
        limit=lost.get("limit", False),
        refusals=refusals,
        requeue_reason="the time limit is near" if each.requeues.get(restart, now + 1) <= now else None,
        terminated_for=Cause[each.terminated_for] if each.terminated_for else None,
        retry_exempt=each.retry_exempt,
        mem=each.mem,
        micro_batch=each.micro_batch,
        ending=_ending(each, restart, now),
    )


def _ending(each: SimAttempt, restart: int, now: float) -> Ending | None:
    for at, kind, epochs, visible_at in each.errors:
        if at >= restart and visible_at <= now:
            return Ending(kind, f"{kind}: a message", "error-0.json", None, kind, epochs)
    newest = max((at for at, (_, visible_at) in each.exits.items() if visible_at <= now), default=-1)
    if newest < restart or newest < 0:
        return None
    status = each.exits[newest][0]
    unclaimed = newest not in each.claims
    return Ending("exit", f"ended with status {status} and no result", "log", status, unclaimed=unclaimed)
