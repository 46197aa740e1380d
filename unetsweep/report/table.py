"""The report for a terminal: aligned text, a star before the best row, and colour on request."""

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.core.address import shared_jobs
from unetsweep.report import confirmed
from unetsweep.report.columns import LEAKED, Column, number_text, plain_text
from unetsweep.report.markdown import relative
from unetsweep.report.scores import best_score
from unetsweep.report.summary import BestTrial, best_of, data_line, failure_lines, gpus_text, shows_data, states_text
from unetsweep.report.view import View
from unetsweep.texts import one_line, score_text

_BEST, _WRONG, _CAUTION, _HEAD, _END = "\x1b[1;32m", "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[0m"


def render(view: View, base: str = "", colour: bool = False) -> str:
    """The whole report; paths below the folder `base` are written relative to it."""
    spec = view.sweep.spec
    lines = [
        *_table(view, colour),
        *_shared_jobs(view),
        "",
        *([data_line(spec)] if shows_data(spec) else []),
        states_text(view.sweep),
        *failure_lines(view.sweep.trials),
    ]
    lines += [_coloured(f"warning: {one_line(warning)}", _CAUTION, colour) for warning in view.sweep.warnings]
    lines.append("")
    if view.best is None:
        lines.append("No trial is complete yet, so there are no best hyperparameters.")
    else:
        lines += _best(best_of(view.sweep, view.best, view.best_point), best_score(spec.metric, view.best), base)
    lines += _confirmed(view.sweep)
    return "\n".join(lines) + "\n"


def _shared_jobs(view: View) -> list[str]:
    line = shared_jobs((trial.number, trial.job_id) for trial in view.rows)
    return [] if line is None else ["", line]


def _confirmed(sweep: SweepRecord) -> list[str]:
    rows = confirmed.table(sweep)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return ["", *lines, "", *confirmed.sentences(sweep)] if rows else []


def _table(view: View, colour: bool) -> list[str]:
    columns = [_cells(column, view) for column in view.columns]
    heading, *lines = ["  ".join(line).rstrip() for line in zip(*columns, strict=True)] or [""]
    table = [_coloured(f"  {heading}", _HEAD, colour)]
    for trial, line in zip(view.rows, lines, strict=False):
        mark = "* " if view.is_best(trial) else "  "
        table.append(_coloured(mark + line, _colour(trial, view), colour))
    return table


def _cells(column: Column, view: View) -> list[str]:
    cells = [column.heading, *(column.format(trial, "-") for trial in view.rows)]
    width = max(map(len, cells))
    return [cell.ljust(width) for cell in cells] if column.is_text else [cell.rjust(width) for cell in cells]


def _colour(trial: TrialRecord, view: View) -> str:
    if view.is_best(trial):
        return _BEST
    return _WRONG if trial.state in ("failed", "diverged") else ""


def _coloured(line: str, code: str, colour: bool) -> str:
    return f"{code}{line}{_END}" if colour and code else line


def best_pairs(best: BestTrial, score: tuple[str, str] | None, base: str) -> list[tuple[str, str]]:
    """Names and texts about the best trial; paths below the folder `base` are relative to it."""
    mark = f" {LEAKED}" if "val" in best.leaked else ""
    pairs = [
        *([] if best.point is None else [("best point", best.point.text)]),
        ("best trial", number_text(best.trial) + (f" (job {one_line(best.job_id)})" if best.job_id else "")),
        ("learning rate", None if best.learning_rate is None else plain_text(best.learning_rate)),
        ("optimizer", best.optimizer) if best.optimizer else ("trainer", one_line(best.command or "")),
        ("batch size", None if best.batch_size is None else str(best.batch_size)),
        ("epochs", None if best.epochs is None else str(best.epochs)),
        *best.others.items(),
        ("best epoch", None if best.best_epoch is None else str(best.best_epoch)),
        *([] if score is None else [score]),
        ("val_IoU", None if best.val_iou is None else score_text(best.val_iou) + mark),
        ("val_loss", None if best.val_loss is None else score_text(best.val_loss) + mark),
        ("checkpoint", best.checkpoint and one_line(relative(best.checkpoint, base))),
        ("experiment", best.archive and one_line(relative(best.archive, base))),
    ]
    return [(name, value) for name, value in pairs if value]


def _best(best: BestTrial, score: tuple[str, str] | None, base: str) -> list[str]:
    return [gpus_text(best), *(f"{name + ':':<14} {value}" for name, value in best_pairs(best, score, base))]
