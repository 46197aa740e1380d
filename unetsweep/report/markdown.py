"""The report as a Markdown table for a README, with the best hyperparameters below it.

Rule 1: heading and rule are as wide as the widest plain cell, as in the docs; the stars of the emphasised row may be
        wider.
Rule 2: no text from a file or a user can end a cell or start markup.
"""

import re

from unetsweep.analysis.rows import SweepRecord
from unetsweep.report import confirmed
from unetsweep.report.columns import LEAKED, Column, plain_text
from unetsweep.report.scores import best_score
from unetsweep.report.summary import BestTrial, best_of, data_line, failure_lines, gpus_text, shows_data, states_text
from unetsweep.report.view import View
from unetsweep.texts import one_line, score_text

# CommonMark does not treat an underscore within a word (18808_3) as markup, so it is not escaped.
_MARKUP = re.compile(r"[\\`*|<>\[\]~&]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")


def render(view: View, base: str = "") -> str:
    """The whole report; paths below the folder `base` are written relative to it."""
    sweep = view.sweep
    about_data = [escape(f"{data_line(sweep.spec)}.")] if shows_data(sweep.spec) else []
    parts = ["\n".join(_table(view)), *about_data, escape(states_text(sweep))]
    if failed := failure_lines(sweep.trials):
        parts.append("\n".join(f"- {escape(line)}" for line in failed))
    parts += [f"Warning: {escape(one_line(warning))}" for warning in sweep.warnings]
    if view.best is None:
        parts.append("No trial is complete yet, so there are no best hyperparameters.")
    else:
        parts += _best(best_of(sweep, view.best, view.best_point), best_score(sweep.spec.metric, view.best), base)
    parts += _confirmed(sweep)
    return "\n\n".join(parts) + "\n"


def _confirmed(sweep: SweepRecord) -> list[str]:
    rows = confirmed.table(sweep)
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * (width - 1) + ":" for width in widths))
    return ["\n".join(f"| {line} |" for line in lines), *(f"{sentence}." for sentence in confirmed.sentences(sweep))]


def escape(text: str) -> str:
    r"""Plain text as Markdown source.

    >>> escape("18808_3"), escape("a|b"), escape("_x_ <b>")
    ('18808_3', 'a\\|b', '\\_x\\_ \\<b\\>')
    """
    return _MARKUP.sub(r"\\\g<0>", text)


def code(text: str) -> str:
    """A code span with this text, which may contain backticks.

    >>> code("runs/0003"), code("a`b")
    ('`runs/0003`', '`` a`b ``')
    """
    text = one_line(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}{text}{fence}" if fence == "`" else f"{fence} {text} {fence}"


def relative(path: str, base: str) -> str:
    """The path relative to the folder `base` if it is below it, else unchanged.

    >>> relative("/home/me/results/x.ckpt", "/home/me"), relative("/tmp/x.ckpt", "/home/me")
    ('results/x.ckpt', '/tmp/x.ckpt')
    """
    return path.removeprefix(base.rstrip("/") + "/") if base else path


def _table(view: View) -> list[str]:
    best = next((at for at, trial in enumerate(view.rows) if view.is_best(trial)), None)
    columns = [_cells(column, view, best) for column in view.columns]
    lines = [f"| {' | '.join(line)} |" for line in zip(*columns, strict=True)]
    return lines if lines else [""]


def _cells(column: Column, view: View, best: int | None) -> list[str]:
    """One column: heading, rule, and a cell for each row, all padded to the same width."""
    cells = [column.format(trial, "-") for trial in view.rows]
    if column.is_text or column.is_identity:
        cells = [escape(cell) if cell != "-" else cell for cell in cells]
    heading = escape(column.heading) if column.is_own else column.heading
    width = max(len(heading), 3, max(map(len, cells), default=0))
    if best is not None and not column.is_identity and cells[best] != "-":
        cells[best] = f"**{cells[best]}**"
    if column.is_text:
        return [heading.ljust(width), ":" + "-" * (width - 1), *(cell.ljust(width) for cell in cells)]
    return [heading.rjust(width), "-" * (width - 1) + ":", *(cell.rjust(width) for cell in cells)]


def _best(best: BestTrial, score: tuple[str, str] | None, base: str) -> list[str]:
    trainer = f"- **Optimizer**: {best.optimizer}" if best.optimizer else f"- **Trainer**: {code(best.command or '')}"
    hyperparameters = [
        None if best.learning_rate is None else f"- **Learning Rate**: {plain_text(best.learning_rate)}",
        trainer,
        None if best.batch_size is None else f"- **Batch Size**: {best.batch_size}",
        None if best.epochs is None else f"- **Epochs**: {best.epochs}",
        *(f"- **{escape(name)}**: {escape(value)}" for name, value in best.others.items()),
    ]
    mark = f" {LEAKED}" if "val" in best.leaked else ""
    scores = [(f"IoU score{mark}", best.val_iou), (f"validation loss{mark}", best.val_loss)]
    texts = [(name, "-" if value is None else score_text(value)) for name, value in scores]
    if best.command:  # of a trainer command only what its result has
        texts = [(name, text) for name, text in texts if text != "-"]
    if score is not None:
        texts.insert(0, (escape(score[0]), score[1]))
    parts = [
        gpus_text(best),
        "The best hyperparameters of the sweep are:",
        "\n".join(line for line in hyperparameters if line is not None),
        *([] if best.point is None else [f"{escape(best.point.text)}. Of these, trial {best.trial:04d} is the best."]),
        _heading(best),
        "\n".join(f"- **{name} = {text}**" for name, text in texts),
    ]
    if best.checkpoint:
        parts.append(f"The model is saved to {code(relative(best.checkpoint, base))}")
    if best.archive:
        parts.append(f"Its experiment is archived in {code(relative(best.archive, base))}")
    return parts


def _heading(best: BestTrial) -> str:
    """The line above the scores. A program of the user may have no epochs, so of it only a known one is named."""
    if best.best_epoch is None and best.command:
        return "The best trial has:"
    when = "At its best epoch" if best.best_epoch is None else f"At epoch **{best.best_epoch}**"
    return f"{when} the model has the best performance with:"
