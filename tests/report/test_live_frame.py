"""The live view as lines of a terminal."""

from dataclasses import replace
from datetime import timedelta

import pytest
from live_models import BUSY, HOSTILE, NOW, make_live, running, usual, waiting
from rich.cells import cell_len

from unetsweep.core.end_estimate import EndEstimate
from unetsweep.core.failures import FailedTrials
from unetsweep.core.live import LiveSweep, LiveTrial, SweepEvent
from unetsweep.report.live_frame import live_frame, neighbour, rows_of
from unetsweep.report.terminal_text import Line, Terminal, plain

SMALL, LARGE = Terminal(80, 24), Terminal(160, 50)
ASCII = Terminal(80, 24, unicode=False)
MANY = make_live(*(running(number) for number in range(1000)))


def lines_of(
    sweep: LiveSweep, terminal: Terminal = SMALL, selected: int | None = None, seconds: float = 0
) -> list[str]:
    frame = live_frame(sweep, terminal, NOW + timedelta(seconds=seconds), selected)
    check_size(frame, terminal)
    return [plain(line) for line in frame]


def check_size(frame: tuple[Line, ...], terminal: Terminal) -> None:
    assert len(frame) == terminal.height
    for line in frame:
        assert plain(line).isprintable()
        assert cell_len(plain(line)) <= terminal.width
        assert terminal.unicode or plain(line).isascii()


def test_a_small_terminal_shows_everything_that_matters() -> None:
    lines = lines_of(usual())
    assert lines[0].startswith("grid on slurm · as of ")
    assert lines[1].startswith("█")
    assert "12 of 30 trials ended · ends in 10 min to 25 min" in lines[1]
    assert lines[2] == "3 failed · 4 running · 5 submitted · 9 waiting · 9 complete"
    assert lines[3] == "best: trial 3, val_IoU 0.7412 · 3.20 GPU-hours used"
    rows = [line.split()[0] for line in lines[5:14]]
    assert rows == ["failed:", "failed:", "trial", "0005", "0006", "0007", "0008", "5", "9"]
    assert lines[5].endswith("2 trials (0, 2): CUDA out of memory (see runs/0000/error-0.json)")
    assert f"  5 submitted, may start at {(NOW + timedelta(hours=2)).astimezone():%H:%M}: {BUSY}"[:70] in lines[12]
    assert lines[13] == "  9 waiting: all 4 slots are in use"
    assert lines[-4].endswith("trial 19 complete")


def test_what_the_end_is_estimated_from_is_left_out_where_it_does_not_fit() -> None:
    sweep = replace(usual(), end=EndEstimate((600, 1500), "from 2 running trainings"))
    assert lines_of(sweep)[1].endswith("ends in 10 min to 25 min")
    assert lines_of(sweep, LARGE)[1].endswith("ends in 10 min to 25 min (from 2 running trainings)")


def test_a_running_trial_has_its_epoch_scores_curve_and_node_and_an_old_one_its_age() -> None:
    lines = lines_of(usual())
    heading = next(line for line in lines if line.lstrip().startswith("trial "))
    assert heading.split() == ["trial", "progress", "epoch", "val_IoU", "best", "curve", "reported", "node", "job"]
    old, new = (next(line for line in lines if line.startswith(f"  {number}")) for number in ("0005", "0006"))
    assert old.split()[2:4] == ["14/50", "0.6814"]
    assert "6 min ago" in old
    assert "ago" not in new
    assert any(sign in new for sign in "▁▂▃▄▅▆▇█")


def test_columns_are_left_out_where_there_is_no_room_and_a_line_says_which() -> None:
    wide = make_live(*(replace(each, node="compute-node-0123", job_id="188081234_99") for each in usual().running))
    assert "columns" not in lines_of(wide, LARGE)[-2]
    assert lines_of(wide)[-2] == "left out here: columns job"
    narrow = lines_of(wide, Terminal(40, 24))
    assert narrow[-2].startswith("left out here: columns progress, best, ")
    assert any(line.startswith("  0005   14/50") for line in narrow)


def test_of_many_running_trials_those_around_the_selected_one_are_visible_and_the_others_counted() -> None:
    for terminal in (SMALL, LARGE, ASCII):
        lines = lines_of(MANY, terminal, selected=500)
        visible = [line for line in lines if line[2:6].isdigit()]
        assert [line[:6] for line in visible if line.startswith(">")] == ["> 0500"]
        assert f"{1000 - len(visible)} running trials" in lines[-2]


def test_many_reasons_of_failures_do_not_hide_the_running_trials() -> None:
    reasons = tuple(FailedTrials(f"reason {chr(97 + i)}", (i,)) for i in range(30))
    sweep = make_live(*(running(40 + i) for i in range(30)), failures=reasons)
    lines = lines_of(sweep)
    assert 5 < sum(line.startswith("  failed:") for line in lines) < 10
    assert 5 < sum(line[2:6].isdigit() for line in lines) < 10
    assert "reasons of failures; " in lines[-2]
    assert any(line.startswith("> failed: 1 trial (29): reason") for line in lines_of(sweep, selected=29))


