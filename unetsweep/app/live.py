"""Makes the model of a sweep at one time (`core.live`) from what a command has observed. No scheduler is asked here.

Rule 1: nothing that an observation has read is read again.
Rule 2: the result of an ended trial and the cost of its run are read once, as long as the file of the result is the
        same one.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from unetsweep.analysis.records import open_state, read_trial_record
from unetsweep.analysis.rows import SweepRecord, TrialRecord, best, ranked_points
from unetsweep.app.costs import read_run_timeline
from unetsweep.app.end_estimates import end_of
from unetsweep.app.executors import executor_of
from unetsweep.app.trial_states import TrialStatus, waits_of, with_wait
from unetsweep.core import cost, paths
from unetsweep.core.actions import Wait
from unetsweep.core.cost import Cost
from unetsweep.core.describe import describe_problem
from unetsweep.core.failures import by_reason
from unetsweep.core.live import BestTrial, LiveSweep, LiveTrial, UsedHours
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.observation import Job, JobState, Observation, Run, Trial
from unetsweep.core.plan import Plan
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import has_epochs
from unetsweep.reconcile.context import SweepContext
from unetsweep.store.ledger import last_events
from unetsweep.store.observation import trial_folders
from unetsweep.store.sweep_dir import SweepDir

EVENTS = 20
"""The most events that a view shows."""
_FileMark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Observed:
    """What a command has observed of a sweep, and what follows from it."""

    observation: Observation
    plan: Plan
    at: datetime
    ended: Sequence[TrialRecord]
    """The trials that have ended, also those whose results cannot be read."""
    held: Mapping[str, float] = field(default_factory=dict)
    """How long the jobs of runs held their resources, in seconds, by the run's folder; without those not known."""
    used: UsedHours | None = None


def live_sweep(directory: SweepDir, context: SweepContext, observed: Observed) -> LiveSweep:
    """The model of the sweep."""
    spec, observation, plan = context.spec, observed.observation, observed.plan
    ended = [trial for trial in observed.ended if trial.result is not None]
    unreadable = [LiveTrial(each.number, each.state, each.reason) for each in observed.ended if each.result is None]
    trials = (*open_trials(spec, observation, plan), *unreadable)
    states = [(each.state, each.number, each.reason) for each in ended]
    states += [(each.state, each.number, each.reason) for each in trials]
    return LiveSweep(
        name=directory.name,
        executor=directory.executor,
        wanted=trials_wanted(spec),
        metric=spec.metric.label,
        at=observed.at,
        counts=dict(Counter(state for state, _, _ in states)),
        open_trials=trials,
        failures=by_reason(sorted((number, reason) for state, number, reason in states if state == "failed")),
        best=best_trial(spec, ended),
        used=observed.used,
        end=end_of(spec, observation, plan, trials, ended, observed.held, observed.at),
        events=last_events(directory.root, EVENTS),
        scheduler_error=observation.scheduler_error,
        answered_at=observed.at if observation.scheduler_error is None else None,
        paused=plan.paused if trials else None,  # else there is nothing left to continue
        active=plan.active,
        limit=plan.limit,
        problem=describe_problem(plan.next_reconciliation),
    )


def open_trials(spec: SweepSpec, observation: Observation, plan: Plan) -> Iterable[LiveTrial]:
    """The trials without a result, as their files and the scheduler show them."""
    waits, shows_epochs = waits_of(plan), has_epochs(spec.space)
    metric, answered = spec.metric, observation.scheduler_error is None
    for trial in observation.trials:
        run = observation.runs.get(trial.run, Run(trial.run))
        found = _status(trial, run, waits.get(trial.number), answered=answered)
        last_epoch = min(trial.epochs, run.current_epoch) if shows_epochs else run.current_epoch
        points = [(each.epoch, metric.of_epoch(each)) for each in run.progress if each.epoch <= last_epoch]
        curve = tuple((epoch, value) for epoch, value in points if value is not None)
        job = run.last.job if run.last is not None else None
        is_running = found.state == "running"
        yield LiveTrial(
            number=trial.number,
            state=found.state,
            reason=found.reason,
            job_id=found.job_id,
            node=_node(run, job) if is_running else None,
            epoch=points[-1][0] if points else 0,
            epochs=trial.epochs if shows_epochs else 0,
            curve=curve,
            best=(min if metric.minimize else max)((value for _, value in curve), default=None),
            reported_at=run.last_progress_at if is_running else None,
            starts_at=job.starts_at if job is not None and job.state is JobState.QUEUED else None,
        )


def _status(trial: Trial, run: Run, wait: Wait | None, *, answered: bool) -> TrialStatus:
    if trial.unreadable is not None:
        state, reason, job_id = "waiting", trial.unreadable, None
    elif (published := run.published_states.get(trial.epochs)) is not None:
        refused = run.refused_results.get(trial.epochs)
        return TrialStatus(trial.number, published, _job_id(run), "" if refused is None else refused.message)
    else:
        state, reason, job_id = open_state(run, trial.epochs, trial.cancelled)
    found = TrialStatus(trial.number, state, job_id, reason)
    return found if wait is None else with_wait(found, wait, answered=answered)


