"""What a sweep has cost: for `status` and `report`, and for `study.limits`."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.app.executors import Executor, executor_of
from unetsweep.core import cost as core
from unetsweep.core.cost import Cost, RunTimeline
from unetsweep.core.observation import Run
from unetsweep.core.spec import SweepSpec
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.timelines import read_timeline, timeline_of_open

RunId = TypeVar("RunId")
"""What identifies a run: its number or its folder."""


def with_costs(record: SweepRecord, directory: SweepDir, runs: Mapping[int, Run] = {}) -> SweepRecord:
    """The record with the cost of the sweep and of each trial. `runs`: those read already, by their numbers."""
    executor, now = executor_of(directory), time.time()
    trials_of: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in record.trials:
        trials_of[trial.run_dir].append(trial)
    timelines = {
        run: read_run_timeline(Path(run), runs, is_open=any(trial.result is None for trial in trials))
        for run, trials in trials_of.items()
    }
    known = {run: timeline for run, timeline in timelines.items() if timeline is not None}
    costs = run_costs(record.spec, known, executor, now)
    shares = {
        trial.number: replace(core.share_of_run(costs[run], part), peak_memory_mb=_peak(trial))
        for run, trials in trials_of.items()
        if run in costs
        for trial, part in zip(trials, core.trial_parts([_epochs(trial) for trial in trials]), strict=True)
    }
    trials = tuple(replace(trial, cost=shares.get(trial.number)) for trial in record.trials)
    peaks = [peak for trial in trials if (peak := _peak(trial)) is not None]
    unread = len(timelines) - len(known)
    whole = replace(core.total(costs.values()), peak_memory_mb=max(peaks, default=None), unread_runs=unread)
    return replace(record, trials=trials, cost=whole)


def read_run_timeline(folder: Path, runs: Mapping[int, Run], *, is_open: bool) -> RunTimeline | None:
    """The timeline of a run; None: one of its files is unreadable. It is read only if `runs` does not say enough."""
    run = runs.get(int(folder.name)) if is_open else None
    return (None if run is None else timeline_of_open(run)) or read_timeline(folder, is_open=is_open)


def run_costs(
    spec: SweepSpec, timelines: Mapping[RunId, RunTimeline], executor: Executor, now: float
) -> dict[RunId, Cost]:
    """What each run has cost until `now` (seconds since 1970), by accounting where there is any."""
    by_job = core.accounts_by_job(executor.accounts(_job_ids(timelines.values())), timelines.values())
    resources = core.training_resources(spec, allocates_cpus=executor.allocates_cpus)
    return {run: core.run_cost(timeline, by_job, resources, now) for run, timeline in timelines.items()}


def _peak(trial: TrialRecord) -> float | None:
    return trial.result.peak_memory_mb if trial.result is not None else None


def _epochs(trial: TrialRecord) -> int:
    """How many epochs its run was trained for this trial."""
    run = trial.result.epochs_run if trial.result is not None else None
    return trial.epochs if run is None else min(run, trial.epochs)


def _job_ids(timelines: Iterable[RunTimeline]) -> list[str]:
    """The ids of all jobs of these runs."""
    return [job_id for timeline in timelines for some in timeline.jobs.values() for _, job_id in some]


def cost_as_json(cost: Cost | None) -> dict[str, Any] | None:
    """The cost for a JSON object, with seconds to the millisecond."""
    return None if cost is None else {name: _rounded(value) for name, value in asdict(cost).items()}


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
