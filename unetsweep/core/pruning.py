"""Pruning: which open trials a pruner ends early, and what a reconciliation does about them.

A reconciliation builds a `History` for each run that trains (`open_histories`) and for all others to compare with. A
pruner answers with a `Verdict` for each open trial that it ends: `built_in_pruners`, or Optuna for its own.
`prune_actions` makes actions of the verdicts.

Rule 1: pure: the same reports give the same verdicts, in whatever order their files were read.
Rule 2: reports are replayed in the order of their times, so a verdict depends on what was known then; it is final.
Rule 3: a run is judged through one trial, the one with the longest open milestone. Ended trials are only compared with.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from unetsweep.contract import Result
from unetsweep.core.actions import Prune
from unetsweep.core.metric import NUMBERS, Metric
from unetsweep.core.observation import EpochReport, Observation, PruneDecision, Run, Trial
from unetsweep.core.spec import RunSpec, StudySpec, SweepSpec
from unetsweep.limits import BOUNDS

ENOUGH_EPOCHS = 10
"""A training that has reported so many epochs without the metric probably never does: few validate that rarely."""
FEWEST_COMPARED = 2
"""Trainings of which one can be pruned."""
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MetricReport:
    """The metric of one validated epoch."""

    at: datetime
    epoch: int
    value: float


@dataclass(frozen=True, slots=True)
class History:
    """What a run has reported, for the one trial through which it is judged."""

    trial: int
    epochs: int
    """The trial's milestone, at which it ends anyway."""
    state: str | None
    """How the trial ended; None: it is open, and a verdict on it is wanted. Any other state is only compared with."""
    reports: tuple[MetricReport, ...]
    """In the order of their epochs; their times never decrease."""
    ignored_until: int = 0
    """Verdicts up to this epoch do not count, because the user retried the trial after them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The pruner's decision to end an open trial."""

    epoch: int
    """The first epoch at which the pruner ends it."""
    reason: str


# ---- what a pruner is asked


def open_histories(spec: SweepSpec, observation: Observation) -> tuple[History, ...]:
    """Return the histories of the open trials on which a verdict is wanted: they train, and have reported something."""
    if spec.study.pruner is None:
        return ()
    histories = (_open_history(spec, run, trials) for run, trials in _training_runs(observation))
    return tuple(history for history in histories if history is not None)


def _training_runs(observation: Observation) -> Iterator[tuple[Run, list[Trial]]]:
    """The runs that train, each with its open trials; without those whose open trials are all pruned already."""
    trials_of: dict[int, list[Trial]] = defaultdict(list)
    for trial in observation.trials:
        run = observation.runs.get(trial.run)
        if run is not None and not trial.cancelled and trial.epochs not in run.published_states and _is_training(run):
            trials_of[trial.run].append(trial)
    for number, trials in trials_of.items():
        run = observation.runs[number]
        if any(prune_reason(run, trial.epochs) is None for trial in trials):
            yield run, trials


def _is_training(run: Run) -> bool:
    """Whether a process of the run's last attempt has started and its job is still alive."""
    last = run.last
    if last is None or run.unreadable is not None or last.claimed_by is None or last.lost is not None:
        return False
    return last.ending is None and last.job is not None and last.job.state.is_live


def _open_history(spec: SweepSpec, run: Run, trials: Sequence[Trial]) -> History | None:
    """The history of a training run; None if it has reported nothing, or is at its last epoch."""
    longest = _longest(trials)
    reports = metric_reports(run.progress, spec.metric)
    if not reports or reports[-1].epoch >= longest.epochs:
        return None
    prune = run.prune_decision
    was_retried = prune is not None and (prune.is_lifted or not prune.milestones)
    ignored_until = prune.epoch if prune is not None and was_retried else 0
    return History(longest.number, longest.epochs, None, reports, ignored_until)


