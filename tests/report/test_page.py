"""The HTML report: what it shows, what it leaves out, and that no text from outside becomes markup."""

import base64
import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_contents import PIXEL, cells, content, parsed
from report_records import (
    confirmed_sweep,
    docs_sweep,
    leaked_sweep,
    mixed_sweep,
    other_masks_sweep,
    repeated_sweep,
    spec,
    sweep,
    trial,
)

from unetsweep.analysis.rows import SweepRecord
from unetsweep.contract import Result
from unetsweep.report.formats import Format, render
from unetsweep.report.page.content import Importances, PageContent, Picture, Pictures, RunCurve

SWEEPS = {
    "docs": docs_sweep,
    "mixed": mixed_sweep,
    "leaked": leaked_sweep,
    "confirmed": confirmed_sweep,
    "masks": other_masks_sweep,
    "repeats": repeated_sweep,
    "open": lambda: sweep(trial(0, "waiting"), trial(1, "running", job_id="7")),
    "one": lambda: sweep(trial(0, job_id="7")),
    "empty": sweep,
}
HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-->]]></title></style></textarea><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eevil\u200b\x1b[2J\r\n\x00\udcff",
    "javascript:alert(1)//",
    "=HYPERLINK(1)",
)


def page(record: SweepRecord, more: PageContent | None = None) -> str:
    return render(record, Format.HTML, page=more)


@pytest.mark.parametrize("more", [None, content()], ids=["nothing read", "everything read"])
@pytest.mark.parametrize("name", list(SWEEPS))
def test_a_page_has_the_columns_and_texts_of_the_markdown_report(name: str, more: PageContent | None) -> None:
    record = SWEEPS[name]()
    table = [line for line in render(record, Format.MARKDOWN).split("\n\n")[0].split("\n") if line.startswith("|")]
    expected = [[cell.strip(" *").replace("\\", "") for cell in line[1:-1].split("|")] for line in table]
    text = page(record, more)
    if not record.trials:
        assert "There are no trials yet." in text
        return
    heading, *rows = cells(text)
    assert heading[1:] == expected[0]
    assert [row[1:] for row in rows] == expected[2:]


@pytest.mark.parametrize("name", list(SWEEPS))
def test_a_page_needs_nothing_from_the_network(name: str) -> None:
    text = page(SWEEPS[name](), content())
    found = parsed(text)
    for element in found.elements:
        for attribute in ("src", "href", "action", "data", "poster", "srcset"):
            value = element.attributes.get(attribute)
            assert value is None or value.startswith(("#", "data:")), (element.tag, value)
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}


def test_the_policy_allows_only_the_one_script_of_the_page() -> None:
    found = parsed(page(docs_sweep(), content()))
    scripts = [element for element in found.all("script") if "type" not in element.attributes]
    (policy,) = (e.attributes["content"] or "" for e in found.all("meta") if e.attributes.get("http-equiv"))
    (script,) = scripts
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "img-src data:" in policy


def hostile(text: str) -> str:
    """A page with this text in every field that comes from outside."""
    result = Result(
        val_iou=0.5, host=text, message=text, checkpoint=text, versions={"torch": text}, extra={text[:50]: text[:50]}
    )
    best = trial(0, result=result, job_id=text, archive=text, run_dir=text)
    others = (trial(1, job_id="7"), trial(2, "failed", reason=text), trial(3, text), trial(4, "waiting", reason=text))
    of = replace(spec(), name=text)
    leak = {"val": text, "test": text}
    record = SweepRecord(text, of, (best, *others), (text,), leak)
    columns = ["trial", "state", "job_id", "val_iou", "host", "checkpoint", "archive", "reason", "leak"]
    return render(record, Format.HTML, columns=columns, page=content(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_from_outside_adds_no_element_and_no_attribute(text: str) -> None:
    def shape(page: str) -> list[tuple[str, tuple[str, ...]]]:
        return [(element.tag, tuple(sorted(element.attributes))) for element in parsed(page).elements]

    assert shape(hostile(text)) == shape(hostile("tame"))
    assert all(line.isprintable() for line in hostile(text).split("\n"))


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(), min_size=1, max_size=12))
def test_no_text_adds_a_script(text: str) -> None:
    found = parsed(hostile(text))
    assert [element.attributes.get("type") for element in found.all("script")].count(None) == 1
    assert all(name.isidentifier() or "-" in name for e in found.elements for name in e.attributes)
    assert not any(name.startswith("on") for element in found.elements for name in element.attributes)


