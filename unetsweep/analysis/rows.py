"""The rows of a report, and which of them is the best.

Rule 1: only complete trials compete; the best has the best metric, then fewer epochs, then the lower number.
        Trials that share a run often tie exactly: it is the same checkpoint, and the shorter training is enough.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unetsweep.analysis.significance import Repeats
from unetsweep.contract import Result
from unetsweep.core.cost import Cost
from unetsweep.core.spec import SweepSpec

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
"""Every state word of a trial, in the order in which they are counted aloud."""


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial, as the sweep directory (and the scheduler, where it was asked) shows it."""

    number: int
    epochs: int
    batch_size: int
    learning_rate: float
    state: str
    """A word of STATES; another one is shown as it is."""
    job_id: str | None
    """The job that published the row; before that the latest; None before any submission."""
    result: Result | None
    """None: nothing published yet."""
    reason: str = ""
    """Why it failed or waits."""
    run_dir: str = ""
    """Absolute path of the run's folder; `Result.checkpoint` is relative to it."""
    archive: str | None = None
    """Path of its experiment archive; None: there is none."""
    seed: int | None = None
    """Of its training; None: not known."""
    cost: Cost | None = None
    """Its part of what its run has cost; None: not read, or not known. So for the sweep's."""

    @property
    def point(self) -> tuple[float, ...]:
        return float(self.epochs), float(self.batch_size), self.learning_rate


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """One sweep: all that a report is made of."""

    name: str
    spec: SweepSpec
    trials: tuple[TrialRecord, ...]
    warnings: tuple[str, ...] = ()
    """What a reader of the numbers must know: `groups: none`, a torn file."""
    leak: Mapping[str, str] = field(default_factory=dict)
    """Which images were scored although training saw a copy of them, in words: of `val`, of `test`."""
    confirmed: tuple[Repeats, ...] = ()
    """What the confirmation runs of its leaders came to, as far as they have ended."""
    val_groups: Mapping[str, str] | None = None
    """Validation image -> the group (eye, child) that it shows; None: not known."""
    cost: Cost | None = None


_Rank = tuple[float, int, int]
"""The metric (negative where more is better), epochs, number: the least wins."""


def best(sweep: SweepRecord) -> TrialRecord | None:
    """The winner by rule 1; None where no trial is complete."""
    return min(_competing(sweep), key=lambda pair: pair[0], default=(None, None))[1]


def ranked(sweep: SweepRecord) -> list[TrialRecord]:
    """The complete trials, best first by rule 1."""
    return [trial for _, trial in sorted(_competing(sweep), key=lambda pair: pair[0])]


def leaders(sweep: SweepRecord) -> list[TrialRecord]:
    """The best trial of each config, best first: trials of a list may differ in their seeds only."""
    found: dict[tuple[float, ...], TrialRecord] = {}
    for trial in ranked(sweep):
        found.setdefault(trial.point, trial)
    return list(found.values())


def _competing(sweep: SweepRecord) -> Iterable[tuple[_Rank, TrialRecord]]:
    minimize, metric = sweep.spec.minimize, sweep.spec.study.metric
    for trial in sweep.trials:
        if trial.state != "complete" or trial.result is None:
            continue
        score = trial.result.val_loss if metric == "val_loss" else trial.result.val_iou
        if score is not None and math.isfinite(score):
            yield (score if minimize else -score, trial.epochs, trial.number), trial
