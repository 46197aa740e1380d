"""Pruning with repeats: a pruner compares points by the mean curves of their trainings.

Rule 1: a point has a mean at an epoch when all its trainings have reached it, without those that failed. Before that,
        and while a training of it is not proposed yet, it is not judged and not compared with: the mean of fewer
        trainings would decide by the luck of their seeds.
Rule 2: what is decided on a point ends each of its runs that train.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from unetsweep.core.pruning import History, MetricReport, Verdict
from unetsweep.core.repeats import FAILED, state_of_point
from unetsweep.core.trials import StoredTrial, longest_of_runs

Points = Sequence[tuple[StoredTrial, ...]]
"""All points of the sweep, each as the trials that are its trainings."""
ReportsOf = Callable[[StoredTrial], Sequence[MetricReport]]
"""The reports of a trial's run."""


def asked_points(points: Points, asked: Iterable[History], repeats: int, reports_of: ReportsOf) -> dict[int, History]:
    """Return the history of the point of each run that is asked about, by the trial through which the run is judged.

    A point is judged through its first trial. It is missing while it has no mean.
    """
    of_runs, found = {history.trial: history for history in asked}, dict[int, History]()
    for point in points:
        runs = [of_runs[trial.number] for trial in point if trial.number in of_runs]
        reports = _mean_reports(point, repeats, reports_of) if runs else ()
        if reports:
            ignored_until = max(history.ignored_until for history in runs)
            of_point = History(point[0].number, runs[0].epochs, None, reports, ignored_until)
            found |= {history.trial: of_point for history in runs}
    return found


def other_points(
    points: Points, asked: Mapping[int, History], repeats: int, not_training: str, reports_of: ReportsOf
) -> Iterator[History]:
    """Yield the histories of all other points that have a mean. A run is compared through its longest trial.

    `not_training`: the state of a point that has not ended.
    """
    judged = {history.trial for history in asked.values()}
    longest = {trial.number for trial in longest_of_runs(trial for point in points for trial in point).values()}
    for point in points:
        if point[0].number in judged or not any(trial.number in longest for trial in point):
            continue
        if reports := _mean_reports(point, repeats, reports_of):
            states = [None if trial.result is None else trial.result.state for trial in point]
            ended = state_of_point(states, repeats)
            yield History(point[0].number, point[0].epochs, ended or not_training, reports)


def verdicts_on_runs(
    asked: Mapping[int, History], verdicts: Mapping[int, Verdict], repeats: int
) -> Mapping[int, Verdict]:
    """Return the verdicts on points as those on their runs. `asked`: as `asked_points` returns it."""
    return {
        trial: replace(verdicts[point.trial], reason=f"mean of {repeats} trainings: {verdicts[point.trial].reason}")
        for trial, point in asked.items()
        if point.trial in verdicts
    }


def _mean_reports(point: Sequence[StoredTrial], repeats: int, reports_of: ReportsOf) -> tuple[MetricReport, ...]:
    """Return the mean at each epoch that all trainings have reached, at the time when the last of them did."""
    good = [trial for trial in point if trial.result is None or trial.result.state not in FAILED]
    if len(point) < repeats or not good:
        return ()
    curves = [{report.epoch: report for report in reports_of(trial)} for trial in good]
    common = sorted(set[int].intersection(*(set(curve) for curve in curves)))
    return tuple(
        MetricReport(max(curve[epoch].at for curve in curves), epoch, fmean(curve[epoch].value for curve in curves))
        for epoch in common
        if epoch <= point[0].epochs
    )
