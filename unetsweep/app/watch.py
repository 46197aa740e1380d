"""Reconcile a sweep until it has ended: `submit --watch`."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.core.failures import FailedTrials as FailedTrials
from unetsweep.core.failures import by_reason
from unetsweep.reconcile.loop import Reconciliation
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class WatchProgress:
    """How many trials have ended, run and wait."""

    ended: int
    running: int
    waiting: tuple[tuple[str, int], ...]
    """Reason and number of trials, the most frequent reason first."""
    failures: tuple[FailedTrials, ...] = ()
    """Those of the ended trials that failed, by their reasons."""
    paused: str | None = None
    """Why the sweep is paused, if nothing of it runs any more: only a person can continue it. None: it is not."""
    limit: str | None = None
    """Why no more trials are proposed, although the sweep asks for more; None: its limit does not prevent it."""

    @property
    def failed(self) -> int:
        """How many trials failed."""
        return sum(len(each.trials) for each in self.failures)


def watch(directory: SweepDir) -> Iterator[WatchProgress]:
    """Reconcile again and again until every trial has ended or the sweep is paused, and yield the progress each time.

    A paused sweep is watched until its last job has ended.
    """
    context = context_of(directory, repeats=True)
    failures: tuple[FailedTrials, ...] = ()
    known_ends = 0
    while True:
        reconciliation = reconcile_sweep(directory.root, context)
        if reconciliation is not None:
            ended = reconciliation.observation.ended
            if ended != known_ends:  # every result is read, so not more often than needed
                failures, known_ends = _failures(directory), ended
            progress = _progress(reconciliation, failures)
            yield progress
            # the plan may still propose, but the space has no more points
            if not reconciliation.observation.trials or progress.paused is not None:
                return
        time.sleep(context.timeouts.watch.total_seconds())


def _progress(reconciliation: Reconciliation, failures: Sequence[FailedTrials]) -> WatchProgress:
    plan = reconciliation.plan
    reasons = Counter(wait.reason for wait in plan.waits if not wait.running)
    running = sum(wait.running for wait in plan.waits)
    paused = plan.paused if plan.active == 0 and reconciliation.observation.trials else None
    return WatchProgress(
        reconciliation.observation.ended, running, tuple(reasons.most_common()), tuple(failures), paused, plan.limit
    )


def _failures(directory: SweepDir) -> tuple[FailedTrials, ...]:
    """The failed trials by their reasons."""
    results = ((trial.number, trial.result) for trial in directory.trials())
    return by_reason(
        (number, result.message or "") for number, result in results if result is not None and result.state == "failed"
    )
