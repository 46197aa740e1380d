"""A metric is a name and a direction: search, pruning, ranking, confirmation and report follow it."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from unetsweep.analysis.confirmation import collect_repeats
from unetsweep.analysis.rows import SweepRecord, TrialRecord, ranked
from unetsweep.contract import DataConfig, Result
from unetsweep.core.built_in_pruners import verdicts
from unetsweep.core.pruning import History, metric_reports
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.report import confirmed
from unetsweep.search.optuna_trials import direction, state_of
from unetsweep.store.progress import read_progress


@pytest.fixture
def spec() -> SweepSpec:
    """A sweep of a user's own trainer, which optimises a number that only this trainer knows."""
    space = Space.of(epochs=Choices((9,)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,)))
    study = StudySpec(metric="rmse", direction="minimize", pruner="asha", pruner_args={"min_epochs": 1})
    return SweepSpec("s", DataConfig("images"), space, study)


def trial(number: int, loss: float | None, **params: Any) -> TrialRecord:
    """A complete trial; its IoU grows with its number, so that it ranks in the other direction than its error."""
    rows = ({"image": "a", "rmse": loss, "iou": 0.1}, {"image": "b", "rmse": loss, "iou": 0.2})
    result = Result(epochs=9, val_iou=0.1 * number, val_loss=0.5, extra={"rmse": loss}, val_per_image=rows)
    return TrialRecord(number, {"epochs": 9, "lr": number, **params}, "complete", None, result, seed=number)


def test_a_metric_of_ones_own_ranks_the_trials(spec: SweepSpec) -> None:
    trials = (trial(1, 0.3), trial(2, 0.2), trial(3, None), trial(4, 0.4))
    assert [each.number for each in ranked(SweepRecord("s", spec, trials))] == [2, 1, 4]


def test_a_metric_of_ones_own_is_what_optuna_gets(spec: SweepSpec) -> None:
    assert direction(spec) == "minimize"
    assert state_of(spec, trial(1, 0.3).result)[1] == 0.3


def test_a_metric_of_ones_own_is_read_from_the_progress_and_prunes(spec: SweepSpec, tmp_path: Path) -> None:
    histories = []
    for number, loss in enumerate((0.2, 0.4)):
        lines = [{"epoch": 1, "rmse": loss, "val_iou": 0.5}, {"epoch": 2, "rmse": None}]
        (tmp_path / "progress-1-0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        points = read_progress(tmp_path, ["progress-1-0.jsonl"]).points
        reports = metric_reports(points, spec.metric)
        assert [(report.epoch, report.value) for report in reports] == [(1, loss)]
        histories.append(History(number, 9, None, reports))
        (tmp_path / "progress-1-0.jsonl").unlink()
    [(pruned, verdict)] = verdicts(spec, histories).items()
    assert pruned == 1
    assert verdict.reason.startswith("rmse 0.4000 at epoch 1")


def test_a_metric_of_ones_own_decides_a_confirmation_and_is_named_there(spec: SweepSpec) -> None:
    record = SweepRecord("s", spec, (trial(1, 0.3), trial(2, 0.2)))
    runs = [replace(trial(lr, 0.1 * lr + 0.001 * seed), number=0, seed=seed) for lr in (1, 2) for seed in (7, 8)]
    repeats = collect_repeats(record, dataclasses.replace(record, trials=tuple(runs)))
    assert [each.per_image[0]["a"] for each in repeats] == pytest.approx([0.107, 0.207])
    record = dataclasses.replace(record, confirmed=repeats)
    assert [row.key for row in confirmed.compare_leaders(record)] == [1, 2]
    assert confirmed.table(record)[0][2] == "rmse"
    assert "rmse of the validation images" in confirmed.sentences(record)[0]
