"""The built-in pruners: which open trials they end, from the histories of all runs.

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
from statistics import median
from typing import Any

from unetsweep.core.metric import Metric
from unetsweep.core.pruning import History, MetricReport, Verdict
from unetsweep.core.space import largest
from unetsweep.core.spec import SweepSpec
from unetsweep.texts import counted, score_text

BUILT_IN_PRUNERS = ("asha", "hyperband", "median")
DEFAULT_RUNGS = 3
"""Rungs between the first one and the longest training, by default: with a reduction factor of 3, the first rung is at
1/27 of the longest training, early enough to save most of a poor trial."""


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
