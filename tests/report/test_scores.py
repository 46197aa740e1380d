"""The scores that a report shows follow the metric and what the results of the trainer have."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from report_records import docs_sweep, spec, sweep, trial

from unetsweep.analysis.rows import SweepRecord
from unetsweep.analysis.significance import Repeats
from unetsweep.contract import DataConfig, Result, result_from
from unetsweep.core.space import Choices, Parameter, Space
from unetsweep.core.spec import StudySpec
from unetsweep.report import confirmed
from unetsweep.report.formats import Format, render

COMMAND = "python fit.py {config} {out}"


def own(*results: dict[str, Any], metric: str = "rmse", data: DataConfig | None = None) -> SweepRecord:
    """A sweep of a trainer command that has published these results."""
    found = spec(metric, gpus=0, command=COMMAND, data=data or DataConfig("."))
    object.__setattr__(found, "study", StudySpec(metric=metric, direction="minimize"))
    trials = [trial(at, result=result_from(raw, "result.json")) for at, raw in enumerate(results)]
    return sweep(*trials, of=found)


def headings(record: SweepRecord, form: Format = Format.TABLE) -> list[str]:
    return render(record, form).splitlines()[0].split()


def test_a_trainer_command_shows_its_metric_and_only_the_scores_that_it_has():
    first = ["trial", "state", "Job", "id", "epochs", "batch_size", "learning_rate"]
    assert headings(own()) == [*first, "rmse"]
    assert headings(own({"rmse": 0.5, "fold": 3}, {"rmse": 0.25, "test_iou": 0.5})) == [
        *first,
        "rmse",
        "test_IoU",
        "fold",
    ]
    assert headings(own({"val_iou": 0.5}, metric="val_iou")) == [*first, "val_IoU"]


def test_the_text_about_the_best_trial_names_the_metric_and_nothing_of_images():
    record = own({"rmse": 0.5}, {"rmse": 0.25, "val_loss": 0.125})
    table, markdown = render(record, Format.TABLE), render(record, Format.MARKDOWN)
    assert "rmse:          0.2500\nval_loss:      0.1250\n" in table
    assert "- **rmse = 0.2500**\n- **validation loss = 0.1250**" in markdown
    for text in (table, markdown, render(record, Format.LATEX)):
        assert "Scores" not in text
        assert "IoU" not in text


def test_scores_of_images_are_described_if_a_trainer_command_was_given_settings_for_them():
    record = own({"rmse": 0.5}, data=DataConfig("images", image_size=128))
    assert "Scores requested at 128x128" in render(record, Format.TABLE)


def test_another_metric_of_the_built_in_trainer_has_a_column_before_the_usual_ones():
    found = spec("val_dice")
    result = Result(val_iou=0.5, val_loss=0.25, val_scores={"dice": 0.75})
    text = render(sweep(trial(0, result=result), of=found), Format.TABLE)
    assert text.splitlines()[0].split()[-5:] == ["val_dice", "val_IoU", "val_loss", "test_IoU", "test_loss"]
    assert "val_dice:      0.7500" in text
    assert "val_dice" not in render(docs_sweep(), Format.TABLE)


def test_further_values_are_columns_of_csv_and_json_and_can_be_sorted_by():
    record = own({"rmse": 0.5, "R2": 0.125, "mixed": 1, "trial_name": "=x", "gap": 2}, {"rmse": 0.25, "mixed": "a"})
    (first, second) = csv.DictReader(io.StringIO(render(record, Format.CSV)))
    assert [first[name] for name in ("rmse", "R2", "mixed", "trial_name", "result.gap")] == [
        "0.5",
        "0.125",
        "1",
        "'=x",
        "2",
    ]
    assert (second["R2"], second["mixed"]) == ("", "a")
    rows = json.loads(render(record, Format.JSON))["rows"]
    assert [row["rmse"] for row in rows] == [0.5, 0.25]
    for sort in ("rmse", "-r2", "mixed"):
        assert render(record, Format.TABLE, columns=["trial", "R2"], sort=sort)


@pytest.mark.parametrize("form", list(Format))
def test_a_name_of_a_trainer_command_changes_no_format(form: Format):
    record = own({"rmse": 0.5, "a|b": 1, "=cmd()": 2, "\x1b[31m": 3, "x\ny": 4, "{&}": 5})
    text = render(record, form)
    assert "\x1b" not in text
    if form is Format.MARKDOWN:
        assert "a\\|b" in text
    if form is Format.CSV:
        assert "'=cmd()" in text.splitlines()[0]
    if form is Format.LATEX:
        assert r"\{\&\}" in text


def test_a_confirmation_without_values_by_image_is_not_called_tested():
    repeats = tuple(Repeats(key, (7, 8), (mean, mean), (None, None), ({}, {})) for key, mean in ((0, 0.5), (1, 0.25)))
    record = replace(own({"rmse": 0.5}, {"rmse": 0.25}), confirmed=repeats)
    assert confirmed.table(record)[0] == ["confirmed", "seeds", "rmse", "behind", "p", "best"]
    why = "without rmse of each validation image no test compares them"
    assert confirmed.sentences(record) == [f"Confirmed: trials 0001, 0000 cannot be distinguished: {why}"]


def program(*points: dict[str, Any], **domains: Choices) -> SweepRecord:
    """A sweep of a program with these parameters, of which each trial has a point."""
    of = own({"rmse": 0.5}).spec
    space = Space(tuple(Parameter(path, domain) for path, domain in domains.items()))
    record = own(*({"rmse": 0.5 - at / 10} for at in range(len(points))))
    trials = [replace(each, params=point) for each, point in zip(record.trials, points, strict=True)]
    return sweep(*trials, of=replace(of, space=space))


def test_a_program_shows_its_own_parameters_and_none_that_nobody_named():
    record = program(
        {"sigma": 3, "host": "a", "epochs": 1},
        {"sigma": "auto", "host": "b", "epochs": 1},
        sigma=Choices((3, "auto")),
        host=Choices(("a", "b")),
        epochs=Choices((1,)),
    )
    assert headings(record) == ["trial", "state", "Job", "id", "sigma", "params.host", "rmse"]
    row = json.loads(render(record, Format.JSON))["rows"][1]
    assert (row["sigma"], row["params.host"], row["host"]) == ("auto", "b", None)
    assert not {"batch_size", "learning_rate"} & {*row}
    best = json.loads(render(record, Format.JSON))["best"]
    assert (best["batch_size"], best["learning_rate"], best["epochs"]) == (None, None, None)
    assert best["params"] == {"sigma": "auto", "host": "b"}
    for form in (Format.TABLE, Format.MARKDOWN):
        text = render(record, form).lower()
        assert not any(name in text for name in ("batch", "learning", "epochs"))
    assert [
        each.split()[-1]
        for each in render(record, Format.TABLE, sort="-sigma", columns=["trial", "state", "sigma"]).splitlines()[1:3]
    ] == ["auto", "3"]


def test_a_program_shows_the_parameters_of_ours_that_it_names():
    record = program({"learning_rate": 0.1, "epochs": 4}, learning_rate=Choices((0.1, 0.2)), epochs=Choices((4,)))
    assert headings(record) == ["trial", "state", "Job", "id", "learning_rate", "rmse"]
    assert "learning rate: 0.1\n" in render(record, Format.TABLE)
    assert "batch size" not in render(record, Format.TABLE)
