"""Which trial is the best, and which rows a report has in which order."""

from dataclasses import replace

import pytest
from report_records import confirmed_sweep, docs_sweep, mixed_sweep, other_masks_sweep, spec, sweep, trial

from unetsweep.analysis.rows import SweepRecord, best
from unetsweep.contract import Result
from unetsweep.errors import UsageError
from unetsweep.report import confirmed
from unetsweep.report.columns import COLUMNS, TABLE_COLUMNS, columns_of
from unetsweep.report.view import make_view


def rows_of(record: SweepRecord, sort: str | None = None, top: int | None = None) -> list[int]:
    """The trials of the report's rows, in order."""
    return [row.number for row in make_view(record, TABLE_COLUMNS, sort, top).rows]


def winner(record: SweepRecord) -> int | None:
    """The number of the best trial."""
    found = best(record)
    return None if found is None else found.number


def test_the_best_trial_has_the_highest_val_iou() -> None:
    assert winner(docs_sweep()) == 8


def test_a_sweep_that_minimises_val_loss_picks_the_lowest() -> None:
    results = (Result(val_iou=0.9, val_loss=0.5), Result(val_iou=0.1, val_loss=0.2), Result(val_iou=0.5))
    trials = [trial(number, result=result) for number, result in enumerate(results)]
    assert winner(sweep(*trials, of=spec("val_loss"))) == 1


def test_a_tie_goes_to_the_shorter_training_then_to_the_lower_number() -> None:
    tied = [trial(0, epochs=1000), trial(3, epochs=400), trial(2, epochs=400)]
    assert winner(sweep(*tied)) == 2


@pytest.mark.parametrize("state", ["pruned", "diverged", "failed", "cancelled", "running"])
def test_only_complete_trials_compete(state: str) -> None:
    better = trial(0, state, result=Result(val_iou=0.99))
    assert winner(sweep(better, trial(1))) == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_does_not_compete(number: float) -> None:
    assert winner(sweep(trial(0, result=Result(val_iou=number)), trial(1))) == 1


def test_without_a_complete_trial_there_is_no_best() -> None:
    assert winner(sweep(trial(0, "waiting"), trial(1, "failed"))) is None


def test_rows_are_sorted_by_the_numbers_of_their_jobs_and_rows_without_a_job_come_last() -> None:
    jobs = ["18808_10", None, "18808_9", "999", None]
    assert rows_of(sweep(*(trial(n, job_id=job) for n, job in enumerate(jobs)))) == [3, 2, 0, 1, 4]


def test_trials_that_share_a_job_are_sorted_by_number() -> None:
    assert rows_of(sweep(trial(2, job_id="7"), trial(1, job_id="7"))) == [1, 2]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("epochs", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("-epochs", [8, 7, 5, 6, 2, 3, 4, 0, 1]),
        ("val_iou", [1, 6, 5, 0, 4, 3, 2, 7, 8]),
        ("test_IoU", [2, 7, 8, 0, 1, 3, 4, 5, 6]),
        ("-test_iou", [8, 7, 2, 0, 1, 3, 4, 5, 6]),
        ("-Job id", [8, 7, 6, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_rows_can_be_sorted_by_a_column_and_missing_values_come_last(sort: str, order: list[int]) -> None:
    assert rows_of(docs_sweep(), sort) == order


def test_values_that_are_not_finite_come_last() -> None:
    assert rows_of(mixed_sweep(), "val_loss")[:3] == [5, 0, 1]


@pytest.mark.parametrize("name", list(COLUMNS))
@pytest.mark.parametrize("sign", ["", "-"])
def test_every_column_can_be_sorted_by(name: str, sign: str) -> None:
    assert sorted(rows_of(mixed_sweep(), sign + name)) == list(range(9))


def test_top_selects_the_best_complete_trials_and_sorts_them_best_first() -> None:
    assert rows_of(docs_sweep(), top=3) == [8, 7, 2]
    assert rows_of(mixed_sweep(), top=5) == [0, 1]


def test_the_top_rows_can_be_sorted_by_a_column() -> None:
    assert rows_of(docs_sweep(), sort="epochs", top=3) == [2, 7, 8]


def test_the_best_trial_is_that_of_the_whole_sweep_even_if_rows_are_left_out() -> None:
    some = make_view(docs_sweep(), TABLE_COLUMNS, "epochs")
    assert some.best is not None
    assert some.best.number == 8


def test_an_unknown_column_is_refused_with_a_suggestion_and_all_columns() -> None:
    with pytest.raises(UsageError) as refused:
        make_view(docs_sweep(), ["job_id", "val_ious"])
    message = str(refused.value)
    assert "'val_ious'" in message
    assert "did you mean 'val_iou'?" in message
    assert all(name in message for name in COLUMNS)


def test_an_unknown_column_to_sort_by_is_refused() -> None:
    with pytest.raises(UsageError, match="'loss'"):
        make_view(docs_sweep(), TABLE_COLUMNS, "-loss")


def test_scores_under_other_masks_are_columns_only_of_sweeps_that_have_them() -> None:
    with pytest.raises(UsageError, match="no column 'test_iou_above_0'"):
        make_view(docs_sweep(), ["test_iou_above_0"])
    view = make_view(other_masks_sweep(), ["test_iou_above_0", "val_IoU_above_127.5"], sort="-val_iou_above_0")
    assert [column.heading for column in view.columns] == ["test_IoU (mask > 0)", "val_IoU (mask > 127.5)"]
    assert [[column.value(row) for column in view.columns] for row in view.rows] == [[0.5, 0.66], [None, None]]


def test_other_masks_change_neither_the_best_trial_nor_the_usual_columns() -> None:
    sweep = other_masks_sweep()
    assert winner(sweep) == 0
    usual, every = list(COLUMNS), list(columns_of(sweep))
    assert every[: len(usual)] == usual
    assert every[len(usual) :] == [f"{part}_iou_above_{at}" for at in ("0", "127.5") for part in ("val", "test")]


def test_images_of_one_group_count_once_and_the_report_says_if_groups_are_unknown() -> None:
    known = confirmed_sweep()
    one_group = replace(known, val_groups=dict.fromkeys(("00", "01", "02", "03"), "00"))
    unknown = replace(known, val_groups=None)

    assert [row.p is None for row in confirmed.compare_leaders(one_group)] == [True, True, True]
    message = "Each validation image counts separately: it is not known which of them show the same eye"
    assert message in confirmed.sentences(unknown)
    assert message not in confirmed.sentences(known)
