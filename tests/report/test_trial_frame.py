"""One trial in the live view: its curve and the end of its log."""

import pytest
from live_models import HOSTILE, running
from rich.cells import cell_len

from unetsweep.report.terminal_text import Terminal, plain
from unetsweep.report.trial_frame import TrialPage, trial_frame

LOG = [f"line {i}" for i in range(99)]
PAGE = TrialPage("trial 5 of grid: running", "", "val_IoU", running(5).curve, "/results/grid/x.log", LOG)


def lines_of(page: TrialPage, terminal: Terminal) -> list[str]:
    lines = [plain(line) for line in trial_frame(page, terminal)]
    assert len(lines) == terminal.height
    assert all(cell_len(line) <= terminal.width and line.isprintable() for line in lines)
    return lines


def test_the_curve_stands_above_the_last_lines_of_the_log() -> None:
    lines = lines_of(PAGE, Terminal(80, 24))
    assert lines[:2] == ["trial 5 of grid: running", "val_IoU by epoch"]
    assert lines[8] == "        epoch 1 to 14"
    assert lines[9] == "/results/grid/x.log"
    assert lines[10:-1] == LOG[-13:]


def test_a_low_terminal_shows_the_log_without_the_curve() -> None:
    lines = lines_of(PAGE, Terminal(80, 10))
    assert lines[:2] == ["trial 5 of grid: running", "/results/grid/x.log"]
    assert lines[2:-1] == LOG[-7:]


@pytest.mark.parametrize("width", [1, 20, 80, 160])
@pytest.mark.parametrize("height", [1, 3, 24])
def test_hostile_texts_stay_within_the_page(width: int, height: int) -> None:
    page = TrialPage(HOSTILE, HOSTILE, HOSTILE, [(1, float("nan")), (2, 0.5)], HOSTILE, [HOSTILE] * 40)
    for unicode in (True, False):
        lines_of(page, Terminal(width, height, unicode))
