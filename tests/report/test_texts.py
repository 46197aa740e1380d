"""Reports for people stay correct for any text and any number."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report_records import docs_sweep, mixed_sweep, spec, sweep, trial

from unetsweep.analysis.rows import SweepRecord
from unetsweep.contract import DataConfig, Result
from unetsweep.report import latex, markdown
from unetsweep.report.columns import COLUMNS, columns_of, rate_text
from unetsweep.report.formats import Format, render
from unetsweep.report.summary import failure_lines, state_line
from unetsweep.texts import one_line, score_text

texts = st.text(st.characters(), max_size=20)
"""Any characters: also line breaks, terminal sequences, invisible ones, and bytes that are no UTF-8 (surrogates)."""
numbers = st.none() | st.floats()
scores = st.dictionaries(st.sampled_from(["dice", "image_iou_sd"]), numbers | texts)
results = st.builds(
    Result,
    val_iou=numbers,
    val_loss=numbers,
    test_iou=numbers,
    test_loss=numbers,
    host=texts,
    val_scores=scores,
    also_scored=st.dictionaries(st.just("0"), numbers | st.dictionaries(st.just("val_iou"), numbers | texts)),
)
others = spec(data=DataConfig("/data", also_score_at=(0.0,)))
every = list(columns_of(SweepRecord("s", others, ())))
trials = st.builds(
    trial,
    st.integers(0, 20_000),
    st.sampled_from(["complete", "failed", "waiting", "elsewhere"]),
    job_id=st.none() | texts,
    result=st.none() | results,
    reason=texts,
)


_reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def cells(text: str) -> list[list[str]]:
    """The cells of the table at the start of a Markdown text, by GitHub's rules; their markup stays."""
    rows: list[list[str]] = []
    for token in _reader.parse(text):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "table_close":
            break
        if token.type == "inline" and rows:
            rows[-1].append(token.content)
    return rows


def visible(text: str) -> str:
    """The visible text of Markdown without markup; fails if there is any."""
    inline = [child for token in _reader.parse(text) for child in token.children or ()]
    assert {child.type for child in inline} <= {"text"}
    return "".join(child.content for child in inline)


@given(st.lists(trials, max_size=6))
def test_every_row_of_a_markdown_table_has_as_many_cells_as_columns(some: list) -> None:
    text = render(sweep(*some, of=others), Format.MARKDOWN, columns=every)
    assert [len(row) for row in cells(text)] == [len(every)] * (len(some) + 1)
    widths = {line.count("|") - line.count("\\|") for line in text.split("\n")[: len(some) + 2]}
    assert widths == {len(every) + 1}


@given(texts)
def test_escaped_markdown_shows_the_text_and_contains_no_markup(text: str) -> None:
    text = one_line(text)
    assert visible(f"1 failed: {markdown.escape(text)}").rstrip() == f"1 failed: {text}".rstrip()


@given(st.lists(trials, max_size=6))
def test_every_row_of_a_latex_table_has_as_many_cells_as_columns(some: list) -> None:
    lines = render(sweep(*some, of=others), Format.LATEX, columns=every).split("\n")
    rows = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [len(every) - 1] * len(some)


@given(texts)
def test_escaped_latex_has_no_special_character_left(text: str) -> None:
    left = re.sub(r"\\[&%$#_{}]|\\text[a-z]+\{\}|\{\[\}", "", latex.escape(text))
    assert not set(left) & set("\\&%$#_{}~^[")


def test_the_docs_table_is_reproduced() -> None:
    heading_and_rows = """\
| Job id | epochs | batch_size | learning_rate | val_IoU | val_loss | test_IoU | test_loss |
| -----: | -----: | ---------: | ------------: | ------: | -------: | -------: | --------: |
|  17855 |    100 |          4 |         1e-04 |  0.6163 |   0.1475 |        - |         - |
|  17857 |    100 |         16 |         1e-04 |  0.4087 |   0.2136 |        - |         - |
|  17931 |    200 |          4 |         1e-04 |  0.6783 |   0.1251 |   0.6779 |    0.1250 |
"""
    assert render(docs_sweep(), Format.MARKDOWN).startswith(heading_and_rows)


