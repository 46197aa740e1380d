"""The records that a report is made of, and the ranking of trials.

Rule 1: only complete trials are ranked: by the metric, then fewer epochs first, then the lower number first.
        Trials that share a run often have exactly the same score: it is the same checkpoint, and the shorter training
        is enough.
Rule 2: with `study.repeats` points are ranked by the mean of their trainings. A point whose trainings are not all
        complete comes after all whose are.
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from unetsweep.analysis.significance import Repeats
from unetsweep.contract import Result
from unetsweep.core.cost import Cost
from unetsweep.core.metric import Metric
from unetsweep.core.repeats import grouped
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


@dataclass(frozen=True, slots=True)
class PointRecord:
    """A point of the space with all its trainings. Without `study.repeats` it is one trial."""

    trials: tuple[TrialRecord, ...]
    """Its trainings by number; the first one's number is that of the point."""
    wanted: int
    """How many trainings it should have."""
    scores: tuple[float, ...]
    """The metric of each of its complete trainings; without those that are not finite."""
    best: TrialRecord
    """Its best complete training by rule 1, or its first trial if none is complete."""

    @property
    def number(self) -> int:
        return self.trials[0].number

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        return tuple(trial for trial in self.trials if trial.state == "complete")

    @property
    def counted(self) -> tuple[TrialRecord, ...]:
        """The trainings whose numbers are averaged: the complete ones, or all with a result if none is complete."""
        return self.complete or tuple(trial for trial in self.trials if trial.result is not None)

    @property
    def state(self) -> str:
        """What it does while a training is open, else how it ended: one complete training is enough."""
        states = [trial.state for trial in self.trials]
        order = ("running", "submitted", "waiting", "pruned", "complete")
        return next((state for state in order if state in states), states[0])

    @property
    def mean(self) -> float | None:
        """The mean of its scores; None if it has none."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def sd(self) -> float | None:
        """The standard deviation of its scores, with n - 1; None for fewer than two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


def points(sweep: SweepRecord) -> list[PointRecord]:
    """All points, in the order of their first trials."""
    repeats = sweep.spec.study.repeats
    groups = grouped(sweep.spec, sweep.trials, lambda trial: trial.params)
    return [_point(sweep.spec.metric, trials, repeats) for trials in groups]


def _point(metric: Metric, trials: tuple[TrialRecord, ...], wanted: int) -> PointRecord:
    scored = [(score, trial) for trial in trials if (score := _score(metric, trial)) is not None]
    best = max(scored, key=lambda pair: (metric.sign * pair[0], -pair[1].number))[1] if scored else trials[0]
    return PointRecord(trials, wanted, tuple(score for score, _ in scored), best)


def _score(metric: Metric, trial: TrialRecord) -> float | None:
    """The metric of a complete trial; None if it has none that is finite."""
    value = metric.of_result(trial.result) if trial.state == "complete" and trial.result is not None else None
    return value if value is not None and math.isfinite(value) else None


def ranked_points(sweep: SweepRecord) -> list[PointRecord]:
    """The points with a complete training, best first by rules 1 and 2."""
    sign = sweep.spec.metric.sign
    found = [(_rank(point, sign), point) for point in points(sweep) if point.scores]
    return [point for _, point in sorted(found, key=lambda pair: pair[0])]


_Rank = tuple[bool, float, int, int]
"""Whether trainings are missing, metric (negated if more is better), epochs, number: the smallest is the best."""


def _rank(point: PointRecord, sign: float) -> _Rank:
    return len(point.scores) < point.wanted, -sign * (point.mean or 0.0), point.trials[0].epochs, point.number


def best(sweep: SweepRecord) -> TrialRecord | None:
    """The best training of the best point; None if no trial is complete."""
    if sweep.spec.study.repeats > 1:
        return next((point.best for point in ranked_points(sweep)), None)
    metric = sweep.spec.metric  # without repeats a trial is a point, and thousands need not be sorted
    scored = [(score, trial) for trial in sweep.trials if (score := _score(metric, trial)) is not None]
    found = min(scored, key=lambda each: (-metric.sign * each[0], each[1].epochs, each[1].number), default=None)
    return None if found is None else found[1]


def ranked(sweep: SweepRecord) -> list[TrialRecord]:
    """The best training of each point with a complete one, best point first."""
    return [point.best for point in ranked_points(sweep)]


def leaders(sweep: SweepRecord) -> list[TrialRecord]:
    """A trial of each config, best first: the first training of a point. Without repeats it is the config's best trial:
    trials of listed points may differ only in their seeds."""
    if sweep.spec.study.repeats > 1:
        return [point.trials[0] for point in ranked_points(sweep)]
    found: dict[tuple[tuple[str, ParameterValue], ...], TrialRecord] = {}
    for trial in ranked(sweep):
        found.setdefault(trial.point, trial)
    return list(found.values())