def metric_reports(points: Iterable[EpochReport], metric: Metric) -> tuple[MetricReport, ...]:
    """Return the validated epochs of a run with their metric. Times never decrease, even if nodes' clocks differ."""
    reports = []
    latest = _EARLIEST
    for point in points:
        latest = max(latest, point.at or latest)
        value = metric.of_epoch(point)
        if value is not None:
            reports.append(MetricReport(latest, point.epoch, value))
    return tuple(reports)


def why_nothing_is_pruned(study: StudySpec, metric: Metric, progress: Collection[Sequence[EpochReport]]) -> str | None:
    """Return why the pruner cannot prune anything, and what to do; None: it can, or there is none, or it is not known.

    `progress`: the finished epochs of some trainings, each of which has ended or has reported `ENOUGH_EPOCHS`.
    """
    reports = [report for points in progress for report in points]
    if study.pruner is None or not progress or any(metric.of_epoch(report) is not None for report in reports):
        return None
    names = sorted({name for report in reports for name in report.values})
    found = f"the lines have {', '.join(names[:5])}" if names else "there are no lines, or they have no numbers"
    return (
        f"nothing is pruned: the pruner {study.pruner} compares {metric.name}, which no line of progress has; {found}. "
        f"Report it after each epoch that is validated: run.report(epoch, {metric.name}=…)"
    )


def why_nothing_was_pruned(study: StudySpec, run: RunSpec, seconds: Collection[float | None]) -> str | None:
    """Return why no training was compared in time, and what to do; None: some can have been, or it is not known.

    `seconds`: how long each complete training took, if none was pruned. One alone has nothing to be compared with.
    """
    shortest = BOUNDS["run.reconcile_interval"][0]
    if study.pruner is None or run.driver != "jobs" or len(seconds) < FEWEST_COMPARED:
        return None
    if any(each is None or each >= run.reconcile_interval for each in seconds):
        return None
    advice = "set a shorter one" if run.reconcile_interval > shortest else "none is shorter, so leave the pruner out"
    return (
        "nothing was pruned: the trainings ended before the next reconciliation "
        f"(run.reconcile_interval: {run.reconcile_interval} s); {advice}"
    )


def _longest(trials: Iterable[Trial]) -> Trial:
    """The trial with the most epochs; the first of equal ones."""
    return max(trials, key=lambda trial: (trial.epochs, -trial.number))


# ---- what follows from the verdicts


def prune_actions(observation: Observation, verdicts: Mapping[int, Verdict]) -> tuple[Prune, ...]:
    """Return the actions that end the judged trials: each prunes all open milestones that its run has not reached."""
    actions = []
    for run, trials in _training_runs(observation):
        longest = _longest(trials)
        beyond = {trial.epochs for trial in trials if trial.epochs > run.epochs_done}
        if run.last is not None and longest.number in verdicts and beyond:
            milestones = tuple(sorted({*beyond, *run.pruned_milestones}))
            reason = verdicts[longest.number].reason
            actions.append(Prune(run.number, run.last.number, longest.number, milestones, run.epochs_done, reason))
    return tuple(actions)


def prune_reason(run: Run, epochs: int) -> str | None:
    """Return why this milestone of the run's last attempt was pruned; None if it was not."""
    prune, last = run.prune_decision, run.last
    if prune is None or last is None or prune.is_lifted:
        return None
    return prune.reason if prune.attempt == last.number and epochs in prune.milestones else None


def pruned_result(metric: Metric, prune: PruneDecision, points: Sequence[EpochReport]) -> Result:
    """Return the result of a pruned trial whose training published none: its best epoch so far."""
    scored = [point for point in points if metric.of_epoch(point) is not None]
    best = max(scored, key=lambda point: (metric.sign * (metric.of_epoch(point) or 0.0), -point.epoch), default=None)
    values = {name: value for name, value in best.values.items() if name != "train_loss"} if best else {}
    known = {name: values.pop(name) for name in NUMBERS if name in values}
    return Result(
        state="pruned",
        epochs_run=points[-1].epoch if points else prune.epoch,
        best_epoch=best.epoch if best else None,
        message=prune.reason,
        extra=values,
        **known,  # type: ignore[arg-type]
    )
