"""The report for programs: CSV and JSON, with every number in full.

Rule 1: a text in the CSV is on one line, and no spreadsheet takes it for a formula. JSON has the text as it was, with
        escapes for what is not printable.

The JSON report is one object. Its keys do not change:

schema     1
sweep      the sweep's name
metric     name of the metric; `minimize` says whether less is better
data       `image_size` (null if it varies), `mask_threshold` and `also_score_at` of the sweep
columns    names of the columns, in order
rows       one object for each trial, with these keys; null if there is no value (yet). With `study.repeats` one object
           for each point, with means, and with `trials`: a list of its trainings
best       null, or the best trial (`summary.BestTrial`); `params` only if a parameter beside the usual ones varies,
           `point` only with `study.repeats`
confirmed  null, or `leaders` (one object each, best first: `significance.Contender`) and `verdict`, a list of sentences
cost       null if it was not read, or `attempts`, `seconds`, … (`core.cost.Cost`) of the sweep
states     how many trials of the whole sweep are in each state
failures   one object for each reason why trials of the sweep failed or diverged: `state`, `reason` and `trials`
warnings   what a reader of the numbers must know
"""

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.config.parameters import SEED
from unetsweep.report import confirmed
from unetsweep.report.columns import Value
from unetsweep.report.summary import best_of, failures, state_counts
from unetsweep.report.view import View, known_columns
from unetsweep.texts import one_line

SCHEMA = 1
_FORMULA = re.compile("\t *[=+@\uff1d\uff0b\uff0d\uff20-]")
"""A text, marked by a tab, that a spreadsheet takes for a formula: its first character may be a full-width one."""
_UNPRINTABLE = re.compile(r"[^ -~]")
DATA = ("image_size", "mask_threshold", "also_score_at")
"""Scores can be compared only if these settings are equal."""


def cells(view: View) -> list[list[Value]]:
    """The value of each column for each trial of the view."""
    values = [column.value for column in view.columns]
    return [[value(trial) for value in values] for trial in view.rows]


def render_csv(view: View, rows: Sequence[Sequence[Value]]) -> str:
    """A line of column names, then a line for each trial; a cell is empty if there is no value (yet).

    `rows`: the `cells` of the view.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([safe_text(column.name) for column in view.columns])
    writer.writerows(_with_safe_texts(view, rows))
    return text.getvalue()


def _with_safe_texts(view: View, rows: Sequence[Sequence[Value]]) -> Sequence[Sequence[Value]]:
    """The rows with safe texts. The texts of a column are checked at once: one by one takes ten times longer."""
    changed: dict[int, list[Value]] = {}
    for at, column in enumerate(view.columns):
        if column.is_text or column.name == "job_id":
            texts = [value for row in rows if isinstance(value := row[at], str)]
            if not "".join(texts).isprintable() or _FORMULA.search("\t" + "\t".join(texts)):
                changed[at] = [safe_text(row[at]) for row in rows]
    if not changed:
        return rows
    return [
        [changed[at][index] if at in changed else value for at, value in enumerate(row)]
        for index, row in enumerate(rows)
    ]


def safe_text(value: Value) -> Value:
    """The text on one line, with an apostrophe before what a spreadsheet would take for a formula."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if _FORMULA.match(f"\t{text}") else text


def render_json(view: View, rows: Sequence[Sequence[Value]]) -> str:
    """The JSON object; each row is on its own line, so that `diff` can compare two reports. `rows`: as above."""
    sweep = view.sweep
    names = [column.name for column in view.columns]
    lines = [_dumps(dict(zip(names, row, strict=True))) for row in rows]
    if view.points:
        lines = [f'{line[:-1]}, "trials": {_trials(view, row)}}}' for line, row in zip(lines, view.rows, strict=True)]
    best = None if view.best is None else dataclasses.asdict(best_of(sweep, view.best, view.best_point))
    for name in ("params", "point"):
        if best is not None and not best[name]:
            del best[name]
    parts = {
        "schema": _dumps(SCHEMA),
        "sweep": _dumps(sweep.name),
        "metric": _dumps(sweep.spec.study.metric),
        "minimize": _dumps(sweep.spec.metric.minimize),
        "data": _dumps({name: _data_setting(sweep, name) for name in DATA}),
        "columns": _dumps(names),
        "rows": "[" + ",".join(f"\n{line}" for line in lines) + "\n]",
        "best": _dumps(best),
        "confirmed": _confirmed(sweep),
        "cost": _cost(sweep),
        "states": _dumps(state_counts(sweep.trials)),
        "failures": _dumps([{"state": state, **dataclasses.asdict(group)} for state, group in failures(sweep.trials)]),
        "warnings": _dumps(sweep.warnings),
    }
    return "{\n" + ",\n".join(f'"{key}": {text}' for key, text in parts.items()) + "\n}\n"


def _trials(view: View, row: TrialRecord) -> str:
    """The trainings of a point, each with the columns that a trial has."""
    wanted = {"trial", SEED, "state", "job_id", *(column.name for column in view.columns)}
    known = [column for name, column in known_columns(view.sweep).items() if name in wanted]
    found = ({column.name: column.value(trial) for column in known} for trial in view.points[row.number].trials)
    return "[" + ", ".join(map(_dumps, found)) + "]"


def _data_setting(sweep: SweepRecord, name: str) -> Any:
    """A setting of the data; None if it varies, because then each row has its own."""
    return None if f"data.{name}" in sweep.spec.space.paths else getattr(sweep.spec.data, name)


def _cost(sweep: SweepRecord) -> str:
    if sweep.cost is None:
        return "null"
    values = dataclasses.asdict(sweep.cost)
    return _dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()})


def _confirmed(sweep: SweepRecord) -> str:
    """One line for each leader, best first, and the sentences of the verdict."""
    rows = [
        _dumps({"trial": row.pop("key"), **row}) for row in map(dataclasses.asdict, confirmed.compare_leaders(sweep))
    ]
    if not rows:
        return "null"
    verdict = _dumps(confirmed.sentences(sweep))
    return '{"leaders": [' + ",".join(f"\n{row}" for row in rows) + f'\n], "verdict": {verdict}}}'


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


def _dumps(value: Any) -> str:
    """The value as JSON, with null for NaN and infinity, and escapes for characters that are not printable."""
    try:
        text = _encode(value)
    except ValueError:
        text = _encode({name: None if _is_not_finite(each) else each for name, each in value.items()})
    return text if text.isprintable() else _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1]


def _is_not_finite(value: Value) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
