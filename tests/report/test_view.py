"""Which trial wins, which rows are shown and in which order."""

from dataclasses import replace

import pytest
from report_records import confirmed_sweep, docs_sweep, mixed_sweep, other_masks_sweep, spec, sweep, trial

from unetsweep.analysis.rows import SweepRecord, best
from unetsweep.contract import Result
from unetsweep.errors import UsageError
from unetsweep.report import confirmed
from unetsweep.report.columns import COLUMNS, EIGHT, columns_of
from unetsweep.report.view import make_view


def shown(of: SweepRecord, sort: str | None = None, top: int | None = None) -> list[int]:
    return [row.number for row in make_view(of, EIGHT, sort, top).rows]


def winner(of: SweepRecord) -> int | None:
    found = best(of)
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


def test_nothing_wins_where_nothing_is_complete() -> None:
    assert winner(sweep(trial(0, "waiting"), trial(1, "failed"))) is None


def test_rows_come_by_job_as_numbers_then_those_without_a_job_by_trial() -> None:
    jobs = ["18808_10", None, "18808_9", "999", None]
    assert shown(sweep(*(trial(n, job_id=job) for n, job in enumerate(jobs)))) == [3, 2, 0, 1, 4]


def test_trials_that_share_a_job_come_by_number() -> None:
    assert shown(sweep(trial(2, job_id="7"), trial(1, job_id="7"))) == [1, 2]


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
def test_sort_goes_by_a_column_and_keeps_what_is_missing_last(sort: str, order: list[int]) -> None:
    assert shown(docs_sweep(), sort) == order


def test_sorting_by_a_number_that_is_not_finite_puts_it_last() -> None:
    assert shown(mixed_sweep(), "val_loss")[:3] == [5, 0, 1]


@pytest.mark.parametrize("name", list(COLUMNS))
@pytest.mark.parametrize("sign", ["", "-"])
def test_every_column_can_be_sorted_by(name: str, sign: str) -> None:
    assert sorted(shown(mixed_sweep(), sign + name)) == list(range(9))


def test_top_shows_the_best_complete_trials_best_first() -> None:
    assert shown(docs_sweep(), top=3) == [8, 7, 2]
    assert shown(mixed_sweep(), top=5) == [0, 1]


def test_top_can_be_ordered_otherwise() -> None:
    assert shown(docs_sweep(), sort="epochs", top=3) == [2, 7, 8]


def test_the_best_is_that_of_the_whole_sweep_whatever_is_shown() -> None:
    some = make_view(docs_sweep(), EIGHT, "epochs")
    assert some.best is not None
    assert some.best.number == 8


def test_an_unknown_column_is_refused_with_a_hint_and_all_that_there_are() -> None:
    with pytest.raises(UsageError) as refused:
        make_view(docs_sweep(), ["job_id", "val_ious"])
    words = str(refused.value)
    assert "'val_ious'" in words
    assert "did you mean 'val_iou'?" in words
    assert all(name in words for name in COLUMNS)


def test_an_unknown_column_to_sort_by_is_refused() -> None:
    with pytest.raises(UsageError, match="'loss'"):
        make_view(docs_sweep(), EIGHT, "-loss")


def test_scores_under_other_masks_are_columns_of_the_sweeps_that_have_them() -> None:
    with pytest.raises(UsageError, match="no column 'test_iou_above_0'"):
        make_view(docs_sweep(), ["test_iou_above_0"])
    shown = make_view(other_masks_sweep(), ["test_iou_above_0", "val_IoU_above_127.5"], sort="-val_iou_above_0")
    assert [column.heading for column in shown.columns] == ["test_IoU (mask > 0)", "val_IoU (mask > 127.5)"]
    assert [[column.value(row) for column in shown.columns] for row in shown.rows] == [[0.5, 0.66], [None, None]]


def test_other_masks_change_neither_the_winner_nor_a_column_of_the_usual_ones() -> None:
    sweep = other_masks_sweep()
    assert winner(sweep) == 0
    usual, all_of_it = list(COLUMNS), list(columns_of(sweep))
    assert all_of_it[: len(usual)] == usual
    assert all_of_it[len(usual) :] == [f"{part}_iou_above_{at}" for at in ("0", "127.5") for part in ("val", "test")]


def test_images_of_one_eye_count_once_and_where_that_is_not_known_the_report_says_so() -> None:
    told = confirmed_sweep()
    one_eye = replace(told, val_groups=dict.fromkeys(("00", "01", "02", "03"), "00"))
    unknown = replace(told, val_groups=None)

    assert [row.p is None for row in confirmed.compare_leaders(one_eye)] == [True, True, True]
    said = "Each validation image counts separately: it is not known which of them show the same eye"
    assert said in confirmed.sentences(unknown)
    assert said not in confirmed.sentences(told)
