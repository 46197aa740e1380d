"""Which metrics a sweep may optimise, and which results count for it."""

import pytest

from unetsweep.contract import Result, result_from
from unetsweep.core.metric import METRICS, direction_problem, metric_of, name_problem, result_problem
from unetsweep.trial_config import BUILT_IN_METRICS

SCORED = {"dice": 0.8, "precision": 0.7, "sensitivity": 0.9, "image_iou_mean": 0.6}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("val_iou", 0.5),
        ("val_loss", 0.1),
        ("val_dice", 0.8),
        ("val_precision", 0.7),
        ("val_sensitivity", 0.9),
        ("val_iou_mean", 0.6),
    ],
)
def test_every_score_of_the_built_in_trainer_is_a_metric(name: str, value: float):
    assert METRICS[name].of_result(Result(val_iou=0.5, val_loss=0.1, val_scores=SCORED)) == value
    assert METRICS[name].of_result(result_from({name: value}, "result.json")) == value, "a trainer command names it"
    assert METRICS[name].minimize == (name == "val_loss")


def test_the_trainer_and_the_sweep_know_the_same_metrics():
    assert tuple(METRICS) == BUILT_IN_METRICS


@pytest.mark.parametrize(
    ("name", "is_built_in", "expected"),
    [
        ("val_dice", True, None),
        ("val_dcie", True, "found 'val_dcie'; did you mean 'val_dice'?"),
        ("rmse", True, "found 'rmse'; the built-in trainer reports val_iou, val_loss, val_dice, val_precision, "),
        ("test_iou", True, "found 'test_iou'; the built-in trainer reports"),
        ("rmse", False, None),
        ("val/acc@5", False, None),
        ("precision", False, None),
        ("state", False, "found 'state', which is no score in result.json"),
        ("two words", False, "found 'two words'; 1 to 60 printable characters without spaces and commas"),
        ("", False, "found ''; 1 to 60"),
        ("x" * 61, False, "found 'x"),
    ],
)
def test_a_metric_that_nothing_reports_is_refused(name: str, is_built_in: bool, expected: str | None):
    found = name_problem(name, is_built_in=is_built_in)
    assert found is None if expected is None else (found or "").startswith(expected)


@pytest.mark.parametrize(
    ("name", "direction", "expected"),
    [
        ("val_iou", None, None),
        ("val_iou", "maximize", None),
        ("val_iou", "minimize", "found 'minimize'; val_iou has 'maximize', so leave it out"),
        ("rmse", "minimize", None),
        ("rmse", None, "is missing: it is not known whether more or less rmse is better; allowed: minimize, maximize"),
    ],
)
def test_only_the_direction_of_an_unknown_metric_must_be_given(name: str, direction: str | None, expected: str | None):
    assert direction_problem(name, direction) == expected


@pytest.mark.parametrize(
    ("metric", "raw", "expected"),
    [
        ("val_iou", {"val_iou": 0.5}, None),
        ("val_iou", {"state": "diverged"}, None),
        ("rmse", {"rmse": 3}, None),
        (
            "val_loss",
            {"val_iou": 0.5, "test_iou": 0.4},
            "no number val_loss, which study.metric names; it has val_iou, ",
        ),
        ("val_iou", {}, "no number val_iou, which study.metric names; it has no score"),
        (
            "val_iou",
            {"val_iuo": 0.5},
            "no number val_iou, which study.metric names; it has val_iuo: did you mean that?",
        ),
        ("rmse", {"rmse": "0.5"}, "no number rmse, which study.metric names; found the text '0.5'"),
        ("rmse", {"rmse": True}, "no number rmse"),
        ("val_iou", {"val_iou": 17.3}, "found val_iou 17.3; 0 to 1"),
        ("val_dice", {"val_dice": -0.1}, "found val_dice -0.1; 0 to 1"),
        ("rmse", {"rmse": 17.3, "val_dice": 83.0}, None),
    ],
)
def test_a_complete_result_counts_if_it_has_the_metric_in_its_range(metric: str, raw: dict, expected: str | None):
    found = result_problem(metric_of(metric, "minimize"), result_from(raw, "result.json"))
    assert found is None if expected is None else found is not None and found.message.startswith(expected)
