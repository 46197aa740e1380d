"""What a pruner gets to see of points that are trained several times."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from unetsweep.contract import Result
from unetsweep.core.point_histories import asked_points, other_points, verdicts_on_runs
from unetsweep.core.pruning import History, MetricReport, Verdict
from unetsweep.core.trials import StoredTrial

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def reports(*values: float, late: int = 0) -> tuple[MetricReport, ...]:
    """A report an hour; the first is `late` hours late."""
    return tuple(
        MetricReport(BEGIN + timedelta(hours=late + epoch), epoch, value) for epoch, value in enumerate(values, 1)
    )


def point(*trials: int, epochs: int = 8) -> tuple[StoredTrial, ...]:
    """A point of which these trials are the trainings, all of them open."""
    return tuple(StoredTrial(trial, trial, epochs, training_seed=trial) for trial in trials)


def ended(trial: StoredTrial, state: str) -> StoredTrial:
    return replace(trial, result=Result(state=state))  # type: ignore[arg-type]


REPORTS = {0: reports(0.5, 0.75), 1: reports(0.25, 0.25, 0.5, late=3), 2: reports(0.9), 3: reports(0.1, 0.3)}


def reports_of(trial: StoredTrial) -> Sequence[MetricReport]:
    return REPORTS[trial.run]


def asked(*trials: int, ignored_until: int = 0) -> list[History]:
    return [History(trial, 8, None, REPORTS[trial], ignored_until) for trial in trials]


def test_a_mean_exists_when_the_last_training_has_reached_the_epoch() -> None:
    found = asked_points([point(0, 1)], asked(0, 1), 2, reports_of)
    assert found[0] is found[1]
    assert found[0].trial == 0
    assert [(each.epoch, each.value, each.at.hour) for each in found[0].reports] == [(1, 0.375, 4), (2, 0.5, 5)]


def test_a_point_is_not_judged_while_a_training_is_not_proposed_or_has_not_reported() -> None:
    assert asked_points([point(0, 1)], asked(0, 1), 3, reports_of) == {}
    silent = {**REPORTS, 1: ()}
    assert asked_points([point(0, 1)], asked(0), 2, lambda trial: silent[trial.run]) == {}


def test_verdicts_that_a_retry_lifted_do_not_count_for_the_point() -> None:
    of_runs = [*asked(0), *asked(1, ignored_until=2)]
    assert asked_points([point(0, 1)], of_runs, 2, reports_of)[0].ignored_until == 2


def test_other_points_are_compared_with_by_how_they_ended() -> None:
    zero, one = point(0, 1)
    points = [(ended(zero, "complete"), ended(one, "failed")), point(2, 3)]
    found = list(other_points(points, asked_points(points, asked(2), 2, reports_of), 2, "open", reports_of))
    assert [(each.trial, each.state, [report.value for report in each.reports]) for each in found] == [
        (0, "complete", [0.5, 0.75])
    ]
    found = list(other_points(points, {}, 2, "open", reports_of))
    assert [(each.trial, each.state) for each in found] == [(0, "complete"), (2, "open")]


def test_a_verdict_on_a_point_is_one_on_each_of_its_runs_that_train() -> None:
    found = asked_points([point(0, 1), point(2, 3)], asked(0, 1, 3), 2, reports_of)
    verdicts = verdicts_on_runs(found, {0: Verdict(2, "too poor")}, 2)
    assert verdicts == dict.fromkeys((0, 1), Verdict(2, "mean of 2 trainings: too poor"))
