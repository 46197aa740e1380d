"""`watch` and `submit --watch`: what is known of a sweep, again and again until it is over.

Rule 1: `watch` changes nothing. Only `submit --watch` reconciles.
Rule 2: the scheduler is asked once in each round, and the rounds are `Timeouts.watch` apart.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from unetsweep.app.live import SweepReader, live_sweep
from unetsweep.app.reconcile import reconcile_sweep
from unetsweep.app.status import observe_and_plan
from unetsweep.app.sweeps import context_of
from unetsweep.core.live import LiveSweep, with_last_answer
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan, plan
from unetsweep.core.reconciler_job import ReconciledBy
from unetsweep.core.spending import Spending
from unetsweep.process import without_gc
from unetsweep.reconcile.context import SweepContext
from unetsweep.store.sweep_dir import SweepDir

Wait = Callable[[float], object]
"""Waits for so many seconds."""


def watch(directory: SweepDir, *, reconciles: bool, wait: Wait = time.sleep) -> Iterator[LiveSweep]:
    """Yield what is known of the sweep, until every trial has ended, the sweep is paused, or nothing continues it.

    `reconciles`: reconcile the sweep in each round. A paused sweep is watched until its last job has ended.
    """
    context = context_of(directory, repeats=reconciles)
    if not reconciles:
        context = _with_rare_accounts(context)
    observe = _reconciled if reconciles else _observed
    reader, last, was_over = SweepReader(directory, context.spec), None, False

    def known(*, with_costs: bool = True) -> LiveSweep:
        observed = reader.read(observation, decided, context.clock.now(), with_costs=with_costs)
        return with_last_answer(live_sweep(directory, context, observed), last)

    while True:
        with without_gc():
            observation, decided, has_reconciled = observe(directory, context)
        if last is None:
            yield known(with_costs=False)  # at once: reading what hundreds of runs have used takes some time
        has_all = _has_all(context, observation, decided)
        is_over = has_all or _is_over(observation, decided, has_reconciled=has_reconciled)
        # another process may be about to continue the sweep; then it is not over in the next round
        is_certain = has_all or has_reconciled or (was_over and not reconciles) or decided.paused is not None
        with without_gc():
            last = replace(known(), is_over=is_over and is_certain)
        yield last
        if last.is_over:
            return
        was_over = is_over
        wait(context.timeouts.watch.total_seconds())


def _reconciled(directory: SweepDir, context: SweepContext) -> tuple[Observation, Plan, bool]:
    """The sweep after a reconciliation. While another process makes one, it is only observed (False): that process may
    be about to propose more trials."""
    done = reconcile_sweep(directory.root, context)
    return (done.observation, done.plan, True) if done is not None else _observed(directory, context)


def _observed(directory: SweepDir, context: SweepContext) -> tuple[Observation, Plan, bool]:
    return *observe_and_plan(directory, context, _plan), False


def _with_rare_accounts(context: SweepContext) -> SweepContext:
    """The context, with what the sweep has used of its limit read only after a trial has ended: it may take a query."""
    spending, known = context.spending, dict[int, Spending]()
    if spending is None:
        return context

    def read(observation: Observation, now: datetime) -> Spending:
        if observation.ended not in known:
            known.clear()
            known[observation.ended] = spending(observation, now)
        return known[observation.ended]

    return replace(context, spending=read)


def _plan(context: SweepContext, observation: Observation) -> Plan:
    """The plan without the limits of the scheduler: asking for them takes queries, and nothing is submitted here."""
    return plan(context.spec, observation, context.capacity(), context.clock.now())


def _is_over(observation: Observation, decided: Plan, *, has_reconciled: bool) -> bool:
    """Whether nothing changes any more unless a person does something, as far as this observation shows."""
    if has_reconciled and not observation.trials:  # the plan may still propose, but then the space has no more points
        return True
    is_abandoned = decided.next_reconciliation.by is ReconciledBy.NOBODY
    return not decided.active and (decided.paused is not None or is_abandoned)


def _has_all(context: SweepContext, observation: Observation, decided: Plan) -> bool:
    """Whether every trial that the sweep asks for has ended, or no more are proposed."""
    is_complete = observation.ended >= trials_wanted(context.spec) or observation.cancelled or decided.limit is not None
    return not observation.trials and is_complete
