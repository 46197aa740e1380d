"""Writes the page: the templates, filled in with what a sweep's record and the page's content say.

Rule 1: the page needs nothing but itself. Its policy allows its own styles, its one script and embedded pictures only.
Rule 2: everything is escaped by the templates, and no character that is not printable reaches the page.
"""

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import jinja2
from markupsafe import Markup

from unetsweep.analysis.rows import TrialRecord
from unetsweep.core.sweep_state import OPEN
from unetsweep.report import confirmed
from unetsweep.report.columns import number_text, reason
from unetsweep.report.page import costs, curves, leaders
from unetsweep.report.page.chart import Chart
from unetsweep.report.page.content import PageContent, Pictures
from unetsweep.report.page.rows import default_pair, page_rows
from unetsweep.report.scores import best_score
from unetsweep.report.summary import best_of, data_line, failures, shows_data, states_text
from unetsweep.report.table import best_pairs
from unetsweep.report.view import View
from unetsweep.texts import counted, printable, score_text

TEMPLATES = Path(__file__).with_name("templates")
THEME_BUTTON = Markup(
    '<button type="button" id="theme" class="js" aria-label="Colours: as the system">Theme: auto</button>'
)
MOST_OPEN = 50
"""Open trials that are listed; the table has all."""


def render(view: View, content: PageContent, base: str = "") -> str:
    """The page as HTML; paths below the folder `base` are written relative to it."""
    sweep, pictures = view.sweep, content.pictures
    pair = default_pair(view, (pictures.best, pictures.other) if pictures else ())
    return fill(
        "page.html",
        sweep.name,
        view=view,
        sweep=sweep,
        content=content,
        states=states_text(sweep),
        data_line=data_line(sweep.spec) if shows_data(sweep.spec) else "",
        warnings=(*sweep.warnings, *content.warnings),
        rows=page_rows(view),
        row_states=list(dict.fromkeys(row.state for row in view.rows)),
        best=_best(view, base),
        charts=_charts(view, content),
        confirmed=confirmed.table(sweep),
        verdict=confirmed.sentences(sweep),
        pair=pair,
        predictions=_predictions(pictures),
        failures=failures(sweep.trials),
        open_trials=[_open(trial, content) for trial in sweep.trials if trial.state in OPEN][:MOST_OPEN],
        number_open=sum(trial.state in OPEN for trial in sweep.trials),
        cost_meanings=costs.meanings(),
    )


def fill(name: str, title: str, **values: object) -> str:
    """A page of the template with this name, with the styles and the script that all pages share."""
    return template(name).render(values, title=title)


def template(name: str) -> jinja2.Template:
    """The compiled template."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=lambda value: value if hasattr(value, "__html__") else printable(str(value)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(score=score_text, number=number_text)
    script = _text("page.js")
    environment.globals.update(
        counted=counted,
        theme_button=THEME_BUTTON,
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=_text("page.css"),
        chart_style=_text("charts.css"),
    )
    return environment


def _text(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _charts(view: View, content: PageContent) -> Mapping[str, Chart]:
    """The charts that there are, by their keys."""
    found = (
        curves.learning_curves(view.sweep, content.curves),
        curves.history(view.sweep),
        curves.importances(content.importances),
        leaders.leaders(view.sweep),
        costs.cost(content.cost),
    )
    return {chart.key: chart for chart in found if chart is not None}


def _best(view: View, base: str) -> list[tuple[str, str]]:
    """Names and texts about the best trial; empty if no trial is complete."""
    if view.best is None:
        return []
    best = best_of(view.sweep, view.best, view.best_point)
    pairs = best_pairs(best, best_score(view.sweep.spec.metric, view.best), base)
    mark = " (leaked)" if "test" in best.leaked else ""
    tests = [("test_IoU", best.test_iou), ("test_loss", best.test_loss)]
    return [*pairs, *((name, score_text(value) + mark) for name, value in tests if value is not None)]


def _open(trial: TrialRecord, content: PageContent) -> tuple[str, str, str, str]:
    """Number, state, progress and reason of an open trial."""
    done = next((curve.epochs_done for curve in content.curves if trial.number in curve.trials), 0)
    progress = f"epoch {min(done, trial.epochs)} of {trial.epochs}" if done and trial.epochs else ""
    return number_text(trial.number), trial.state, progress, reason(trial) or ""


def _predictions(pictures: Pictures | None) -> dict[int, list[dict[str, object]]]:
    """The differences of each trial, for the script that compares two of them."""
    if pictures is None:
        return {}
    return {
        trial: [{"case": each.case, **asdict(each.difference)} for each in predictions]
        for trial, predictions in pictures.predictions.items()
    }
