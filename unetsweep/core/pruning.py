"""Pruning: whom to ask, what the answer is, and what follows from it.

Rule 1: pure; the same reports give the same verdicts, in whatever order they were read.
Rule 2: reports are replayed by their time, so a verdict turns on what was known then and never changes later.
Rule 3: a run is asked for one trial, the one with the longest open milestone; what has ended is only compared with.

`asha` is the stopping variant of Asynchronous Successive Halving (Li et al., "A System for Massively Parallel
Hyperparameter Tuning", 2020), `hyperband` several of them that begin at different epochs (Li et al., 2018), `median`
the median rule (Golovin et al., "Google Vizier", 2017), each as Optuna decides them, to the same verdicts. Optuna's
own are replayed through Optuna where a sweep names them; ours answer a thousand trials in a fraction of the time.
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
from unetsweep.core.observation import EpochReport, Observation, Run, Stopped, Trial
from unetsweep.core.space import largest
from unetsweep.core.spec import SweepSpec

OURS = ("asha", "hyperband", "median")
RUNGS = 3
"""By default the first rung lies this many rungs below the longest training."""
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MetricReport:
    """One validated epoch."""

    at: datetime
    epoch: int
    value: float


@dataclass(frozen=True, slots=True)
class History:
    """What a run reported, for the one trial that speaks for it."""

    trial: int
    epochs: int
    """The trial's milestone: at it nothing is pruned any more."""
    state: str | None
    """How the trial ended; None: it is open, and asked."""
    reports: tuple[MetricReport, ...]
    """By epoch; their times never fall."""
    settled: int = 0
    """Verdicts up to this epoch are not heard: the trial was retried since."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An open trial is to end, since this epoch."""

    epoch: int
    reason: str


def reports(points: Iterable[EpochReport], metric: str) -> tuple[MetricReport, ...]:
    """What a pruner is told of a run. Clocks of two nodes may differ; time is made to go on."""
    found = []
    latest = _BEGINNING
    for point in points:
        latest = max(latest, point.at or latest)
        value = point.val_iou if metric == "val_iou" else point.val_loss
        if value is not None:
            found.append(MetricReport(latest, point.epoch, value))
    return tuple(found)


# ---- whom to ask, and what follows


def asked(spec: SweepSpec, observed: Observation) -> tuple[History, ...]:
    """The open trials on which a verdict is wanted now: their training goes on, and has something to show."""
    if spec.study.pruner is None:
        return ()
    return tuple(history for run, trials in _training(observed) if (history := _history(spec, run, trials)) is not None)


def stops(observed: Observation, verdicts: Mapping[int, Verdict]) -> tuple[Prune, ...]:
    """What to write down: all open milestones of the run that it has not reached."""
    found = []
    for run, trials in _training(observed):
        longest = _longest(trials)
        beyond = sorted({trial.epochs for trial in trials if trial.epochs > run.epochs_done})
        if run.last is not None and longest.number in verdicts and beyond:
            reason = verdicts[longest.number].reason
            milestones = tuple(sorted({*beyond, *run.stopped_milestones}))
            found.append(Prune(run.number, run.last.number, longest.number, milestones, run.epochs_done, reason))
    return tuple(found)


def why_pruned(run: Run, epochs: int) -> str | None:
    """Why this milestone of the run's last attempt was pruned; None: it was not."""
    stopped, last = run.stopped, run.last
    if stopped is None or last is None or stopped.is_lifted:
        return None
    return stopped.reason if stopped.attempt == last.number and epochs in stopped.milestones else None


def pruned_result(stopped: Stopped, points: Sequence[EpochReport]) -> Result:
    """The result of a milestone that was pruned, when its training left none: its progress at the best epoch."""
    scored = [point for point in points if point.val_iou is not None]
    best = max(scored, key=lambda point: (point.val_iou or 0.0, -point.epoch), default=None)
    return Result(
        state="pruned",
        epochs_run=points[-1].epoch if points else stopped.epoch,
        best_epoch=best.epoch if best else None,
        val_iou=best.val_iou if best else None,
        val_loss=best.val_loss if best else None,
        message=stopped.reason,
    )


def _training(observed: Observation) -> Iterator[tuple[Run, list[Trial]]]:
    """Runs at work whose end is not decided, each with its open trials."""
    served: dict[int, list[Trial]] = defaultdict(list)
    for trial in observed.trials:
        run = observed.runs.get(trial.run)
        if run is not None and not trial.cancelled and trial.epochs not in run.milestones and _is_at_work(run):
            served[trial.run].append(trial)
    for number, trials in served.items():
        run = observed.runs[number]
        if not all(why_pruned(run, trial.epochs) for trial in trials):
            yield run, trials


def _is_at_work(run: Run) -> bool:
    last = run.last
    if last is None or run.unreadable is not None or last.claimed_by is None or last.lost is not None:
        return False
    return last.ending is None and last.job is not None and last.job.state.is_live


def _history(spec: SweepSpec, run: Run, trials: Sequence[Trial]) -> History | None:
    longest = _longest(trials)
    told = reports(run.progress, spec.study.metric)
    if not told or told[-1].epoch >= longest.epochs:
        return None
    retried = run.stopped is not None and (run.stopped.is_lifted or not run.stopped.milestones)
    settled = run.stopped.epoch if run.stopped is not None and retried else 0
    return History(longest.number, longest.epochs, None, told, settled)


def _longest(trials: Iterable[Trial]) -> Trial:
    return max(trials, key=lambda trial: (trial.epochs, -trial.number))


# ---- the answer


