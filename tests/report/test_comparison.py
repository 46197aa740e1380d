"""Sweeps beside each other, in every format."""

import csv
import io
import json
from dataclasses import replace

import pytest
from report_records import docs_sweep, leaked_sweep, spec, sweep, trial

from unetsweep.analysis.compared_sweeps import ComparedSweep
from unetsweep.analysis.rows import SweepRecord
from unetsweep.contract import DataConfig, ModelConfig, Result, TrainerConfig
from unetsweep.core.cost import Cost
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import StudySpec
from unetsweep.report.comparison import Comparison, compare
from unetsweep.report.comparison_formats import render
from unetsweep.report.formats import Format

PEOPLE = (Format.TABLE, Format.MARKDOWN, Format.LATEX, Format.HTML)


def scored(*scores: float, optimizer: str = "adam", **more: object) -> SweepRecord:
    """A sweep whose trials differ in the learning rate, with these scores."""
    rates = tuple(10.0**-at for at in range(1, len(scores) + 1))
    space = Space.of(epochs=Choices((8,)), batch_size=Choices((4,)), learning_rate=Choices(rates))
    of = replace(spec(gpus=0), space=space, trainer=TrainerConfig(optimizer=optimizer), **more)
    trials = [
        trial(at, epochs=8, learning_rate=rate, result=Result(val_iou=score, test_iou=score - 0.1, epochs_run=8))
        for at, (rate, score) in enumerate(zip(rates, scores, strict=True))
    ]
    return replace(sweep(*trials, of=of), cost=Cost(cpu_seconds=7200.0))


def beside(*records: SweepRecord, **images: str) -> Comparison:
    parts = {"val": {"1": "a"}} | {part: {"1": digest} for part, digest in images.items()}
    return compare(
        [ComparedSweep(chr(97 + at), each, parts if at else {"val": {"1": "a"}}) for at, each in enumerate(records)]
    )


def table(comparison: Comparison, name: str) -> list[tuple[str, ...]]:
    (found,) = (each for each in comparison.tables if each.name == name)
    return [found.heading, *found.rows]


def test_each_sweep_has_a_row_with_its_best_trial_and_the_best_one_stands_out() -> None:
    found = beside(scored(0.5, 0.7), scored(0.8, 0.6))
    assert table(found, "sweeps") == [
        (
            "sweep",
            "trials",
            "complete",
            "pruned",
            "failed",
            "open",
            "best trial",
            "val_IoU",
            "test_IoU",
            "epochs",
            "hours",
        ),
        ("a", "2", "2", "0", "0", "0", "0001", "0.7000", "0.6000", "16", "2.00 CPU"),
        ("b", "2", "2", "0", "0", "0", "0000", "0.8000", "0.7000", "16", "2.00 CPU"),
    ]
    assert found.tables[0].best == 1


def test_a_metric_that_is_minimised_makes_the_lowest_the_best() -> None:
    losses = [sweep(trial(0, result=Result(val_loss=loss)), of=spec(metric="val_loss")) for loss in (0.2, 0.1, 0.3)]
    assert beside(*losses).tables[0].best == 1


def test_only_the_settings_that_differ_are_listed() -> None:
    found = beside(scored(0.5), scored(0.6, optimizer="sgd"))
    assert table(found, "settings") == [("setting", "a", "b"), ("trainer.optimizer", "adam", "sgd")]


def test_a_program_is_compared_without_the_settings_of_our_trainer() -> None:
    ours, theirs = scored(0.5), scored(0.6)
    trainer = replace(theirs.spec.trainer, command="python train.py")
    of = replace(theirs.spec, trainer=trainer, data=replace(theirs.spec.data, image_size=9), model=ModelConfig(base=8))
    found = beside(replace(theirs, spec=of), replace(theirs, spec=replace(of, model=ModelConfig(base=4))))
    assert [each.name for each in found.tables] == ["sweeps", "points"]
    mixed = beside(ours, replace(theirs, spec=of))
    assert ("trainer.command", "null", "python train.py") in table(mixed, "settings")
    assert not [each for each in mixed.warnings if "data." in each]


def test_equal_sweeps_have_no_table_of_settings() -> None:
    assert [each.name for each in beside(scored(0.5), scored(0.6)).tables] == ["sweeps", "points"]


def test_points_that_both_have_trained_are_set_against_each_other() -> None:
    found = beside(scored(0.5, 0.7, 0.4), scored(0.6, 0.65))
    assert table(found, "points") == [
        ("learning_rate", "a", "b", "difference"),
        ("1e-01", "0.5000", "0.6000", "+0.1000"),
        ("1e-02", "0.7000", "0.6500", "-0.0500"),
    ]
    assert found.sentences == (
        "b is better at 1 of 2 common points; its val_IoU differs by 0.0250 ± 0.1061 on average",
    )


