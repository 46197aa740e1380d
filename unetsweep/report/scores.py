"""Which scores a report shows: the metric of the sweep, and what the results of its trainer have.

Rule 1: the table of the built-in trainer does not depend on its results; of a trainer command nothing is shown that no
        result has, except the metric.
"""

import functools
from collections.abc import Iterable

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.core.metric import Metric
from unetsweep.report.columns import Column, Value
from unetsweep.texts import one_line, score_text

SCORES = ("val_iou", "val_loss", "test_iou", "test_loss")
"""The score columns of the table in README.md."""
MAX_OWN_COLUMNS = 8
"""Values of a trainer's own that a table for people shows. CSV and JSON have all."""


def own_columns(sweep: SweepRecord, known: Iterable[str]) -> dict[str, Column]:
    """Return a column for each further value in the results, in the order in which they first appear.

    `known`: the other columns. A value with the name of one of them has the column `result.NAME`; one of the built-in
    trainer's scores is in its column.
    """
    taken = {*known}
    found: dict[str, list[object]] = {}
    if sweep.spec.metric.name not in taken:
        found[sweep.spec.metric.name] = []
    for trial in sweep.trials:
        for key, value in trial.result.extra.items() if trial.result is not None else ():
            found.setdefault(key, []).append(value)
    columns = {}
    for key, values in found.items():
        if key in taken and key.startswith(("val_", "test_")):
            continue
        name = f"result.{key}" if key in taken else key
        is_text = any(isinstance(value, str | bool) for value in values)
        value = functools.partial(_own_text if is_text else _own_number, key)
        columns[name] = Column(name, one_line(key), value, _text, is_text=is_text, is_own=True)
    return columns


def _own_text(key: str, trial: TrialRecord) -> Value:
    found = None if trial.result is None else trial.result.extra.get(key)
    return str(found).lower() if isinstance(found, bool) else None if found is None else str(found)


def _own_number(key: str, trial: TrialRecord) -> Value:
    return None if trial.result is None else trial.result.extra.get(key)


def _text(value: Value) -> str:
    """A value for people: a number with four decimals, or with four digits if it is large or small.

    >>> _text(0.70096), _text(3), _text(12345.678), _text(0.00012), _text("fold 3")
    ('0.7010', '3', '1.235e+04', '0.00012', 'fold 3')
    """
    if not isinstance(value, float):
        return one_line(str(value))
    return score_text(value) if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"


def with_scores(sweep: SweepRecord, columns: tuple[str, ...], own: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of a table for people with the scores that this sweep has. `own`: the `own_columns`."""
    metric = sweep.spec.metric.name
    at = next((index for index, name in enumerate(columns) if name in SCORES), len(columns))
    if sweep.spec.trainer.command is None:
        return columns if metric in columns else (*columns[:at], metric, *columns[at:])
    reported = [name for name in SCORES if any(_has(trial, name) for trial in sweep.trials)]
    scores = dict.fromkeys([metric, *reported, *list(own)[:MAX_OWN_COLUMNS]])
    rest = [name for name in columns if name not in SCORES]
    return tuple(dict.fromkeys([*rest[:at], *scores, *rest[at:]]))


def _has(trial: TrialRecord, name: str) -> bool:
    return trial.result is not None and getattr(trial.result, name) is not None


def best_score(metric: Metric, trial: TrialRecord) -> tuple[str, str] | None:
    """Return name and value of the metric of the best trial; None: it is among the scores that are shown anyway."""
    value = metric.of_result(trial.result) if trial.result is not None and metric.name not in SCORES[:2] else None
    return None if value is None else (one_line(metric.label), _text(float(value)))
