"""One trial in the live view: its learning curve, and below it the end of its log."""

from collections.abc import Sequence
from dataclasses import dataclass

from unetsweep.report.terminal_curve import HEIGHT, WIDTH, terminal_curve
from unetsweep.report.terminal_text import Line, Span, Terminal, fitted_line

KEYS = "Esc back · q quit; the trainings continue"
_BESIDE = 16
"""Cells beside a curve: its numbers."""
_LEAST_LOG = 3
"""Lines of the log that are more useful than a curve."""


@dataclass(frozen=True, slots=True)
class TrialPage:
    """What is known of the trial, as texts."""

    title: str
    reason: str
    metric: str
    curve: Sequence[tuple[int, float]]
    log: str
    """Path of its log, or why there is none."""
    log_lines: Sequence[str]


def trial_frame(page: TrialPage, terminal: Terminal) -> tuple[Line, ...]:
    """Return the lines of the page, which are no wider and no more than those of the terminal."""
    head = [fitted_line([Span(page.title, "bold")], terminal)]
    if page.reason:
        head.append(fitted_line([page.reason], terminal))
    foot = [fitted_line([Span(KEYS, "dim")], terminal)]
    left = terminal.height - len(head) - len(foot) - 1  # the path of the log
    width = min(2 * WIDTH, terminal.width - _BESIDE)
    curve = terminal_curve(page.curve, width=max(1, width), unicode=terminal.unicode) if width > 0 else []
    if curve and left >= HEIGHT + 2 + _LEAST_LOG:
        head += [fitted_line([Span(f"{page.metric} by epoch", "dim")], terminal)]
        head += [fitted_line([each], terminal) for each in curve]
        left -= len(curve) + 1
    else:
        curve = []
    log = page.log_lines[-left:] if left > 0 else []
    body = [fitted_line([Span(page.log, "dim")], terminal), *(fitted_line([each], terminal) for each in log)]
    body += [()] * (left - len(log))
    return tuple([*head, *body, *foot][: terminal.height])
