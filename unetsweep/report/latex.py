"""The report as a booktabs tabular for a paper; everything outside the table is a comment.

Rule 1: no text from a file or a user can end a cell, start a command or end a comment.
"""

from unetsweep.analysis.rows import SweepRecord
from unetsweep.report import confirmed
from unetsweep.report.columns import Column
from unetsweep.report.summary import best_of, data_line, failure_lines, gpus_text, shows_data, states_text
from unetsweep.report.view import View
from unetsweep.texts import one_line

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "[": "{[}",  # after a line break it would start an optional argument
        **{character: "\\" + character for character in "&%$#_{}"},
    }
)


def render(view: View) -> str:
    """The whole report; needs `\\usepackage{booktabs}`."""
    alignment = "".join("l" if column.is_text else "r" for column in view.columns)
    heading, *rows = [
        " & ".join(line) + r" \\" for line in zip(*(_cells(column, view) for column in view.columns), strict=True)
    ]
    lines = [f"% {one_line(comment)}" for comment in _comments(view)]
    lines += [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", heading, r"\midrule", *rows]
    lines += [r"\bottomrule", r"\end{tabular}", *_confirmed(view.sweep)]
    return "\n".join(lines) + "\n"


def _confirmed(sweep: SweepRecord) -> list[str]:
    rows = [" & ".join(escape(cell).replace("±", r"$\pm$") for cell in row) + r" \\" for row in confirmed.table(sweep)]
    if not rows:
        return []
    comments = [f"% {one_line(sentence)}" for sentence in confirmed.sentences(sweep)]
    head = [rf"\begin{{tabular}}{{{'r' * len(confirmed.table(sweep)[0])}}}", r"\toprule", rows[0], r"\midrule"]
    return [*comments, *head, *rows[1:], r"\bottomrule", r"\end{tabular}"]


def escape(text: str) -> str:
    r"""Plain text as LaTeX source.

    >>> escape("18808_3"), escape("50% \\x")
    ('18808\\_3', '50\\% \\textbackslash{}x')
    """
    return text.translate(_SPECIAL)


def _cells(column: Column, view: View) -> list[str]:
    cells = [escape(column.heading)]
    for trial in view.rows:
        value = column.value(trial)
        cell = "--" if value is None else escape(column.format(trial, "")).replace("±", r"$\pm$")
        emphasised = view.is_best(trial) and not column.is_identity and value is not None
        cells.append(rf"\textbf{{{cell}}}" if emphasised else cell)
    return cells


def _comments(view: View) -> list[str]:
    comments = [r"\usepackage{booktabs}", f"sweep {view.sweep.name}: {states_text(view.sweep)}"]
    comments += failure_lines(view.sweep.trials)
    if shows_data(view.sweep.spec):
        comments.append(data_line(view.sweep.spec))
    comments += [f"warning: {warning}" for warning in view.sweep.warnings]
    if view.best is not None:
        best = best_of(view.sweep, view.best, view.best_point)
        at = "" if best.best_epoch is None else f", best at epoch {best.best_epoch}"
        comments += [
            *([] if best.point is None else [f"best point: {best.point.text}"]),
            f"best: trial {best.trial}, trained with {best.optimizer or best.command}{at}; {gpus_text(best)}",
        ]
    return comments
