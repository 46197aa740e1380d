"""The records that a report is made of, and the ranking of trials.

Rule 1: only complete trials are ranked: by the metric, then fewer epochs first, then the lower number first.
        Trials that share a run often have exactly the same score: it is the same checkpoint, and the shorter training
        is enough.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unetsweep.analysis.significance import Repeats
from unetsweep.contract import Result
from unetsweep.core.cost import Cost
from unetsweep.core.spec import SweepSpec
from unetsweep.trial_config import ParameterValue

STATES = (
    "complete",
    "pruned",
    "running",
    "submitted",
    "waiting",
    "diverged",
    "failed",
    "cancelled",
)
"""Every state of a trial, in the order in which a report counts them."""


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial, as the sweep's files show it (and the scheduler, if it was queried)."""

    number: int
    params: Mapping[str, ParameterValue]
    """What the sweep varies, by path; empty: not known."""
    state: str
    """One of STATES; any other text is printed as it is."""
    job_id: str | None
    """The job that published the result, or else the last one; None before the first submission."""
    result: Result | None
    """None: not published yet."""
    reason: str = ""
    """Why it failed or waits; may be empty."""
    run_dir: str = ""
    """Absolute path of the run's folder; `Result.checkpoint` is relative to it."""
    archive: str | None = None
    """Path of its Comet archive; None: there is none."""
    seed: int | None = None
    """Seed of its training; None: not known."""
    cost: Cost | None = None
    """Its share of the cost of its run; None: not read, or not known."""
    problem: str | None = None
    """Which of its files, or of its run's, cannot be read, and why; None: all that were read can."""

    @property
    def epochs(self) -> int:
        return int(self._number("epochs"))

    @property
    def batch_size(self) -> int:
        return int(self._number("batch_size"))

    @property
    def learning_rate(self) -> float:
        return self._number("learning_rate")

    def _number(self, path: str) -> float:
        value = self.params.get(path)
        return value if isinstance(value, (int, float)) else 0

    @property
    def point(self) -> tuple[tuple[str, ParameterValue], ...]:
        """Its parameters, without the seed: equal for two trials of the same config."""
        return tuple(sorted((path, value) for path, value in self.params.items() if path != "seed"))


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """One sweep: everything that a report shows."""

    name: str
    spec: SweepSpec
    trials: tuple[TrialRecord, ...]
    warnings: tuple[str, ...] = ()
    """What a reader of the numbers must know, such as `groups: none`."""
    leak: Mapping[str, str] = field(default_factory=dict)
    """By part (`val`, `test`): a text that says which images are copies of training images."""
    confirmed: tuple[Repeats, ...] = ()
    """The confirmation runs of each leader; empty if nothing was confirmed."""
    val_groups: Mapping[str, str] | None = None
    """Group (the same eye or patient) of each validation image by its name; None: not known."""
    cost: Cost | None = None
    """None: not read, or not known."""


_Rank = tuple[float, int, int]
"""Metric (negated if more is better), epochs, number: the smallest is the best."""


def best(sweep: SweepRecord) -> TrialRecord | None:
    """The best trial by rule 1; None if no trial is complete."""
    return min(_ranks(sweep), key=lambda pair: pair[0], default=(None, None))[1]


def ranked(sweep: SweepRecord) -> list[TrialRecord]:
    """The complete trials, best first by rule 1."""
    return [trial for _, trial in sorted(_ranks(sweep), key=lambda pair: pair[0])]


def leaders(sweep: SweepRecord) -> list[TrialRecord]:
    """The best trial of each config, best first. Trials of listed points may differ only in their seeds."""
    found: dict[tuple[tuple[str, ParameterValue], ...], TrialRecord] = {}
    for trial in ranked(sweep):
        found.setdefault(trial.point, trial)
    return list(found.values())


def _ranks(sweep: SweepRecord) -> Iterable[tuple[_Rank, TrialRecord]]:
    """Each complete trial with a finite score, and its rank."""
    metric = sweep.spec.metric
    for trial in sweep.trials:
        if trial.state != "complete" or trial.result is None:
            continue
        score = metric.of_result(trial.result)
        if score is not None and math.isfinite(score):
            yield (-metric.sign * score, trial.epochs, trial.number), trial
