"""The page in a real browser: what its script adds works, nothing is requested, and a phone can show it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromium
import pytest
from page_contents import content
from report_records import docs_sweep

from unetsweep.report.formats import Format, render

BROWSER = chromium.find()
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian's package chromium)")
VISIBLE = "[...document.querySelectorAll('#table tbody tr')].filter(row => !row.hidden).map(row => row.dataset.trial)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    assert BROWSER is not None
    with chromium.tab(BROWSER, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def page(browser: chromium.Tab, tmp_path: Path) -> chromium.Tab:
    """A page of nine trials with pictures of two of them, just opened."""
    file = tmp_path / "index.html"
    file.write_text(render(docs_sweep(), Format.HTML, page=content("eye", (8, 3))))
    browser.size(1200, 900)
    browser.open(file)
    return browser


def check_quiet(page: chromium.Tab) -> None:
    """Nothing went wrong, and nothing but the file itself was requested."""
    page.run("new Promise(requestAnimationFrame).then(() => 0)")
    assert page.named("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled") == []
    asked = [event["request"]["url"] for event in page.named("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == asked[:1]
    assert asked[0].startswith("file://")


def click(page: chromium.Tab, selector: str) -> None:
    page.run(f"document.querySelector({selector!r}).click()")


def enter(page: chromium.Tab, selector: str, value: str, event: str) -> None:
    page.run(
        f"(() => {{ const each = document.querySelector({selector!r}); each.value = {value!r}; "
        f"each.dispatchEvent(new Event({event!r}, {{ bubbles: true }})); }})()"
    )


def test_a_column_sorts_the_rows_both_ways_and_missing_values_come_last(page: chromium.Tab) -> None:
    heading = "#table thead th:nth-child(8) button"  # test_IoU
    click(page, heading)
    assert page.run(VISIBLE)[:3] == ["2", "7", "8"]
    assert page.run("document.querySelector('#table thead th:nth-child(8)').getAttribute('aria-sort')") == "ascending"
    click(page, heading)
    assert page.run(VISIBLE)[:3] == ["8", "7", "2"]
    click(page, "#table thead th:nth-child(3) button")  # epochs
    assert page.run(VISIBLE)[-2:] == ["7", "8"]
    check_quiet(page)


def test_a_filter_hides_rows_and_counts_the_others(page: chromium.Tab) -> None:
    enter(page, "#filter input", "1794", "input")
    assert page.run(VISIBLE) == ["5", "6"]
    assert page.run("document.querySelector('#filter output').textContent") == "2 of 9 rows"
    enter(page, "#filter input", "", "input")
    enter(page, "#filter select", "complete", "input")
    assert len(page.run(VISIBLE)) == 9
    check_quiet(page)


def test_the_theme_changes_the_colours(page: chromium.Tab) -> None:
    def colours() -> Any:
        return page.run("getComputedStyle(document.body).backgroundColor")

    seen = []
    for _ in range(3):
        click(page, "#theme")
        seen.append((page.run("document.querySelector('#theme').textContent"), colours()))
    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 26)"
    assert seen == [("Theme: light", light), ("Theme: dark", dark), ("Theme: auto", light)]
    check_quiet(page)


def test_two_chosen_trials_are_compared(page: chromium.Tab) -> None:
    def column(at: int) -> Any:
        return page.run(f"[...document.querySelectorAll('#compared tr')].map(row => row.cells[{at}].textContent)")

    before = page.run("document.querySelectorAll('#compared-pictures figcaption')[3].textContent")
    enter(page, "#compare label:nth-child(2) select", "1", "change")
    assert column(1)[:3] == ["trial 0008", "complete", "18808"]
    assert not any(name.startswith("test_") for name in column(0))
    assert column(2)[:3] == ["trial 0001", "complete", "17857"]
    captions = page.run("[...document.querySelectorAll('#compared-pictures figcaption')].map(e => e.textContent)")
    assert captions[2:4] == ["trial 0008, IoU 0.5800", "trial 0001: no picture"]
    marked = page.run("[...document.querySelectorAll('.chosen')].map(mark => mark.dataset.trials)")
    assert set(marked) == {"8", "1"}
    enter(page, "#compare label:nth-child(2) select", "3", "change")
    assert page.run("document.querySelectorAll('#compared-pictures figcaption')[3].textContent") == before
    check_quiet(page)


def test_a_picture_opens_in_a_dialog_by_keyboard(page: chromium.Tab) -> None:
    page.run("document.querySelector('.picture img').focus()")
    page.press("Enter")
    assert page.run("document.querySelector('#dialog').open")
    assert page.run("document.querySelector('#dialog p').textContent") == "eye0: input"
    page.press("ArrowRight")
    assert page.run("document.querySelector('#dialog p').textContent") == "eye0: truth"
    page.press("Escape")
    assert not page.run("document.querySelector('#dialog').open")
    check_quiet(page)


def test_a_chart_is_downloaded_as_svg_and_csv(page: chromium.Tab) -> None:
    page.run(
        "window.saved = []; URL.createObjectURL = blob => { saved.push(blob.text()); return 'blob:none'; };"
        "HTMLAnchorElement.prototype.click = function () { saved.push(this.download); }"
    )
    for button in (1, 2):
        click(page, f"#curves .downloads button:nth-child({button})")
    svg, name, table, other = page.run("Promise.all(saved)")
    assert (name, other) == ("grid-curves.svg", "grid-curves.csv")
    assert svg.startswith("<svg")
    assert "var(--" not in svg
    assert table.startswith("trials,state,epoch,val_iou\n")
    check_quiet(page)


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_shows_the_page_without_scrolling_it_sideways(page: chromium.Tab, width: int) -> None:
    page.size(width, 800)
    assert page.run("document.documentElement.scrollWidth") == width
    check_quiet(page)


def test_hostile_texts_run_nothing_and_request_nothing(page: chromium.Tab, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    text = "</script><script>boom()</script>\"><img src=http://127.0.0.1:9/x onerror=boom()>'<svg onload=boom()>"
    record = replace(docs_sweep(), name=text, warnings=(text,))
    file.write_text(render(record, Format.HTML, page=content(text, (8, 3))))
    page.open(file)
    enter(page, "#compare label:nth-child(2) select", "1", "change")
    assert page.run("document.querySelector('h1').textContent") == text
    assert page.run("document.querySelectorAll('[onerror], [onload]').length") == 0
    check_quiet(page)


def test_the_page_is_whole_without_javascript(page: chromium.Tab, tmp_path: Path) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(tmp_path / "index.html")
        seen = page.run(
            "[document.querySelectorAll('#table tbody tr').length, document.querySelectorAll('svg').length,"
            " [...document.querySelectorAll('.picture img')].filter(i => i.complete && i.naturalWidth).length,"
            " getComputedStyle(document.querySelector('#filter')).display]"
        )
        assert seen == [9, 4, 16, "none"]
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
