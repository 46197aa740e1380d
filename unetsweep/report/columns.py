"""Every column that a report can show, and how its values are written."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import attrgetter
from typing import Any

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.config.parameters import SEED, short_name
from unetsweep.contract import DataConfig
from unetsweep.core.space import REQUIRED, Choices, Domain, Space, is_fixed
from unetsweep.core.trials import is_own
from unetsweep.datasets.scores import DATA_SET, OVER_IMAGES, level_key
from unetsweep.texts import one_line, score_text
from unetsweep.trial_config import ParameterValue

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a report."""

    name: str
    """What a user types after --columns, and the key in CSV and JSON."""
    heading: str
    """Its heading in a table for people."""
    value: Callable[[TrialRecord], Value]
    """Its value for a trial; None: there is none (yet)."""
    text: Callable[[Any], str] = str
    """Writes a value for people."""
    is_identity: bool = False
    """It identifies the row, so it is not emphasised in the best row."""
    is_text: bool = False
    """Its values are texts, which may come from outside: aligned to the left, and escaped."""
    is_own: bool = False
    """A trainer command chose its name."""
    sd: Callable[[TrialRecord], Value] | None = None
    """The standard deviation of a mean, if it has one; None: the values are no means."""

    def format(self, trial: TrialRecord, missing: str) -> str:
        """The value of a trial for people, or `missing`: `0.7123`, or a mean with its spread, `0.7123 ± 0.0101`."""
        value = self.value(trial)
        if value is None:
            return missing
        spread = None if self.sd is None else self.sd(trial)
        return self.text(value) if spread is None else f"{self.text(value)} ± {self.text(spread)}"


def rate_text(value: float) -> str:
    """A learning rate as the table in README.md writes it, with at most four significant digits.

    >>> rate_text(1e-4), rate_text(5e-05), rate_text(0.0015), rate_text(0.00031622776601683794)
    ('1e-04', '5e-05', '1.5e-03', '3.162e-04')
    """
    digits, _, exponent = f"{value:.3e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{exponent}"


def plain_text(value: float) -> str:
    """A number in full, without an exponent, so that it can be typed in again.

    >>> plain_text(1e-4), plain_text(0.5)
    ('0.0001', '0.5')
    """
    return format(Decimal(repr(value)), "f")


def number_text(number: int) -> str:
    """A trial's number as in the name of its folder.

    >>> number_text(7)
    '0007'
    """
    return f"{number:04d}"


def _tenths(value: float) -> str:
    return str(round(value, 1))


def _whole(value: float) -> str:
    return f"{value:.0f}"


def _of_result(name: str) -> Callable[[TrialRecord], Value]:
    def value(trial: TrialRecord) -> Value:
        found: Value = None if trial.result is None else getattr(trial.result, name)
        return found

    return value


def _number(value: Any) -> Value:
    """`value` if it is a number: a trainer command may have written anything."""
    return value if type(value) in (float, int) else None


def _scores(part: str) -> tuple[Column, ...]:
    """The columns of `Result.val_scores` or `Result.test_scores`."""
    scores = attrgetter(f"{part}_scores")

    def of(name: str, column: str) -> Callable[[TrialRecord], Value]:
        def value(trial: TrialRecord) -> Value:
            if trial.result is None:
                return None
            found = _number(scores(trial.result).get(name))
            return _number(trial.result.extra.get(column)) if found is None else found  # of a trainer command

        return value

    names = [(f"{part}_{name.removeprefix('image_')}", name) for name in (*DATA_SET, *OVER_IMAGES)]
    return tuple(Column(column, column.replace("iou", "IoU"), of(name, column), score_text) for column, name in names)


def _iou_at_level(part: str, key: str) -> Column:
    """A part's IoU with masks cut at another grey level; its heading names the level."""

    def value(trial: TrialRecord) -> Value:
        scores = None if trial.result is None else trial.result.also_scored.get(key)
        return _number(scores.get(f"{part}_iou")) if isinstance(scores, Mapping) else None

    return Column(f"{part}_iou_above_{key}", f"{part}_IoU (mask > {key})", value, score_text)


def _gap(trial: TrialRecord) -> Value:
    result = trial.result
    if result is None or result.val_iou is None or result.test_iou is None:
        return None
    return result.val_iou - result.test_iou


def reason(trial: TrialRecord) -> str | None:
    """Why a trial failed or waits, on one line; None: no reason is known."""
    text = trial.reason or (trial.result.message if trial.result else None) or ""
    return one_line(text) or None


def checkpoint(trial: TrialRecord) -> str | None:
    """Absolute path of a trial's best checkpoint; None: there is none (yet)."""
    if trial.result is None or not trial.result.checkpoint:
        return None
    return f"{trial.run_dir}/{trial.result.checkpoint}" if trial.run_dir else trial.result.checkpoint