def verdicts(spec: SweepSpec, histories: Sequence[History]) -> dict[int, Verdict]:
    """The open trials that a pruner of ours ends."""
    minimize = spec.minimize
    arguments = resolved(spec)
    if spec.study.pruner == "median":
        return _median(histories, minimize, spec.study.metric, **arguments)
    if spec.study.pruner == "asha":
        first = arguments["min_epochs"]
        start = arguments["min_early_stopping_rate"]
        brackets = {history.trial: start for history in histories}
    else:
        first = arguments["min_epochs"]
        brackets = _brackets(spec.name, [history.trial for history in histories], **arguments)
    return _halving(histories, brackets, first, arguments["reduction_factor"], minimize, spec.study.metric)


def resolved(spec: SweepSpec) -> dict[str, int]:
    """The arguments of a pruner of ours, every default filled in."""
    given: Mapping[str, Any] = spec.study.pruner_args
    if spec.study.pruner == "median":
        return {"startup_trials": 5, "warmup_epochs": 0, "every": 1, **given}
    factor = given.get("reduction_factor", 3)
    most = given.get("max_epochs") or largest(spec.space.domain("epochs"))
    default = max(1, math.ceil(most / factor**RUNGS))
    shared = {"min_epochs": given.get("min_epochs", default), "reduction_factor": factor}
    if spec.study.pruner == "asha":
        return {**shared, "min_early_stopping_rate": given.get("min_early_stopping_rate", 0)}
    return {**shared, "max_epochs": most}


def replayed(histories: Sequence[History]) -> Iterator[tuple[History, MetricReport]]:
    """Every report by its time; at one time by trial and epoch."""
    everything = [(r.at, history.trial, r.epoch, n) for n, history in enumerate(histories) for r in history.reports]
    places = [0] * len(histories)
    for *_, n in sorted(everything):
        history = histories[n]
        yield history, history.reports[places[n]]
        places[n] += 1


def _halving(
    histories: Sequence[History], brackets: Mapping[int, int], first: int, factor: int, minimize: bool, metric: str
) -> dict[int, Verdict]:
    """At each rung (epochs `first * factor**k`) the best 1/`factor` of those that came that far goes on."""
    found: dict[int, Verdict] = {}
    rungs: dict[tuple[int, int], list[float]] = defaultdict(list)
    reached: dict[int, int] = defaultdict(int)
    sign = -1 if minimize else 1
    for history, report in replayed(histories):
        bracket, score = brackets[history.trial], sign * report.value
        while report.epoch >= first * factor ** (bracket + reached[history.trial]):
            there = rungs[bracket, reached[history.trial]]
            insort(there, score)
            reached[history.trial] += 1
            needed = there[-max(len(there) // factor, 1)]
            if score < needed:
                said = f"not among the best 1/{factor} of the {len(there)} trials that came that far"
                _judge(found, history, report, f"{metric} {report.value:.4f}", said, sign * needed)
                break
    return found


def _median(
    histories: Sequence[History],
    minimize: bool,
    metric: str,
    startup_trials: int,
    warmup_epochs: int,
    every: int,
) -> dict[int, Verdict]:
    """A trial ends whose best value is worse than the median of the complete ones at the same epoch."""
    found: dict[int, Verdict] = {}
    values: dict[int, list[float]] = defaultdict(list)
    complete = 0
    best: dict[int, float] = {}
    before: dict[int, int] = defaultdict(int)
    sign = -1 if minimize else 1
    for history, report in replayed(histories):
        best[history.trial] = max(best.get(history.trial, -math.inf), sign * report.value)
        earlier, before[history.trial] = before[history.trial], report.epoch
        if history.state == "complete" and report is history.reports[-1]:
            complete += 1
            for each in history.reports:
                insort(values[each.epoch], sign * each.value)
        is_due = _is_due(report.epoch, earlier, warmup_epochs + 1, every)
        if history.state is None and is_due and complete >= max(startup_trials, 1) and values[report.epoch]:
            needed = median(values[report.epoch])
            if best[history.trial] < needed:
                said = f"worse than the median of the {len(values[report.epoch])} complete trials there"
                _judge(found, history, report, f"best {metric} {sign * best[history.trial]:.4f}", said, sign * needed)
    return found


def _is_due(epoch: int, earlier: int, start: int, every: int) -> bool:
    """Whether this is a trial's first report in its interval; intervals begin at `start`."""
    return epoch >= start and earlier < start + (epoch - start) // every * every


def _judge(
    found: dict[int, Verdict], history: History, report: MetricReport, value: str, said: str, needed: float
) -> None:
    """The first verdict counts, where the trial can still be ended by it."""
    is_open = history.state is None and history.settled < report.epoch < history.epochs
    if is_open and history.trial not in found:
        reason = f"{value} at epoch {report.epoch} is {said} ({needed:.4f} was needed)"
        found[history.trial] = Verdict(report.epoch, reason)


def _brackets(
    name: str, trials: Iterable[int], min_epochs: int, max_epochs: int, reduction_factor: int
) -> dict[int, int]:
    """Each trial's bracket: bracket b has its first rung b rungs later, and fewer trials."""
    count = math.floor(math.log(max_epochs / min_epochs, reduction_factor)) + 1
    shares = [math.ceil(count * reduction_factor ** (count - 1 - b) / (count - b)) for b in range(count)]
    lots = [bracket for bracket, share in enumerate(shares) for _ in range(share)]
    return {trial: lots[binascii.crc32(f"{name}_{trial}".encode()) % len(lots)] for trial in trials}
