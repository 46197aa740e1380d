"""The same for a terminal: aligned text, a star before the best row, colour only where it is asked for."""

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.report import confirmed
from unetsweep.report.columns import LEAKED, Column, metric_text, number_text, one_line, plain_text
from unetsweep.report.markdown import relative
from unetsweep.report.summary import Best, best_of, data_line, gpus_text, state_line
from unetsweep.report.view import View

_BEST, _WRONG, _HEAD, _END = "\x1b[1;32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


def render(shown: View, base: str = "", colour: bool = False) -> str:
    """The whole report; paths below the folder `base` are shown relative to it."""
    lines = [*_table(shown, colour), "", data_line(shown.sweep.spec), state_line(shown.sweep.trials)]
    lines += [f"warning: {one_line(warning)}" for warning in shown.sweep.warnings]
    lines.append("")
    if shown.best is None:
        lines.append("No trial is complete yet, so there are no best hyperparameters.")
    else:
        lines += _best(best_of(shown.sweep, shown.best), base)
    lines += _confirmed(shown.sweep)
    return "\n".join(lines) + "\n"


def _confirmed(sweep: SweepRecord) -> list[str]:
    rows = confirmed.cells(sweep)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return ["", *lines, "", *confirmed.sentences(sweep)] if rows else []


def _table(shown: View, colour: bool) -> list[str]:
    columns = [_cells(column, shown) for column in shown.columns]
    heading, *lines = ["  ".join(line).rstrip() for line in zip(*columns, strict=True)] or [""]
    table = [_painted(f"  {heading}", _HEAD, colour)]
    for trial, line in zip(shown.rows, lines, strict=False):
        mark = "* " if trial is shown.best else "  "
        table.append(_painted(mark + line, _paint(trial, shown), colour))
    return table


def _cells(column: Column, shown: View) -> list[str]:
    cells = [column.heading, *(column.shown(trial, "-") for trial in shown.rows)]
    width = max(map(len, cells))
    return [cell.ljust(width) for cell in cells] if column.is_text else [cell.rjust(width) for cell in cells]


def _paint(trial: TrialRecord, shown: View) -> str:
    if trial is shown.best:
        return _BEST
    return _WRONG if trial.state in ("failed", "diverged") else ""


def _painted(line: str, paint: str, colour: bool) -> str:
    return f"{paint}{line}{_END}" if colour and paint else line


def _best(best: Best, base: str) -> list[str]:
    mark = f" {LEAKED}" if "val" in best.leaked else ""
    pairs = [
        ("best trial", number_text(best.trial) + (f" (job {best.job_id})" if best.job_id else "")),
        ("learning rate", plain_text(best.learning_rate)),
        ("optimizer", best.optimizer) if best.optimizer else ("trainer", one_line(best.command or "")),
        ("batch size", str(best.batch_size)),
        ("epochs", str(best.epochs)),
        ("best epoch", None if best.best_epoch is None else str(best.best_epoch)),
        ("val_IoU", None if best.val_iou is None else metric_text(best.val_iou) + mark),
        ("val_loss", None if best.val_loss is None else metric_text(best.val_loss) + mark),
        ("checkpoint", best.checkpoint and one_line(relative(best.checkpoint, base))),
        ("experiment", best.archive and one_line(relative(best.archive, base))),
    ]
    return [gpus_text(best), *(f"{name + ':':<14} {value}" for name, value in pairs if value)]