_ALL = (
    Column("trial", "trial", lambda t: t.number, number_text, is_identity=True),
    Column("state", "state", lambda t: t.state, one_line, is_identity=True, is_text=True),
    Column("job_id", "Job id", lambda t: t.job_id, one_line, is_identity=True),
    Column("epochs", "epochs", lambda t: t.epochs),
    Column("batch_size", "batch_size", lambda t: t.batch_size),
    Column("learning_rate", "learning_rate", lambda t: t.learning_rate, rate_text),
    Column("seed", "seed", lambda t: t.seed),
    Column("val_iou", "val_IoU", _of_result("val_iou"), score_text),
    Column("val_loss", "val_loss", _of_result("val_loss"), score_text),
    Column("test_iou", "test_IoU", _of_result("test_iou"), score_text),
    Column("test_loss", "test_loss", _of_result("test_loss"), score_text),
    Column("gap", "gap", _gap, score_text),
    *_scores("val"),
    *_scores("test"),
    Column("best_epoch", "best_epoch", _of_result("best_epoch")),
    Column("epochs_run", "epochs_run", _of_result("epochs_run")),
    Column("micro_batch", "micro_batch", _of_result("micro_batch")),
    Column("seconds", "seconds", _of_result("seconds"), _tenths),
    Column("gpu_seconds", "gpu_seconds", _of_result("gpu_seconds"), _tenths),
    Column("peak_memory_mb", "peak_memory_mb", _of_result("peak_memory_mb"), _whole),
    Column("host", "host", _of_result("host"), one_line, is_text=True),
    Column("checkpoint", "checkpoint", checkpoint, one_line, is_text=True),
    Column("archive", "archive", lambda t: t.archive, one_line, is_text=True),
    Column("reason", "reason", reason, is_text=True),
)

COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
"""The columns of every sweep by name, in the order in which CSV and JSON write them."""


def _of_cost(name: str) -> Callable[[TrialRecord], Value]:
    def value(trial: TrialRecord) -> Value:
        found: Value = None if trial.cost is None else getattr(trial.cost, name)
        return round(found, 3) if isinstance(found, float) else found

    return value


COSTS: dict[str, Column] = {
    name: Column(name, name, _of_cost(field), text)
    for name, field, text in (
        ("attempts", "attempts", str),
        ("job_seconds", "seconds", _tenths),
        ("job_gpu_seconds", "gpu_seconds", _tenths),
        ("job_cpu_seconds", "cpu_seconds", _tenths),
        ("lost_seconds", "lost_seconds", _tenths),
        ("job_memory_mb", "memory_mb", _whole),
    )
}
"""The columns of what trials cost. Costs are read only on request: from many files, and from SLURM's accounting."""


def also_columns(data: DataConfig) -> dict[str, Column]:
    """The columns of a sweep with `data.also_score_at`: two for each level, by name."""
    keys = [level_key(level) for level in data.also_score_at]
    found = [_iou_at_level(part, key) for key in keys for part in ("val", "test")]
    return {column.name: column for column in found}


def value_text(value: ParameterValue) -> str:
    """A parameter's value for people: a text as it is, a number with at most four significant digits.

    >>> value_text("adam"), value_text(0.0001), value_text(64), value_text(None)
    ('adam', '0.0001', '64', 'null')
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value))


def parameter_columns(space: Space) -> dict[str, Column]:
    """The columns of the parameters beside those that every sweep has, by name."""
    paths = [path for path in space.paths if path not in (*REQUIRED, SEED)]
    return {column_name(path): _parameter(path, space.domain(path)) for path in paths}


def _parameter(path: str, domain: Domain) -> Column:
    is_text = isinstance(domain, Choices) and any(isinstance(value, str) for value in domain.values)
    name, heading = column_name(path), column_name(path) if is_own(path) else short_name(path)
    return Column(name, heading, lambda trial: trial.params.get(path), value_text, is_text=is_text)


def column_name(path: str) -> str:
    """The name of the column of a parameter: its path, or `params.NAME` if another column has the name.

    >>> column_name("sigma"), column_name("epochs"), column_name("host")
    ('sigma', 'epochs', 'params.host')
    """
    is_taken = is_own(path) and (path in COLUMNS or path in COSTS or path == LEAK)
    return f"params.{path}" if is_taken else path


def table_columns(space: Space) -> tuple[str, ...]:
    """The columns for people: the parameters that vary, in the order of the file, and the metrics. If only those of
    the table in README.md may vary, its columns."""
    if {*REQUIRED} <= {*space.paths} <= {*TABLE_COLUMNS}:
        return TABLE_COLUMNS
    varied = [column_name(path) for path, domain in space.domains().items() if not is_fixed(domain)]
    metrics = [name for name in TABLE_COLUMNS[1:] if name not in REQUIRED]
    return (TABLE_COLUMNS[0], *varied, *metrics)


def columns_of(sweep: SweepRecord) -> dict[str, Column]:
    """All columns of a sweep, in order. If its data leaks, the headings say so, and there is a column `leak`."""
    found: dict[str, Column] = {}
    for name, column in COLUMNS.items():
        if name not in REQUIRED or name in sweep.spec.space.paths:
            found[name] = column
        if name == REQUIRED[-1]:
            found |= parameter_columns(sweep.spec.reported_space)
    found |= also_columns(sweep.spec.data)
    if not sweep.leak:
        return found
    text = one_line("; ".join(sweep.leak.values()))
    leak = Column(LEAK, LEAK, lambda trial: text, is_identity=True, is_text=True)
    return {name: _labelled(column, sweep.leak) for name, column in found.items()} | {LEAK: leak}


def _labelled(column: Column, leak: Mapping[str, str]) -> Column:
    part = "val" if column.name == "gap" else column.name.partition("_")[0]
    return replace(column, heading=f"{column.heading} {LEAKED}") if part in leak else column


LEAK = "leak"
"""The column that says which images have a copy in training."""
LEAKED = "(leaked)"
"""Follows the heading or the value of a score on images that have a copy in training."""


TABLE_COLUMNS = ("job_id", "epochs", "batch_size", "learning_rate", "val_iou", "val_loss", "test_iou", "test_loss")
"""The columns of the table in README.md. Every format for people shows them."""