def test_a_parameter_that_one_sweep_fixes_is_compared_by_its_fixed_value() -> None:
    one = scored(0.5)
    space = Space.of(**one.spec.space.domains(), **{"trainer.optimizer": Choices(("adam", "sgd"))})
    pairs = ((0, "adam", 0.6), (1, "sgd", 0.9))
    trials = [
        replace(
            one.trials[0],
            number=number,
            params={**one.trials[0].params, "trainer.optimizer": optimizer},
            result=Result(val_iou=score),
        )
        for number, optimizer, score in pairs
    ]
    other = sweep(*trials, of=replace(one.spec, space=space))
    found = beside(replace(one, spec=replace(one.spec, trainer=TrainerConfig(optimizer="adam"))), other)
    assert table(found, "points") == [("optimizer", "a", "b", "difference"), ("adam", "0.5000", "0.6000", "+0.1000")]


def test_equal_scores_are_called_equal() -> None:
    assert beside(scored(0.5), scored(0.5)).sentences == ("both have the same val_IoU at their 1 common point",)


def test_three_sweeps_have_no_difference() -> None:
    assert table(beside(scored(0.5), scored(0.6), scored(0.7)), "points")[0] == ("a", "b", "c")


def test_sweeps_with_different_metrics_are_not_set_against_each_other() -> None:
    found = beside(scored(0.5), scored(0.6, study=StudySpec(metric="val_loss")))
    assert [each.name for each in found.tables] == ["sweeps", "settings"]
    assert found.tables[0].best is None
    assert found.tables[0].heading[7:9] == ("metric", "score")
    assert "different metrics" in found.warnings[0]


def test_other_images_and_other_sizes_are_warned_about() -> None:
    smaller = DataConfig(root="/data/eyes", image_size=256)
    found = beside(scored(0.5), scored(0.6, data=smaller), val="b")
    assert "different validation images" in found.warnings[0]
    assert "data.image_size" in found.warnings[1]


def test_images_that_are_not_known_are_not_called_different() -> None:
    assert not any("different" in each for each in beside(scored(0.5), scored(0.6), test="b").warnings)


def test_a_leak_is_in_the_heading_and_in_a_warning_with_the_name_of_the_sweep() -> None:
    found = beside(docs_sweep(), leaked_sweep())
    assert "val_IoU (leaked)" in found.tables[0].heading
    assert any(each.startswith("b: LEAKED") for each in found.warnings)


@pytest.mark.parametrize("form", PEOPLE)
def test_people_see_every_table_and_warning(form: Format) -> None:
    text = render(beside(scored(0.5, 0.7), scored(0.8, 0.6, optimizer="sgd"), val="b"), form)
    for each in ("sgd", "0.8000", "+0.3000", "better at 1 of 2", "different validation images"):
        assert each in text


def test_a_long_table_is_cut_for_people_and_whole_in_json() -> None:
    many = [0.5 + at / 1000 for at in range(60)]
    found = beside(scored(*many), scored(*many))
    assert "… and 20 more; --format json has all" in render(found, Format.TABLE)
    assert len(json.loads(render(found, Format.JSON))["points"]) == 60


def test_json_and_csv_have_numbers() -> None:
    found = beside(scored(0.5), scored(0.6))
    assert json.loads(render(found, Format.JSON))["sweeps"][1]["score"] == 0.6
    rows = list(csv.DictReader(io.StringIO(render(found, Format.CSV))))
    assert [(row["sweep"], row["hours"]) for row in rows] == [("a", "2.0"), ("b", "2.0")]


@pytest.mark.parametrize("form", list(Format))
def test_hostile_names_and_settings_stay_text(form: Format) -> None:
    hostile = "x\x1b[31m|`<script>alert(1)</script>\n=1+1"
    command = TrainerConfig(command=hostile)
    one, other = scored(0.5), replace(scored(0.6), spec=replace(scored(0.6).spec, trainer=command), warnings=(hostile,))
    text = render(compare([ComparedSweep(hostile, one), ComparedSweep("b", other)]), form)
    assert "\x1b" not in text
    assert "\n=1+1" not in text
    if form is Format.HTML:
        assert text.count("<script>") == 1
        assert "&lt;script&gt;alert(1)" in text
    if form is Format.MARKDOWN:
        assert "<script>" not in text.replace("\\<script\\>", "")
