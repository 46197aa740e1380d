"""Every column that a report can show, and how a value of it reads."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import attrgetter
from typing import Any

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.contract import DataConfig
from unetsweep.datasets.scores import DATA_SET, OVER_IMAGES, level_key

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    """What a user types, and the key in CSV and JSON."""
    heading: str
    """What stands above it in a table for people."""
    value: Callable[[TrialRecord], Value]
    """None: not there (yet)."""
    text: Callable[[Any], str] = str
    """A value that is there, for people."""
    is_identity: bool = False
    """Says which row it is, so it is not emphasised in the best one."""
    is_text: bool = False
    """Words: aligned to the left, and escaped."""

    def shown(self, trial: TrialRecord, missing: str) -> str:
        value = self.value(trial)
        return missing if value is None else self.text(value)


def metric_text(value: float) -> str:
    """At most four decimals; zeros at the end are dropped.

    >>> metric_text(0.70096), metric_text(0.125), metric_text(1.0), metric_text(-0.00001)
    ('0.701', '0.125', '1.0', '0.0')
    """
    return str(round(value, 4) + 0.0) if math.isfinite(value) else str(value)


def rate_text(value: float) -> str:
    """A learning rate as the docs' table writes it, with at most four digits that count.

    >>> rate_text(1e-4), rate_text(5e-05), rate_text(0.0015), rate_text(0.00031622776601683794)
    ('1e-04', '5e-05', '1.5e-03', '3.162e-04')
    """
    digits, _, exponent = f"{value:.3e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{exponent}"


def plain_text(value: float) -> str:
    """A number in full, without an exponent: it can be typed in again.

    >>> plain_text(1e-4), plain_text(0.5)
    ('0.0001', '0.5')
    """
    return format(Decimal(repr(value)), "f")


def number_text(number: int) -> str:
    """A trial's number as its folder is called.

    >>> number_text(7)
    '0007'
    """
    return f"{number:04d}"


def one_line(text: str) -> str:
    """Words on one line: line ends, tabs and control characters become single spaces.

    >>> one_line("CUDA error:\\n\\tout of\\x1b[0m memory ")
    'CUDA error: out of [0m memory'
    """
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())


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
    """A program of the user's may have written anything."""
    return value if type(value) in (float, int) else None


def _scores(part: str) -> tuple[Column, ...]:
    """The columns of `Result.val_scores` or `test_scores`."""
    of_part = attrgetter(f"{part}_scores")

    def of(name: str) -> Callable[[TrialRecord], Value]:
        return lambda trial: None if trial.result is None else _number(of_part(trial.result).get(name))

    names = [(f"{part}_{name.removeprefix('image_')}", name) for name in (*DATA_SET, *OVER_IMAGES)]
    return tuple(Column(column, column.replace("iou", "IoU"), of(name), metric_text) for column, name in names)


def _under_other_masks(part: str, key: str) -> Column:
    """A part's IoU with masks that are cut at another level, so that its heading always says it."""

    def value(trial: TrialRecord) -> Value:
        scores = None if trial.result is None else trial.result.also_scored.get(key)
        return _number(scores.get(f"{part}_iou")) if isinstance(scores, Mapping) else None

    return Column(f"{part}_iou_above_{key}", f"{part}_IoU (mask > {key})", value, metric_text)


def _gap(trial: TrialRecord) -> Value:
    result = trial.result
    if result is None or result.val_iou is None or result.test_iou is None:
        return None
    return result.val_iou - result.test_iou


def reason(trial: TrialRecord) -> str | None:
    """Why it failed or waits, on one line; None: nobody said."""
    words = trial.reason or (trial.result.message if trial.result else None) or ""
    return one_line(words) or None


def checkpoint(trial: TrialRecord) -> str | None:
    """Absolute path of the best checkpoint; None: there is none (yet)."""
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
    Column("val_iou", "val_IoU", _of_result("val_iou"), metric_text),
    Column("val_loss", "val_loss", _of_result("val_loss"), metric_text),
    Column("test_iou", "test_IoU", _of_result("test_iou"), metric_text),
    Column("test_loss", "test_loss", _of_result("test_loss"), metric_text),
    Column("gap", "gap", _gap, metric_text),
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
"""By name, in the order in which CSV and JSON write them."""


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
"""What trials cost, by name: read only where it is asked for, since it is in many files, and in SLURM's accounting."""


def also_columns(data: DataConfig) -> dict[str, Column]:
    """The columns of a sweep with `data.also_score_at`: two a level, by name."""
    keys = [level_key(level) for level in data.also_score_at]
    found = [_under_other_masks(part, key) for key in keys for part in ("val", "test")]
    return {column.name: column for column in found}


def columns_of(sweep: SweepRecord) -> dict[str, Column]:
    """All columns of a sweep, in order. What leaked says so in its heading, and in a column `leak`."""
    found = COLUMNS | also_columns(sweep.spec.data)
    if not sweep.leak:
        return found
    said = one_line("; ".join(sweep.leak.values()))
    leak = Column("leak", "leak", lambda trial: said, is_identity=True, is_text=True)
    return {name: _labelled(column, sweep.leak) for name, column in found.items()} | {"leak": leak}


def _labelled(column: Column, leak: Mapping[str, str]) -> Column:
    part = "val" if column.name == "gap" else column.name.partition("_")[0]
    return replace(column, heading=f"{column.heading} {LEAKED}") if part in leak else column


LEAKED = "(leaked)"


EIGHT = ("job_id", "epochs", "batch_size", "learning_rate", "val_iou", "val_loss", "test_iou", "test_loss")
"""The columns of the docs' table."""