def test_a_hostile_text_appears_as_it_is() -> None:
    text = HOSTILE[0]
    assert parsed(hostile(text)).text.count(text) > 10


@pytest.mark.parametrize("text", ["tame", *HOSTILE])
def test_each_chart_is_well_formed_and_has_a_title_and_a_description(text: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", hostile(text), re.DOTALL)
    assert len(charts) == 4
    for chart in charts:
        root = ElementTree.fromstring(chart)  # noqa: S314 - our own
        names = (root.get("aria-labelledby") or "").split()
        assert [root.find(f"*[@id='{name}']") is not None for name in names] == [True, True]
        assert root.get("role") == "img"


def test_the_data_of_a_chart_holds_no_formula() -> None:
    for text in HOSTILE:
        data = [json.loads(e.text) for e in parsed(hostile(text)).all("script") if e.attributes.get("class") == "csv"]
        assert len(data) == 4
        for each in data:
            assert not any(cell.startswith(("=", "+", "@")) for row in csv.reader(io.StringIO(each)) for cell in row)


def test_a_sweep_that_has_not_ended_says_so_with_its_open_trials() -> None:
    more = PageContent(state="running", curves=(RunCurve((2,), ((1, 0.1),), 3),))
    text = parsed(page(mixed_sweep(), more)).text
    assert "This sweep has not ended: 3 trials are open." in text
    assert "0002 running epoch 3 of 8" in text
    assert "0003 submitted Resources" in text
    assert "This sweep has not ended" not in page(docs_sweep(), content())


def test_state_and_time_are_at_the_top() -> None:
    text = parsed(page(docs_sweep(), content("no run has started"))).text
    assert "grid paused Theme: auto Made on 2026-01-02 at 03:04 UTC" in text
    assert "no run has started." in text


def test_warnings_are_those_of_the_other_reports_and_of_the_page() -> None:
    text = parsed(page(leaked_sweep(), PageContent(warnings=("runs/0000 is damaged",)))).text
    for warning in (*leaked_sweep().warnings, "runs/0000 is damaged"):
        assert f"Warning: {warning}" in text


def test_only_the_best_row_is_marked_and_named() -> None:
    rows = [e.attributes for e in parsed(page(docs_sweep())).all("tr") if "data-trial" in e.attributes]
    assert [row["data-trial"] for row in rows if row.get("class") == "best"] == ["8"]
    text = parsed(page(docs_sweep())).text
    assert "best trial 0008 (job 18808) learning rate 0.0001" in text
    assert "test_IoU 0.7010" in text


def test_a_point_is_a_row_with_repeats() -> None:
    rows = cells(page(repeated_sweep()))
    assert [row[0] for row in rows[1:]] == ["0000 best", "0003", "0006", "0009"]
    assert "0.7200 ± 0.0200" in rows[1]


def test_the_pictures_of_a_point_are_those_of_its_best_training() -> None:
    text = page(repeated_sweep(), content(trials=(1, 8)))
    assert [e.attributes["data-training"] for e in parsed(text).all("tr") if "data-trial" in e.attributes][:2] == [
        "1",
        "3",
    ]
    captions = [e.text for e in parsed(text).all("figcaption")]
    assert "trial 0000, IoU 0.5100" in captions


def test_without_a_complete_trial_there_is_no_best_one() -> None:
    text = parsed(page(sweep(trial(0, "waiting")))).text
    assert "No trial is complete yet, so there are no best hyperparameters." in text
    assert "No training has reported an epoch" in text
    assert "No trial has a score" in text
    assert 'id="comparison"' not in page(sweep(trial(0, "waiting")))


def test_a_program_of_the_user_has_no_section_of_pictures() -> None:
    own = sweep(trial(0), trial(1), of=spec(command="python my_train.py {config} {out}"))
    text = page(own, replace(content(), pictures=None))
    assert "Pictures" not in text
    assert "#pictures" not in text
    assert 'id="comparison"' in text


def test_missing_pictures_are_explained() -> None:
    note = "The trainings of this sweep have kept no masks, so there are no pictures."
    assert note in page(docs_sweep(), PageContent(pictures=Pictures(notes=(note,))))


def test_the_best_trial_has_four_panels_of_each_image_and_two_trials_are_side_by_side() -> None:
    text = page(docs_sweep(), content(trials=(8, 3)))
    captions = [e.text for e in parsed(text).all("figcaption") if "IoU" in e.text or e.text in ("input", "truth")]
    assert captions[:4] == ["input", "truth", "prediction, IoU 0.5800", "difference, IoU 0.5800"]
    assert captions[8:12] == ["input", "truth", "trial 0008, IoU 0.5800", "trial 0003, IoU 0.5300"]
    headings = [element.text for element in parsed(text).all("th")]
    assert [heading for heading in headings if heading.startswith("trial ")] == ["trial 0008", "trial 0003"]
    assert json.loads(next(e.text for e in parsed(text).all("script") if e.attributes.get("id") == "predictions")) == {
        "8": [{"case": 0, "iou": 0.58, "source": PIXEL}, {"case": 1, "iou": pytest.approx(0.68), "source": PIXEL}],
        "3": [{"case": 0, "iou": 0.53, "source": PIXEL}, {"case": 1, "iou": pytest.approx(0.63), "source": PIXEL}],
    }


def test_a_trial_without_pictures_says_so_in_the_comparison() -> None:
    more = content(trials=(8, 3))
    assert more.pictures is not None
    only_best = replace(more.pictures, other=None, predictions={8: more.pictures.predictions[8]})
    assert "no picture" in page(docs_sweep(), replace(more, pictures=only_best))


def test_pictures_of_an_iou_of_zero_have_it() -> None:
    assert Picture(PIXEL, 0.0).iou == 0.0
    more = content(trials=(8, 3))
    assert more.pictures is not None
    first = more.pictures.predictions[8][0]
    none_found = {8: (replace(first, difference=Picture(PIXEL, 0.0)),)}
    text = page(docs_sweep(), replace(more, pictures=replace(more.pictures, other=None, predictions=none_found)))
    assert "difference, IoU 0.0000" in text


def test_curves_of_the_best_runs_have_colours_and_those_of_pruned_ones_are_dashed() -> None:
    curves = tuple(RunCurve((number,), ((1, 0.1), (2, 0.2))) for number in (0, 1, 2, 5))
    text = page(mixed_sweep(), PageContent(curves=curves))
    kinds = dict(re.findall(r'<polyline class="line (\w+)" data-trials="(\d+)"', text))
    assert kinds == {"c0": "0", "c1": "1", "other": "2", "dim": "5"}


def test_a_run_of_several_trials_is_one_curve() -> None:
    text = page(docs_sweep(), PageContent(curves=(RunCurve((0, 2, 8), ((1, 0.5), (2, 0.6))),)))
    assert "trials 0000, 0002, 0008, the best" in text
    assert 'data-trials="0 2 8"' in text


def test_values_that_are_not_finite_are_left_out_of_charts() -> None:
    record = sweep(trial(0, result=Result(val_iou=float("nan"))), trial(1, result=Result(val_iou=float("inf"))))
    text = page(record, PageContent(curves=(RunCurve((0,), ((1, float("nan")), (2, float("inf")))),)))
    assert "<svg" not in text
    assert "No training has reported an epoch" in text


def test_curves_of_many_runs_stay_small() -> None:
    points = tuple((epoch, epoch / 1000) for epoch in range(1, 1001))
    record = sweep(*(trial(number) for number in range(200)))
    text = page(record, PageContent(curves=tuple(RunCurve((number,), points) for number in range(200))))
    assert len(text) < 1_000_000
    assert "every few epochs" in text


def test_too_few_points_for_importances_are_explained() -> None:
    note = "Importances of the parameters need 20 complete points; there are 3 complete points."
    assert note in page(docs_sweep(), PageContent(importances=Importances(note=note)))


def test_confirmed_leaders_have_their_table_and_intervals() -> None:
    text = parsed(page(confirmed_sweep())).text
    assert "cannot be distinguished by val_IoU of the validation images over new seeds (paired, Holm, 5%)." in text
    assert "confirmed seeds val_IoU test_IoU gap behind p best" in text
    assert re.search(r"0\.2029 \[0\.19\d\d, 0\.2\d\d\d\]", text)


def test_failures_are_grouped_by_cause() -> None:
    record = sweep(*(trial(n, "failed", reason=f"boom in runs/{n:04d}") for n in (1, 3)), trial(4, "diverged"))
    text = parsed(page(record)).text
    assert "2 failed boom in runs/0001 0001, 0003" in text
    assert "1 diverged no reason is recorded 0004" in text


def test_the_cost_names_its_source() -> None:
    text = parsed(page(docs_sweep(), content())).text
    assert "The jobs held 1.00 GPU-hours. Their times are from the sweep's files" in text
    assert "training: 50.0 min (83%)" in text
    assert "waiting: 60 s" in text
