"""Pruning: which open trials a pruner ends early, and what a reconciliation does about them.

A reconciliation builds a `History` for each run that trains (`open_histories`) and for all others to compare with. A
pruner answers with a `Verdict` for each open trial that it ends: `verdicts` for the built-in pruners, Optuna for its
own. `prune_actions` makes actions of the verdicts.

Rule 1: pure: the same reports give the same verdicts, in whatever order their files were read.
Rule 2: reports are replayed in the order of their times, so a verdict depends on what was known then; it is final.
Rule 3: a run is judged through one trial, the one with the longest open milestone. Ended trials are only compared with.

`asha` is the stopping variant of Asynchronous Successive Halving (Li et al., "A System for Massively Parallel
Hyperparameter Tuning", 2020), `hyperband` runs several of them that begin at different epochs (Li et al., 2018), and
`median` is the median rule (Golovin et al., "Google Vizier", 2017). Each gives the same verdicts as Optuna's pruner,
and needs a fraction of its time for a thousand trials.
"""

import binascii
import math
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from unetsweep.contract import Result
from unetsweep.core.actions import Prune
from unetsweep.core.metric import CHECKPOINT, Metric
from unetsweep.core.observation import EpochReport, Observation, PruneDecision, Run, Trial
from unetsweep.core.space import largest
from unetsweep.core.spec import SweepSpec
from unetsweep.texts import counted, score_text

BUILT_IN_PRUNERS = ("asha", "hyperband", "median")
DEFAULT_RUNGS = 3
"""Rungs between the first one and the longest training, by default: with a reduction factor of 3, the first rung is at
1/27 of the longest training, early enough to save most of a poor trial."""
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
        if not all(prune_reason(run, trial.epochs) for trial in trials):
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


def _longest(trials: Iterable[Trial]) -> Trial:
    """The trial with the most epochs; the first of equal ones."""
    return max(trials, key=lambda trial: (trial.epochs, -trial.number))


# ---- the built-in pruners


def verdicts(spec: SweepSpec, histories: Sequence[History]) -> dict[int, Verdict]:
    """Return the open trials that the sweep's built-in pruner ends, each with its verdict."""
    arguments = pruner_arguments(spec)
    if spec.study.pruner == "median":
        return _median_rule(histories, spec.metric, **arguments)
    if spec.study.pruner == "asha":
        brackets = {history.trial: arguments["min_early_stopping_rate"] for history in histories}
    else:
        brackets = _hyperband_brackets(spec.name, [history.trial for history in histories], **arguments)
    first_rung, factor = arguments["min_epochs"], arguments["reduction_factor"]
    return _successive_halving(histories, spec.metric, brackets, first_rung, factor)


def pruner_arguments(spec: SweepSpec) -> dict[str, int]:
    """Return the arguments of the sweep's built-in pruner, with every default filled in."""
    given: Mapping[str, Any] = spec.study.pruner_args
    if spec.study.pruner == "median":
        return {"startup_trials": 5, "warmup_epochs": 0, "every": 1, **given}
    factor = given.get("reduction_factor", 3)
    max_epochs = given.get("max_epochs") or largest(spec.space.domain("epochs"))
    first_rung = max(1, math.ceil(max_epochs / factor**DEFAULT_RUNGS))
    shared = {"min_epochs": given.get("min_epochs", first_rung), "reduction_factor": factor}
    if spec.study.pruner == "asha":
        return {**shared, "min_early_stopping_rate": given.get("min_early_stopping_rate", 0)}
    return {**shared, "max_epochs": max_epochs}


def replay(histories: Sequence[History]) -> Iterator[tuple[History, MetricReport]]:
    """Yield every report in the order of its time; at equal times by trial and epoch."""
    everything = [(r.at, history.trial, r.epoch, n) for n, history in enumerate(histories) for r in history.reports]
    next_report = [0] * len(histories)
    for *_, n in sorted(everything):
        history = histories[n]
        yield history, history.reports[next_report[n]]
        next_report[n] += 1