def _job_id(run: Run) -> str | None:
    return (run.last.claimed_by or run.last.job_id) if run.last is not None else None


def _node(run: Run, job: Job | None) -> str | None:
    """Where the run's last attempt runs, by its claim or by the scheduler."""
    claimed = run.last.node if run.last is not None else None
    return claimed or (job.node if job is not None else None)


def best_trial(spec: SweepSpec, ended: Sequence[TrialRecord]) -> BestTrial | None:
    """The best complete trial; None: none is complete."""
    record = SweepRecord("", spec, tuple(ended))
    if spec.study.repeats > 1:
        point = next(iter(ranked_points(record)), None)
        return None if point is None or point.mean is None else BestTrial(point.best.number, point.mean)
    found = best(record)
    score = None if found is None or found.result is None else spec.metric.of_result(found.result)
    return None if found is None or score is None else BestTrial(found.number, score)


class SweepReader:
    """Reads what an observation does not have: results of ended trials, and costs. For a command that repeats it."""

    def __init__(self, directory: SweepDir, spec: SweepSpec) -> None:
        self._directory = directory
        self._spec = spec
        self._resources = cost.training_resources(spec, allocates_cpus=executor_of(directory).allocates_cpus)
        self._ended: dict[int, tuple[_FileMark, TrialRecord]] = {}
        self._costs: dict[str, Cost] = {}
        """Of the runs without an open trial, by their folders."""

    def read(self, observation: Observation, plan: Plan, at: datetime, *, with_costs: bool = True) -> Observed:
        """What the observation shows, with the results of its ended trials. `with_costs`: also what runs have used."""
        ended = self._read_ended(observation)
        costs = self._read_costs(observation, ended, at) if with_costs else {}
        held = {run: each.seconds for run, each in costs.items() if each.attempts == 1}
        return Observed(observation, plan, at, ended, held, used_hours(self._spec, costs.values()) if costs else None)

    def _read_ended(self, observation: Observation) -> list[TrialRecord]:
        open_numbers = {trial.number for trial in observation.trials}
        found: dict[int, tuple[_FileMark, TrialRecord]] = {}
        for number, folder in trial_folders(self._directory.root):
            mark = _mark(f"{folder}/{paths.RESULT}") if number not in open_numbers else None
            if mark is None:
                continue
            known = self._ended.get(number)
            if known is None or known[0] != mark:
                record = read_trial_record(self._directory, number, folder, self._spec.metric, observation.runs)
                known = (mark, _without_images(record))
                self._costs.pop(record.run_dir, None)
            found[number] = known
        self._ended = found
        return [record for _, record in found.values()]

    def _read_costs(self, observation: Observation, ended: Iterable[TrialRecord], at: datetime) -> dict[str, Cost]:
        """What each run has cost by its files, by its folder. Accounting is not asked: that is a query."""
        root = self._directory.root
        open_runs = {f"{root}/{paths.run_dir(trial.run)}" for trial in observation.trials}
        costs: dict[str, Cost] = {}
        for run in dict.fromkeys((*open_runs, *(trial.run_dir for trial in ended))):
            known = self._costs.get(run) if run not in open_runs else None
            if known is None:
                known = self._read_cost(run, observation.runs, at, is_open=run in open_runs)
            if known is not None:
                costs[run] = known
        self._costs = {run: each for run, each in costs.items() if run not in open_runs}
        return costs

    def _read_cost(self, run: str, runs: Mapping[int, Run], at: datetime, *, is_open: bool) -> Cost | None:
        timeline = read_run_timeline(self._directory.root / run, runs, is_open=is_open)
        return None if timeline is None else cost.run_cost(timeline, {}, self._resources, at.timestamp())


def used_hours(spec: SweepSpec, costs: Iterable[Cost]) -> UsedHours:
    """What these runs have used together."""
    total = cost.total(costs)
    if spec.slurm.gpus:
        return UsedHours(total.gpu_seconds / 3600, "GPU")
    return UsedHours(total.cpu_seconds / 3600, "CPU")


def held_seconds(trials: Iterable[TrialRecord]) -> dict[str, float]:
    """How long the jobs of runs held their resources, by the run's folder, from trials with their costs."""
    held: dict[str, float] = defaultdict(float)
    for trial in trials:
        if trial.cost is not None and trial.cost.attempts == 1:
            held[trial.run_dir] += trial.cost.seconds
    return dict(held)


def _mark(path: str) -> _FileMark | None:
    """What differs after the file has been replaced; None: it does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _without_images(record: TrialRecord) -> TrialRecord:
    """The record without what belongs to single images, which a view does not need and which fills the memory."""
    if record.result is None:
        return record
    return replace(record, result=replace(record.result, val_per_image=(), test_per_image=(), data_manifest={}))
