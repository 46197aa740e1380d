"""The report of a sweep with repeats: a row for each point, with the means of its trainings."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from report_records import repeated_sweep, spec, sweep, trial

from unetsweep.analysis.rows import SweepRecord, best, leaders, ranked_points
from unetsweep.contract import Result
from unetsweep.core.cost import Cost
from unetsweep.errors import UsageError
from unetsweep.report.formats import Format, render
from unetsweep.report.view import make_view


def repeated(*trials: Any, repeats: int = 2, **study: Any) -> SweepRecord:
    of = spec(**study)
    return sweep(*trials, of=replace(of, study=replace(of.study, repeats=repeats)))


def scored(number: int, rate: float, score: float | None, state: str = "complete", **more: Any) -> Any:
    result = None if score is None else Result(state=state, val_iou=score, val_loss=1 - score)  # type: ignore[arg-type]
    return trial(number, state, learning_rate=rate, result=result, seed=number % 2, **more)


def csv_rows(record: SweepRecord) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(record, Format.CSV))))


def test_the_best_point_is_that_with_the_best_mean_of_complete_points() -> None:
    assert [point.number for point in ranked_points(repeated_sweep())] == [0, 6, 3]
    found = best(repeated_sweep())
    assert found is not None
    assert found.number == 1, "the best training of the best point, and not the best training"


def test_a_point_with_fewer_complete_trainings_is_best_only_while_no_point_has_all() -> None:
    partial = [
        scored(0, 1e-3, 0.9),
        scored(1, 1e-3, None, "failed"),
        scored(2, 1e-2, 0.5),
        scored(3, 1e-2, None, "running"),
    ]
    assert [point.number for point in ranked_points(repeated(*partial))] == [0, 2]
    full = [*partial, scored(4, 1e-1, 0.1), scored(5, 1e-1, 0.1)]
    assert [point.number for point in ranked_points(repeated(*full))] == [4, 0, 2]


def test_a_confirmation_trains_points_in_the_order_of_their_means() -> None:
    assert [leader.number for leader in leaders(repeated_sweep())] == [0, 6, 3]


def test_the_table_has_a_row_for_each_point_with_mean_and_spread() -> None:
    lines = render(repeated_sweep(), Format.TABLE).splitlines()
    assert [" ".join(line.split()) for line in lines[:3]] == [
        "trial state trainings Job id epochs batch_size learning_rate val_IoU val_loss test_IoU test_loss",
        "* 0000 complete 3 18808_0 18808_1 18808_2 100 4 1e-04 0.7200 ± 0.0200 0.2800 ± 0.0200 - -",
        "0003 complete 2 of 3 18808_3 18808_4 18808_5 100 4 1e-03 0.8500 ± 0.0707 0.1500 ± 0.0707 - -",
    ]
    assert "4 points, 3 trainings of each: 8 complete, 1 running, 1 waiting, 1 failed" in lines
    assert "best point:    val_IoU 0.7200 ± 0.0200 over 3 trainings (0000, 0001, 0002)" in lines
    assert "best trial:    0001 (job 18808_1)" in lines


def test_a_table_counts_trainings_only_if_some_are_missing_and_one_value_has_no_spread() -> None:
    full = repeated(scored(0, 1e-3, 0.5), scored(1, 1e-3, 0.7))
    assert "trainings " not in render(full, Format.MARKDOWN).splitlines()[0]
    partial = render(repeated(scored(0, 1e-3, 0.5), scored(1, 1e-3, None, "failed")), Format.MARKDOWN)
    assert [cell.strip(" *") for cell in partial.splitlines()[2].split("|")[2:8]] == [
        *("1 of 2", "100", "4", "1e-03", "0.5000", "0.5000")
    ]


def test_many_jobs_of_a_point_are_not_all_in_a_table_but_in_csv() -> None:
    record = repeated(*(scored(n, 1e-3, 0.5, job_id=str(n)) for n in range(5)), repeats=5)
    assert "0 1 2 and 2 more" in render(record, Format.TABLE)
    assert csv_rows(record)[0]["job_id"] == "0 1 2 3 4"


def test_csv_has_means_and_spreads_as_numbers() -> None:
    [first, second, *_, last] = csv_rows(repeated_sweep())
    assert {name: first[name] for name in ("trial", "trainings", "seeds", "job_id")} == {
        "trial": "0",
        "trainings": "3",
        "seeds": "0 1 2",
        "job_id": "18808_0 18808_1 18808_2",
    }
    assert float(first["val_iou"]) == pytest.approx(0.72)
    assert float(first["val_iou_seed_sd"]) == pytest.approx(0.02)
    assert (second["trainings"], second["reason"]) == ("2", "CUDA error")
    assert (last["state"], last["val_iou"], last["val_iou_seed_sd"], last["trainings"]) == ("running", "", "", "0")


def test_json_has_each_training_within_its_point() -> None:
    found = json.loads(render(repeated_sweep(), Format.JSON))
    assert [row["trial"] for row in found["rows"]] == [0, 3, 6, 9]
    assert [(each["trial"], each["seed"], each["state"], each["val_iou"]) for each in found["rows"][1]["trials"]] == [
        (3, 0, "complete", 0.9),
        (4, 1, "failed", None),
        (5, 2, "complete", 0.8),
    ]
    assert found["best"]["trial"] == 1
    assert found["best"]["point"] == {
        "trials": [0, 1, 2],
        "trainings": 3,
        "metric": "val_IoU",
        "mean": pytest.approx(0.72),
        "sd": pytest.approx(0.02),
    }
    assert found["states"] == {"complete": 8, "running": 1, "waiting": 1, "failed": 1}


def test_latex_writes_the_spread_as_a_symbol() -> None:
    assert r"\textbf{0.7200 $\pm$ 0.0200}" in render(repeated_sweep(), Format.LATEX)


@pytest.mark.parametrize(
    ("sort", "top", "order"),
    [
        ("-val_iou", None, [3, 0, 6, 9]),
        ("Job id", None, [0, 3, 6, 9]),
        (None, 2, [0, 6]),
        ("val_iou_seed_sd", None, [0, 3, 6, 9]),
        ("-trainings", None, [0, 6, 3, 9]),
    ],
)
def test_points_are_sorted_by_their_means(sort: str | None, top: int | None, order: list[int]) -> None:
    assert [row.number for row in make_view(repeated_sweep(), ["val_iou"], sort, top).rows] == order


def test_the_seed_of_a_point_is_not_a_column_but_its_seeds_are() -> None:
    with pytest.raises(UsageError, match="there is no column 'seed'; did you mean 'seeds'"):
        render(repeated_sweep(), Format.TABLE, columns=["seed"])


def test_a_pruned_point_has_the_mean_of_what_its_trainings_reached() -> None:
    record = repeated(scored(0, 1e-3, 0.2, "pruned"), scored(1, 1e-3, 0.4, "pruned"))
    [row] = csv_rows(record)
    assert (row["state"], row["trainings"], float(row["val_iou"])) == ("pruned", "0", pytest.approx(0.3))
    assert best(record) is None


def test_a_loss_that_is_not_finite_has_no_spread() -> None:
    losses = (0.5, float("nan"))
    record = repeated(
        *(trial(n, learning_rate=1e-3, result=Result(val_iou=0.5, val_loss=v)) for n, v in enumerate(losses))
    )
    [row] = csv_rows(record)
    assert (row["val_loss"], row["val_loss_seed_sd"], row["val_iou_seed_sd"]) == ("nan", "", "0.0")


def test_costs_of_a_point_are_those_of_all_its_trainings() -> None:
    trials = (scored(n, 1e-3, score, state) for n, (score, state) in enumerate([(0.5, "complete"), (None, "failed")]))
    costs = (replace(each, cost=Cost(attempts=2, seconds=10.0, memory_mb=300.0)) for each in trials)
    record = replace(repeated(*costs), cost=Cost(attempts=4, seconds=20.0))
    [row] = csv_rows(record)
    assert (row["attempts"], row["job_seconds"], row["job_memory_mb"]) == ("4", "20.0", "300.0")


def test_a_score_of_a_program_with_the_name_of_a_column_of_points_keeps_it() -> None:
    result = Result(extra={"rmse": 0.25, "trainings": 7})
    record = repeated(trial(0, result=result), trial(1, result=result), metric="rmse", command="python x.py")
    record = replace(record, spec=replace(record.spec, study=replace(record.spec.study, direction="minimize")))
    [row] = csv_rows(record)
    assert (row["rmse"], row["rmse_seed_sd"], row["trainings"], row["point.trainings"]) == ("0.25", "0.0", "7", "2")


def test_trials_whose_parameters_cannot_be_read_are_rows_of_their_own() -> None:
    lost = [replace(trial(n, "waiting", problem="no trial.json"), params={}) for n in (0, 1)]
    assert [row["trial"] for row in csv_rows(repeated(*lost, scored(2, 1e-3, 0.5)))] == ["0", "1", "2"]
