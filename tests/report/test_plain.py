"""CSV and JSON keep every number exactly, and standard parsers read them."""

import csv
import io
import json
from dataclasses import replace

import pytest
from report_records import docs_sweep, mixed_sweep, other_masks_sweep, sweep, trial

from unetsweep.contract import Result
from unetsweep.core.cost import Cost
from unetsweep.report.columns import COLUMNS, COSTS
from unetsweep.report.formats import Format, files, render
from unetsweep.texts import one_line

ODD = 0.00031622776601683794


def test_csv_keeps_every_number_exactly() -> None:
    odd = sweep(trial(0, learning_rate=ODD, job_id='7,"8"'))
    (row,) = csv.DictReader(io.StringIO(render(odd, Format.CSV)))
    assert float(row["learning_rate"]) == ODD
    assert row["job_id"] == '7,"8"'
    assert row["test_iou"] == ""


@pytest.mark.parametrize("begin", ["=1+1", "+1", "-9: killed", "@SUM(A1)", "\t=1", "\r=1", "\x1b[1m=1", "\uff1d1"])
def test_no_text_in_the_csv_is_a_formula_and_numbers_stay_numbers(begin: str) -> None:
    result = Result(val_iou=-0.5, host=begin)
    odd = sweep(trial(0, result=result, reason=begin, job_id=begin, archive=begin), trial(1, reason="a\tb", job_id="7"))
    for text in (render(odd, Format.CSV), files(odd)["results.csv"]):
        row, other = sorted(csv.DictReader(io.StringIO(text)), key=lambda row: row["trial"])
        expected = f"'{one_line(begin)}"
        assert [row[name] for name in ("host", "reason", "job_id", "archive")] == [expected] * 4
        assert (row["val_iou"], row["state"]) == ("-0.5", "complete")
        assert [other[name] for name in ("host", "reason", "job_id")] == ["", "a b", "7"]


def test_json_has_any_text_as_it_was() -> None:
    text = "=1\n\x1b[2J\u202e\udcff\U000e0001 µ"
    (row,) = json.loads(render(sweep(trial(0, result=Result(val_iou=0.5, host=text))), Format.JSON))["rows"]
    assert row["host"] == text


def test_json_keeps_every_number_exactly() -> None:
    (row,) = json.loads(render(sweep(trial(0, learning_rate=ODD)), Format.JSON))["rows"]
    assert row["learning_rate"] == ODD
    assert row["val_iou"] == 0.5
    assert row["test_iou"] is None


def test_json_is_strict_json_even_with_a_number_that_is_not_finite() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    report = json.loads(render(mixed_sweep(), Format.JSON), parse_constant=refuse)
    assert [row["val_loss"] for row in report["rows"] if row["trial"] == 1] == [None]


def test_json_rows_have_the_columns_in_order() -> None:
    report = json.loads(render(docs_sweep(), Format.JSON, columns=["val_iou", "trial"]))
    assert report["columns"] == ["val_iou", "trial"]
    assert report["rows"][0] == {"val_iou": 0.6163, "trial": 0}


def test_json_counts_the_states_of_the_whole_sweep_even_if_rows_are_left_out() -> None:
    assert json.loads(render(mixed_sweep(), Format.JSON, top=1))["states"]["failed"] == 1


def test_the_files_in_the_report_folder_are_complete_reports() -> None:
    texts = files(mixed_sweep())
    assert sorted(texts) == ["results.csv", "results.json", "results.md"]
    assert texts["results.csv"].split("\n")[0].split(",") == list(COLUMNS)
    assert len(json.loads(texts["results.json"])["rows"]) == 9
    assert texts["results.md"] == render(mixed_sweep(), Format.MARKDOWN)


def test_json_states_how_the_images_were_read() -> None:
    data = json.loads(render(other_masks_sweep(), Format.JSON))["data"]
    assert data == {"image_size": 512, "mask_threshold": 127.0, "also_score_at": [0.0, 127.5]}
    assert json.loads(render(sweep(), Format.JSON))["data"]["mask_threshold"] == "half"


def test_scores_under_other_masks_are_in_csv_and_json_by_default() -> None:
    (row, _) = csv.DictReader(io.StringIO(render(other_masks_sweep(), Format.CSV)))
    assert (row["val_iou_above_0"], row["test_iou_above_127.5"], row["val_iou_sd"]) == ("0.51234567", "", "0.0125")
    assert json.loads(render(other_masks_sweep(), Format.JSON))["rows"][0]["test_iou_above_0"] == 0.5
    assert files(other_masks_sweep())["results.csv"] == render(other_masks_sweep(), Format.CSV)


def test_costs_are_in_a_report_only_if_they_were_read() -> None:
    cost = Cost(2, 60.0, 240.0, 120.0, 12.3456, 812.4, 60.0)
    plain = sweep(trial(0, cost=cost))
    read = replace(plain, cost=cost)
    report = json.loads(render(read, Format.JSON))
    assert report["cost"]["lost_seconds"] == 12.346
    (row,) = report["rows"]
    assert [row[name] for name in COSTS] == [2, 60.0, 240.0, 120.0, 12.346, 812.4]
    unread = json.loads(render(plain, Format.JSON))
    assert unread["cost"] is None
    assert not set(COSTS) & set(unread["columns"])
    assert "240.0" in render(plain, Format.TABLE, columns=["trial", "job_gpu_seconds"])
    assert not any(name in text for text in files(plain).values() for name in COSTS)