def test_only_the_best_row_is_bold_except_for_its_job_id() -> None:
    *others, best = cells(render(docs_sweep(), Format.MARKDOWN))
    bold = ["**1000**", "**4**", "**1e-04**", "**0.8609**", "**0.0454**", "**0.7010**", "**0.1881**"]
    assert best == ["18808", *bold]
    assert not any("*" in cell for row in others for cell in row)


def test_an_empty_cell_of_the_best_row_is_not_bold() -> None:
    _, row = cells(render(sweep(trial(0, job_id="7")), Format.MARKDOWN))
    assert row == ["7", "**100**", "**4**", "**1e-04**", "**0.5000**", "-", "-", "-"]


def test_only_one_of_two_tied_rows_is_bold() -> None:
    table = render(sweep(trial(0, epochs=400), trial(1, epochs=1000)), Format.MARKDOWN).split("\n")[2:4]
    assert ["**" in line for line in table] == [True, False]


def test_markup_in_a_reason_is_escaped() -> None:
    failed = trial(7, "failed", reason="a|b *c* `d` <e> [f](g) _h_ \\")
    assert "- 1 trial failed: a\\|b \\*c\\* \\`d\\` \\<e\\> \\[f\\](g) \\_h\\_ \\\\ (trial 7)" in render(
        sweep(failed), Format.MARKDOWN
    ).split("\n")


def test_a_path_with_backticks_stays_one_code_span() -> None:
    assert markdown.code("a``b") == "``` a``b ```"


def test_paths_below_the_given_folder_are_relative_and_others_absolute() -> None:
    inside = render(docs_sweep(), Format.MARKDOWN, base="/home/ada")
    outside = render(docs_sweep(), Format.MARKDOWN, base="/home/a")
    assert "`results/grid/runs/0008/checkpoints/best-1000.ckpt`" in inside
    assert "`/home/ada/results/grid/runs/0008/checkpoints/best-1000.ckpt`" in outside


def test_a_trainer_command_is_named_instead_of_an_optimizer() -> None:
    own = sweep(trial(0), of=spec(gpus=0, command="python my_train.py {config} {out}"))
    text = render(own, Format.MARKDOWN)
    assert "- **Trainer**: `python my_train.py {config} {out}`" in text
    assert "Optimizer" not in text
    assert "Number of GPUs used in the training is 0 (2 processes on the CPU)" in text
    assert "\nThe best trial has:\n" in text
    assert "epoch the model" not in text


def test_a_trainer_command_that_knows_its_best_epoch_names_it() -> None:
    own = sweep(
        trial(0, result=Result(val_iou=0.5, best_epoch=7)), of=spec(gpus=0, command="python my_train.py {config} {out}")
    )
    assert "At epoch **7** the model has the best performance with:" in render(own, Format.MARKDOWN)


