"""What a sweep has used of `study.limits`: read from the files of its runs and from accounting, and never stored."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from unetsweep.analysis.rows import SweepRecord
from unetsweep.app.costs import run_costs
from unetsweep.app.estimates import estimate_limited
from unetsweep.app.executors import Executor, executor_of
from unetsweep.clock import utc_now
from unetsweep.core import cost, paths
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.observation import Observation
from unetsweep.core.plan import why_no_more
from unetsweep.core.spec import SweepSpec
from unetsweep.core.spending import Limits, Spending, describe_spending
from unetsweep.errors import UnetsweepError
from unetsweep.store.observation import numbered_folders
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.timelines import read_timeline


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """How much of a sweep's limit is used."""

    limits: Limits
    spending: Spending
    reached: str | None
    """Why no more trials are proposed, although the sweep asks for more; None: its limit does not prevent it."""

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            f"{self.limits.unit.lower()}_hours": self.limits.hours,
            "used": round(self.spending.used, 6),
            "expected": None if self.spending.expected is None else round(self.spending.expected, 6),
            "reached": self.reached,
        }

    @property
    def text(self) -> str:
        """One line for people."""
        return self.reached or describe_spending(self.limits, self.spending)


def limit_status(limits: Limits, spending: Spending | None, reached: str | None) -> LimitStatus | None:
    """How much of its limit a sweep has used; None: it has no limit."""
    return None if spending is None else LimitStatus(limits, spending, reached)


def with_limit_warning(record: SweepRecord, directory: SweepDir) -> SweepRecord:
    """The record, with a warning if no more trials are proposed although the sweep asks for more."""
    spec = record.spec
    if spec.study.limits.hours is None or len(record.trials) >= trials_wanted(spec):
        return record
    try:
        observation = directory.observe(spec.metric)
        spending = read_spending(spec, directory, executor_of(directory), observation, utc_now())
        warning = why_no_more(spec, replace(observation, spending=spending))
    except UnetsweepError as error:
        warning = f"it is not known what the sweep has used of its limit: {error}"
    return record if warning is None else replace(record, warnings=(*record.warnings, warning))


def spending_reader(
    spec: SweepSpec, directory: SweepDir, executor: Executor
) -> Callable[[Observation, datetime], Spending] | None:
    """The function that reads what the sweep has used; None: it has no limit."""
    if spec.study.limits.hours is None:
        return None
    return lambda observation, now: read_spending(spec, directory, executor, observation, now)


def read_spending(
    spec: SweepSpec, directory: SweepDir, executor: Executor, observation: Observation, now: datetime
) -> Spending:
    """What all attempts of a sweep have used, and what its open trainings are expected to use."""
    by_gpus = spec.study.limits.unit == "GPU"
    open_runs = {trial.run for trial in observation.trials}
    timelines = {
        number: read_timeline(folder, is_open=number in open_runs)
        for number, folder in numbered_folders(directory.root / paths.RUNS)
    }
    known = {number: timeline for number, timeline in timelines.items() if timeline is not None}
    used = cost.total(run_costs(spec, known, executor, now.timestamp()).values())
    rest, one = estimate_limited(spec, directory, executor, observation)
    expected, per_training = (each.gpu_hours if by_gpus else each.cpu_hours for each in (rest, one))
    seconds = used.gpu_seconds if by_gpus else used.cpu_seconds
    return Spending(seconds / 3600, expected, per_training, len(timelines) - len(known))
