"""Reconcile a sweep until it has ended: `submit --watch`."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.reconcile.loop import Reconciliation
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class WatchProgress:
    """How many trials have ended, run and wait."""

    ended: int
    running: int
    waiting: tuple[tuple[str, int], ...]
    """Reason and number of trials, the most frequent reason first."""


def watch(directory: SweepDir) -> Iterator[WatchProgress]:
    """Reconcile again and again until every trial has ended, and yield the progress each time."""
    context = context_of(directory, repeats=True)
    while True:
        reconciliation = reconcile_sweep(directory.root, context)
        if reconciliation is not None:
            yield _progress(reconciliation)
            if not reconciliation.observation.trials:  # the plan may still propose, but the space has no more points
                return
        time.sleep(context.timeouts.watch.total_seconds())


def _progress(reconciliation: Reconciliation) -> WatchProgress:
    waits = reconciliation.plan.waits
    reasons = Counter(wait.reason for wait in waits if not wait.running)
    running = sum(wait.running for wait in waits)
    return WatchProgress(reconciliation.observation.ended, running, tuple(reasons.most_common()))