def test_colour_marks_the_best_and_the_failed_rows_and_changes_no_text() -> None:
    plain = render(mixed_sweep(), Format.TABLE)
    coloured = render(mixed_sweep(), Format.TABLE, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b" not in plain
    green, red = "\x1b[1;3", "\x1b[31m"
    rows = [line for line in coloured.split("\n") if line.startswith((green, red))]
    assert [("complete" in row, "diverged" in row, "failed" in row, row[:5]) for row in rows] == [
        (False, True, False, red),
        (False, False, True, red),
        (True, False, False, green),
    ]


HOSTILE = "\x1b[2Jgone\r\n0009 complete\x07\u202e\u200b\x9b1m\udcff"


@pytest.mark.parametrize("form", Format)
def test_a_text_from_outside_adds_no_line_and_controls_no_terminal(form: Format) -> None:
    def lines(text: str) -> list[str]:
        result = Result(val_iou=0.5, host=text, message=text, checkpoint=text)
        best = trial(0, result=result, job_id=text, archive=text, run_dir=text)
        record = sweep(best, trial(1, "failed", reason=text), trial(2, text), warnings=(text,))
        return render(record, form, columns=[*COLUMNS]).split("\n")

    found = lines(HOSTILE)
    assert all(line.isprintable() for line in found)
    assert len(found) == len(lines("tame"))


def failed_trials(count: int, reason: str, start: int = 0) -> list:
    return [trial(start + n, "failed", reason=reason) for n in range(count)]


def waiting_trials(count: int, reason: str) -> list:
    return [trial(n, "waiting", reason=reason) for n in range(count)]


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (sweep(), "no trials yet"),
        (sweep(trial(0), trial(1)), "2 complete"),
        (sweep(*failed_trials(2, "boom")), "2 failed"),
        (sweep(trial(0, "running"), trial(1, "running"), *failed_trials(1, "why", 7)), "2 running, 1 failed"),
        (sweep(*waiting_trials(5, "boom")), "5 waiting: 0000, 0001, 0002 and 2 more boom"),
        (
            sweep(*(trial(n, "waiting", reason=str(n)) for n in range(6))),
            "6 waiting: 0000 0; 0001 1; 0002 2; and 3 more",
        ),
        (sweep(trial(0, "waiting"), trial(1, "waiting", reason="retry")), "2 waiting: 0001 retry"),
        (sweep(trial(0, "complete"), trial(1, "paused")), "1 complete, 1 paused"),
    ],
)
def test_one_line_counts_the_trials_by_state_with_reasons(record: SweepRecord, line: str) -> None:
    assert state_line(record.trials) == line


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (sweep(trial(0)), []),
        (sweep(*failed_trials(1, "boom", 7)), ["1 trial failed: boom (trial 7)"]),
        (sweep(trial(3, "failed")), ["1 trial failed: no reason is recorded (trial 3)"]),
        (
            sweep(*failed_trials(1, "a"), *failed_trials(2, "b", 1)),
            ["2 trials failed: b (trials 1, 2)", "1 trial failed: a (trial 0)"],
        ),
        (
            sweep(*(trial(n, "failed", reason=f"boom (see runs/{n:04d}/error-0.json)") for n in (2, 5))),
            ["2 trials failed: boom (see runs/0002/error-0.json) (trials 2, 5)"],
        ),
        (
            sweep(*failed_trials(10, "boom"), trial(20, "diverged", reason="boom")),
            [
                "10 trials failed: boom (trials 0, 1, 2, 3, 4, 5, 6, 7 and 2 more)",
                "1 trial diverged: boom (trial 20)",
            ],
        ),
    ],
)
def test_each_failure_is_named_once_with_its_trials(record: SweepRecord, expected: list[str]) -> None:
    assert failure_lines(record.trials) == expected


def test_of_many_failures_the_most_frequent_are_named_and_json_has_all() -> None:
    record = sweep(*(trial(n, "failed", reason=chr(ord("a") + n // 2)) for n in range(25)))
    lines = failure_lines(record.trials)
    assert (len(lines), lines[-1]) == (11, "5 more trials for 3 other reasons; --format json has all")
    found = json.loads(render(record, Format.JSON))["failures"]
    assert len(found) == 13
    assert found[0] == {"state": "failed", "reason": "a", "trials": [0, 1]}
    assert sum(len(each["trials"]) for each in found) == 25


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.701, "0.7010"), (0.72424, "0.7242"), (1.0, "1.0000"), (-0.00001, "0.0000"), (float("nan"), "nan")],
)
def test_every_score_has_four_decimals(value: float, text: str) -> None:
    assert score_text(value) == text


@pytest.mark.parametrize(("value", "text"), [(1e-4, "1e-04"), (5e-05, "5e-05"), (0.00015, "1.5e-04"), (1.0, "1e+00")])
def test_a_learning_rate_keeps_its_significant_digits(value: float, text: str) -> None:
    assert rate_text(value) == text