def test_more_reasons_to_wait_than_there_is_room_for_are_counted() -> None:
    trials = [trial for i in range(9) for trial in waiting(10 * i, 9 - i, "waiting", f"reason {chr(97 + i)}")]
    assert lines_of(make_live(*trials))[-2] == "left out here: 21 waiting trials for 6 other reasons"


@pytest.mark.parametrize("height", [1, 2, 5, 7, 9, 12, 24, 50])
@pytest.mark.parametrize("width", [1, 10, 39, 80, 160])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_wider_and_no_view_higher_than_the_terminal(width: int, height: int, unicode: bool) -> None:
    for sweep in (usual(), MANY, make_live(complete=0, end=EndEstimate(None, "unknown until a training runs"))):
        for selected in (None, 0, 7, 999):
            lines_of(sweep, Terminal(width, height, unicode), selected)


@pytest.mark.parametrize("terminal", [SMALL, LARGE, ASCII])
def test_hostile_texts_stay_texts_on_one_line(terminal: Terminal) -> None:
    sweep = make_live(
        replace(running(1), node=HOSTILE, job_id=HOSTILE),
        *waiting(5, 2, "waiting", HOSTILE),
        failures=(FailedTrials(HOSTILE, (0,)),),
        name=HOSTILE,
        scheduler_error=HOSTILE,
        paused=HOSTILE,
        problem=HOSTILE,
        limit=HOSTILE,
        metric=HOSTILE,
        events=(SweepEvent(NOW, HOSTILE),),
    )
    assert "\x1b" not in "".join(lines_of(sweep, terminal))


def test_a_paused_sweep_an_unreadable_trial_and_a_limit_have_lines() -> None:
    unreadable = LiveTrial(7, "waiting", "trials/0007/trial.json: not readable as JSON: run `unetsweep repair grid`")
    lines = lines_of(make_live(unreadable, paused="all failed: no x", limit="limit reached: 9 of 9 GPU-hours used"))
    assert "paused: all failed: no x" in lines
    assert "limit reached: 9 of 9 GPU-hours used" in lines
    assert any(line.startswith("  1 waiting: trials/0007/trial.json: not readable as JSON: run `") for line in lines)


def test_a_scheduler_that_does_not_answer_has_a_line_with_the_age_of_the_last_answer() -> None:
    sweep = replace(usual(), scheduler_error="squeue gave no answer within 20 s", at=NOW + timedelta(seconds=300))
    line = lines_of(sweep, LARGE, seconds=300)[4]
    assert line.startswith("the scheduler does not answer; the states of jobs are those of ")
    assert line.endswith(", 5 min ago: squeue gave no answer within 20 s")
    assert "those of their files: " in lines_of(replace(sweep, answered_at=None), LARGE)[4]


def test_an_observation_that_is_old_has_an_age() -> None:
    assert "ago" not in lines_of(usual(), seconds=100)[0]
    assert lines_of(usual(), seconds=200)[0].endswith(", 3 min ago")


def test_only_signs_of_ascii_are_used_if_the_terminal_shows_no_others() -> None:
    lines = lines_of(usual(), ASCII)
    assert lines[1].startswith("#########....")
    assert "_" in next(line for line in lines if line.startswith("  0006"))


def test_colours_mark_failures_and_the_selected_row_is_reversed() -> None:
    styles = {
        plain(line).split(":")[0].strip(): [span.style for span in line] for line in live_frame(usual(), SMALL, NOW)
    }
    assert styles["failed"] == ["", "red"]
    (selected,) = [line for line in live_frame(usual(), SMALL, NOW, 7) if line and line[0].style == "reverse"]
    assert plain(selected).startswith("> 0007")


def test_arrows_move_within_the_rows() -> None:
    rows = rows_of(usual())
    assert [row.trial for row in rows] == [0, 4, 5, 6, 7, 8]
    assert neighbour(rows, None, 1) == 0
    assert [neighbour(rows, 4, step) for step in (-1, 1, -9, 99)] == [0, 5, 0, 8]
    assert neighbour(rows, 999, 1) == 0  # the trial has ended
    assert neighbour([], 4, 1) is None


def test_a_program_without_epochs_and_progress_has_no_empty_columns() -> None:
    trial = LiveTrial(1, "running", "running", "7", "n1")
    heading = next(line for line in lines_of(make_live(trial)) if line.lstrip().startswith("trial "))
    assert heading.split() == ["trial", "val_IoU", "best", "node", "job"]


def test_a_long_reason_keeps_its_end_with_the_last_message_of_the_program() -> None:
    reason = (
        f"the trainer command ended with status 1 and wrote no result.json: `{'x' * 200}`; its last message: width 13"
    )
    sweep = make_live(failures=(FailedTrials(reason, (3,)),))
    (row,) = [line for line in lines_of(sweep) if "failed: 1 trial" in line]
    assert row.rstrip().endswith("last message: width 13")
