"""What a sweep has cost, read for `status` and `report` alone: no reconciliation does it."""

import time
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetsweep.core import cost as core

if TYPE_CHECKING:
    from unetsweep.analysis.rows import SweepRecord, TrialRecord
    from unetsweep.core.cost import Account, Cost, RunTimeline
    from unetsweep.store.sweep_dir import SweepDir


def costed(record: "SweepRecord", directory: "SweepDir") -> "SweepRecord":
    """The record with the cost of the sweep and of each trial."""
    from unetsweep.store.timelines import read_timeline

    executor, now = directory.executor, time.time()
    served: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in record.trials:
        served[trial.run_dir].append(trial)
    timelines = {
        run: read_timeline(Path(run), is_open=any(trial.result is None for trial in trials))
        for run, trials in served.items()
    }
    known = {run: timeline for run, timeline in timelines.items() if timeline is not None}
    accounts = core.by_job(_accounts(executor, known), known.values())
    place = core.resources_of(record.spec, executor)
    costs = {run: core.cost_of(timeline, accounts, place, now) for run, timeline in known.items()}
    paid = {
        trial.number: replace(core.share(costs[run], part), peak_memory_mb=_peak(trial))
        for run, trials in served.items()
        if run in costs
        for trial, part in zip(trials, core.parts([_reach(trial) for trial in trials]), strict=True)
    }
    trials = tuple(replace(trial, cost=paid.get(trial.number)) for trial in record.trials)
    peaks = [peak for trial in trials if (peak := _peak(trial)) is not None]
    unread = len(timelines) - len(known)
    whole = replace(core.total(costs.values()), peak_memory_mb=max(peaks, default=None), unread_runs=unread)
    return replace(record, trials=trials, cost=whole)


def _peak(trial: "TrialRecord") -> float | None:
    return trial.result.peak_memory_mb if trial.result is not None else None


def _reach(trial: "TrialRecord") -> int:
    """How far its run was trained for it, as far as that is known."""
    run = trial.result.epochs_run if trial.result is not None else None
    return trial.epochs if run is None else min(run, trial.epochs)


def _accounts(executor: str, timelines: "dict[str, RunTimeline]") -> "tuple[Account, ...]":
    if executor != "slurm":
        return ()
    from unetsweep.schedulers.slurm.accounting import accounts

    keys = [key for timeline in timelines.values() for some in timeline.jobs.values() for key in some]
    return accounts([job_id for _, job_id in keys])


def as_json(cost: "Cost | None") -> dict[str, Any] | None:
    return None if cost is None else {name: _rounded(value) for name, value in asdict(cost).items()}


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
