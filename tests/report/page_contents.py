"""Pages made by hand, and what a browser would find in their HTML."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser

from unetsweep.core.cost_split import CostSplit
from unetsweep.report.page.content import (
    ImageCase,
    Importances,
    PageContent,
    Picture,
    Pictures,
    Prediction,
    RunCurve,
)

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def content(text: str = "eye", trials: tuple[int, ...] = (0, 1)) -> PageContent:
    """Something in every field of a page; `text` wherever a text comes from outside."""
    cases = tuple(ImageCase(f"{text}{k}", "512x512", Picture(PIXEL), Picture(PIXEL)) for k in range(2))
    predictions = {
        number: tuple(
            Prediction(case, Picture(PIXEL, 0.5 + 0.1 * case + 0.01 * number), Picture(PIXEL, 0.5) if not at else None)
            for case in range(2)
        )
        for at, number in enumerate(trials)
    }
    return PageContent(
        made_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        state=f"paused: {text}",
        facts=(("images", text), ("code", text)),
        config=f"name: grid\n# {text}\n",
        curves=tuple(
            RunCurve((number,), tuple((epoch, epoch / 10 - number / 100) for epoch in range(1, 9)), 8)
            for number in trials
        ),
        importances=Importances({text: 0.75, "learning_rate": 0.25}, f"note {text}"),
        cost=CostSplit(60.0, 3000.0, 300.0, 300.0, 1.0, "GPU", "the sweep's files"),
        pictures=Pictures(cases, trials[0], trials[1], predictions, 20, (text,)),
        warnings=(text,),
    )


@dataclass(slots=True)
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass(slots=True)
class Parsed(HTMLParser):
    """The elements of a page, and its text outside of scripts and styles."""

    elements: list[Element] = field(default_factory=list)
    visible: list[str] = field(default_factory=list)
    inner: Element | None = None
    """The element that began last, until one ends."""

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inner = Element(tag, dict(attrs))
        self.elements.append(self.inner)

    def handle_endtag(self, tag: str) -> None:
        self.inner = None

    def handle_data(self, data: str) -> None:
        if self.inner is not None:
            self.inner.text += data
        if self.inner is None or self.inner.tag not in ("script", "style"):
            self.visible.append(data)

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.visible).split())


def parsed(page: str) -> Parsed:
    found = Parsed()
    found.feed(page)
    found.close()
    return found


def cells(page: str) -> list[list[str]]:
    """The cells of the results, heading first, as a reader sees them."""
    table = page[page.index('<table id="table">') : page.index("</table>", page.index('<table id="table">'))]
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    return [[parsed(cell).text for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]
