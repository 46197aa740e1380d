"""A booktabs tabular to put into a paper; all that is no table is a comment.

Rule 1: a text of somebody else's can neither end a cell, start a command nor end a comment.
"""

from unetsweep.analysis.rows import SweepRecord
from unetsweep.report import confirmed
from unetsweep.report.columns import Column, one_line
from unetsweep.report.summary import best_of, data_line, gpus_text, state_line
from unetsweep.report.view import View

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "[": "{[}",  # after a line end it would be read as an option of it
        **{character: "\\" + character for character in "&%$#_{}"},
    }
)


def render(shown: View) -> str:
    """The whole report; needs `\\usepackage{booktabs}`."""
    alignment = "".join("l" if column.is_text else "r" for column in shown.columns)
    heading, *rows = [
        " & ".join(line) + r" \\" for line in zip(*(_cells(column, shown) for column in shown.columns), strict=True)
    ]
    lines = [f"% {one_line(comment)}" for comment in _comments(shown)]
    lines += [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", heading, r"\midrule", *rows]
    lines += [r"\bottomrule", r"\end{tabular}", *_confirmed(shown.sweep)]
    return "\n".join(lines) + "\n"


def _confirmed(sweep: SweepRecord) -> list[str]:
    rows = [" & ".join(escape(cell).replace("±", r"$\pm$") for cell in row) + r" \\" for row in confirmed.cells(sweep)]
    if not rows:
        return []
    said = [f"% {one_line(sentence)}" for sentence in confirmed.sentences(sweep)]
    head = [rf"\begin{{tabular}}{{{'r' * len(confirmed.cells(sweep)[0])}}}", r"\toprule", rows[0], r"\midrule"]
    return [*said, *head, *rows[1:], r"\bottomrule", r"\end{tabular}"]


def escape(text: str) -> str:
    r"""Plain text as LaTeX that shows it.

    >>> escape("18808_3"), escape("50% \\x")
    ('18808\\_3', '50\\% \\textbackslash{}x')
    """
    return text.translate(_SPECIAL)


def _cells(column: Column, shown: View) -> list[str]:
    cells = [escape(column.heading)]
    for trial in shown.rows:
        value = column.value(trial)
        cell = "--" if value is None else escape(column.text(value))
        emphasised = trial is shown.best and not column.is_identity and value is not None
        cells.append(rf"\textbf{{{cell}}}" if emphasised else cell)
    return cells


def _comments(shown: View) -> list[str]:
    comments = [r"\usepackage{booktabs}", f"sweep {shown.sweep.name}: {state_line(shown.sweep.trials)}"]
    comments.append(data_line(shown.sweep.spec))
    comments += [f"warning: {warning}" for warning in shown.sweep.warnings]
    if shown.best is not None:
        best = best_of(shown.sweep, shown.best)
        at = "" if best.best_epoch is None else f", best at epoch {best.best_epoch}"
        comments.append(
            f"best: trial {best.trial}, trained with {best.optimizer or best.command}{at}; {gpus_text(best)}"
        )
    return comments