def _successive_halving(
    histories: Sequence[History],
    metric: Metric,
    brackets: Mapping[int, int],
    first_rung: int,
    factor: int,
) -> dict[int, Verdict]:
    """Rung k is at epoch `first_rung * factor**k`; a trial of bracket b begins with rung b. At each rung a trial ends
    unless it is among the best 1/`factor` of those of its bracket that have reached the rung so far."""
    found: dict[int, Verdict] = {}
    rungs: dict[tuple[int, int], list[float]] = defaultdict(list)
    passed: dict[int, int] = defaultdict(int)
    sign = metric.sign
    for history, report in replay(histories):
        bracket, score = brackets[history.trial], sign * report.value
        while report.epoch >= first_rung * factor ** (bracket + passed[history.trial]):
            scores = rungs[bracket, passed[history.trial]]
            insort(scores, score)
            passed[history.trial] += 1
            needed = scores[-max(len(scores) // factor, 1)]
            if score < needed:
                value, needed_value = score_text(report.value), score_text(sign * needed)
                reason = (
                    f"{metric.name} {value} at epoch {report.epoch} is not among the best 1/{factor} of "
                    f"{counted(len(scores), 'trial')} that trained this far ({needed_value} was needed)"
                )
                _add_verdict(found, history, report, reason)
                break
    return found


def _hyperband_brackets(
    name: str, trials: Iterable[int], min_epochs: int, max_epochs: int, reduction_factor: int
) -> dict[int, int]:
    """The bracket of each trial: bracket b has its first rung b rungs later, and fewer trials. As in Optuna, a hash of
    the study's name and the trial's number chooses it."""
    count = math.floor(math.log(max_epochs / min_epochs, reduction_factor)) + 1
    shares = [math.ceil(count * reduction_factor ** (count - 1 - b) / (count - b)) for b in range(count)]
    lots = [bracket for bracket, share in enumerate(shares) for _ in range(share)]
    return {trial: lots[binascii.crc32(f"{name}_{trial}".encode()) % len(lots)] for trial in trials}


def _median_rule(
    histories: Sequence[History],
    metric: Metric,
    startup_trials: int,
    warmup_epochs: int,
    every: int,
) -> dict[int, Verdict]:
    """A trial ends if its best value so far is worse than the median of the complete trials at the same epoch."""
    found: dict[int, Verdict] = {}
    complete_scores: dict[int, list[float]] = defaultdict(list)
    complete = 0
    best: dict[int, float] = {}
    last_epoch: dict[int, int] = defaultdict(int)
    sign = metric.sign
    for history, report in replay(histories):
        best[history.trial] = max(best.get(history.trial, -math.inf), sign * report.value)
        previous, last_epoch[history.trial] = last_epoch[history.trial], report.epoch
        if history.state == "complete" and report is history.reports[-1]:
            complete += 1
            for each in history.reports:
                insort(complete_scores[each.epoch], sign * each.value)
        scores = complete_scores[report.epoch]
        is_due = _is_due(report.epoch, previous, warmup_epochs + 1, every)
        if history.state is None and is_due and complete >= max(startup_trials, 1) and scores:
            needed = median(scores)
            if best[history.trial] < needed:
                value = score_text(sign * best[history.trial])
                reason = (
                    f"best {metric.name} {value} at epoch {report.epoch} is worse than the median of "
                    f"{counted(len(scores), 'complete trial')} at this epoch ({score_text(sign * needed)} was needed)"
                )
                _add_verdict(found, history, report, reason)
    return found


def _is_due(epoch: int, previous: int, start: int, every: int) -> bool:
    """Whether this is the trial's first report in an interval of `every` epochs; the first interval begins at `start`.
    `previous`: the epoch of its report before."""
    return epoch >= start and previous < start + (epoch - start) // every * every


def _add_verdict(found: dict[int, Verdict], history: History, report: MetricReport, reason: str) -> None:
    """Add the verdict unless it does not count. A trial's first verdict counts, while the trial can still be ended."""
    is_open = history.state is None and history.ignored_until < report.epoch < history.epochs
    if is_open and history.trial not in found:
        found[history.trial] = Verdict(report.epoch, reason)


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


def pruned_result(prune: PruneDecision, points: Sequence[EpochReport]) -> Result:
    """Return the result of a pruned trial whose training published none: its best epoch so far."""
    scored = [point for point in points if CHECKPOINT in point.values]
    best = max(scored, key=lambda point: (point.values[CHECKPOINT], -point.epoch), default=None)
    values: dict[str, Any] = dict(best.values) if best else {}
    return Result(
        state="pruned",
        epochs_run=points[-1].epoch if points else prune.epoch,
        best_epoch=best.epoch if best else None,
        message=prune.reason,
        **values,
    )
