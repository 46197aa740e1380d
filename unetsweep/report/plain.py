"""For programs: CSV and JSON, every number in full.

The JSON report is one object, and its keys stay:

schema     1
sweep      the sweep's name
metric     `val_iou` or `val_loss`; `minimize` says whether less is better
data       `image_size`, `mask_threshold`, `also_score_at`, as the sweep states them
columns    names of the columns, in order
rows       one object a trial, with those keys; null where there is nothing (yet)
best       null, or the best trial (`summary.Best`)
confirmed  null, or `leaders` (one object each, best first: `leaders.Contender`) and `said`, the outcome in words
cost       null where it was not read, or `attempts`, `seconds`, … (`core.cost.Cost`) of the sweep
states     how many trials of the whole sweep are in each state
warnings   what a reader of the numbers must know
"""

import csv
import dataclasses
import io
import json
import math
from typing import Any

from unetsweep.analysis.rows import SweepRecord
from unetsweep.report import confirmed
from unetsweep.report.columns import Value
from unetsweep.report.summary import best_of, state_counts
from unetsweep.report.view import View

SCHEMA = 1
DATA = ("image_size", "mask_threshold", "also_score_at")
"""Settings without which no score can be compared with another."""


def render_csv(shown: View) -> str:
    """A heading of column names, then a line a trial; empty where there is nothing (yet)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in shown.columns])
    values = [column.value for column in shown.columns]
    writer.writerows([value(trial) for value in values] for trial in shown.rows)
    return text.getvalue()


def render_json(shown: View) -> str:
    """The object above; a row is one line, so that two reports can be compared by `diff`."""
    sweep = shown.sweep
    pairs = [(column.name, column.value) for column in shown.columns]
    rows = [_dumps({name: value(trial) for name, value in pairs}) for trial in shown.rows]
    best = None if shown.best is None else dataclasses.asdict(best_of(sweep, shown.best))
    parts = {
        "schema": _dumps(SCHEMA),
        "sweep": _dumps(sweep.name),
        "metric": _dumps(sweep.spec.study.metric),
        "minimize": _dumps(sweep.spec.minimize),
        "data": _dumps({name: getattr(sweep.spec.data, name) for name in DATA}),
        "columns": _dumps([column.name for column in shown.columns]),
        "rows": "[" + ",".join(f"\n{row}" for row in rows) + "\n]",
        "best": _dumps(best),
        "confirmed": _confirmed(sweep),
        "cost": _cost(sweep),
        "states": _dumps(state_counts(sweep.trials)),
        "warnings": _dumps(sweep.warnings),
    }
    return "{\n" + ",\n".join(f'"{key}": {text}' for key, text in parts.items()) + "\n}\n"


def _cost(sweep: SweepRecord) -> str:
    if sweep.cost is None:
        return "null"
    values = dataclasses.asdict(sweep.cost)
    return _dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()})


def _confirmed(sweep: SweepRecord) -> str:
    """One line a leader, best first; `said`: the outcome in words."""
    rows = [_dumps({"trial": row.pop("key"), **row}) for row in map(dataclasses.asdict, confirmed.of(sweep))]
    if not rows:
        return "null"
    return (
        '{"leaders": [' + ",".join(f"\n{row}" for row in rows) + f'\n], "said": {_dumps(confirmed.sentences(sweep))}}}'
    )


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


def _dumps(value: Any) -> str:
    """JSON knows no NaN and no infinity: where one is, nothing is there instead."""
    try:
        return _encode(value)
    except ValueError:
        return _encode({name: None if _is_odd(each) else each for name, each in value.items()})


def _is_odd(value: Value) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
