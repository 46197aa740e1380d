"""`watch` and the option `--watch` where there is no terminal: lines, the result and the exit status."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from live_models import HOSTILE, make_live, running, usual, waiting

from unetsweep.app.start import SubmitResult
from unetsweep.cli import output, watching
from unetsweep.cli.main import program
from unetsweep.cli.terminal import has_colours, shows_blocks
from unetsweep.cli.watching import format_problems, format_progress, format_result
from unetsweep.core.failures import FailedTrials
from unetsweep.core.live import LiveSweep
from unetsweep.store.sweep_dir import SweepDir

FAILURES = (FailedTrials("no x", tuple(range(9))), FailedTrials("no y", (9,)))
Watch = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Run `unetsweep watch` of a sweep with these models, one after the other."""
    SweepDir(tmp_path / "results" / "grid").create("name: grid\n", "local")

    def run_watch(*models: LiveSweep, error: BaseException | None = None) -> Result:
        def rounds(directory: SweepDir, *, reconciles: bool) -> Iterator[LiveSweep]:
            assert not reconciles
            yield from models
            if error is not None:
                raise error

        monkeypatch.setattr(watching, "watch", rounds)
        return CliRunner().invoke(program, ["watch", "grid", "--results", str(tmp_path / "results")])

    return run_watch


def over(**more) -> LiveSweep:
    return make_live(is_over=True, **more)


def test_a_line_is_printed_for_each_change_and_the_result_at_the_end(run: Watch) -> None:
    first = make_live(running(1), running(2))
    done = run(first, first, make_live(running(1), complete=10), over(complete=11))
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "9 ended, 2 running, best 0.7412 (trial 3)",
        "10 ended, 1 running, best 0.7412 (trial 3)",
        "11 ended, 0 running, best 0.7412 (trial 3)",
        "grid: 11 complete",
        "best: trial 3, val_IoU 0.7412",
        "next: unetsweep report grid | unetsweep show grid/3",
    ]
    assert done.stderr == ""


def test_failed_trials_end_with_status_1_each_reason_once(run: Watch) -> None:
    done = run(over(failures=FAILURES))
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "9 trials failed (0, 1, 2, 3, 4, 5, 6, 7 …): no x",
        "1 trial failed (9): no y",
        "fix the cause, then run: unetsweep retry grid --failed",
    ]


@pytest.mark.parametrize(
    ("last", "status", "message"),
    [
        (over(), 0, ""),
        (over(limit="limit reached: 9 of 9 GPU-hours used"), 0, "limit reached: 9 of 9 GPU-hours used\n"),
        (over(paused="all failed: no x"), 1, "the sweep grid is paused: all failed: no x\n"),
        (
            over(paused="all failed: no x", failures=FAILURES),
            1,
            "1 trial failed (9): no y\nthe sweep grid is paused: all failed: no x\n",
        ),
        (make_live(*waiting(1, 2), is_over=True, problem="nobody continues it"), 1, "nobody continues it\n"),
        (over(complete=0, counts={"cancelled": 2}), 1, "no trial is complete\n"),
        (over(complete=0, counts={"diverged": 2}), 1, "no trial is complete\n"),
    ],
)
def test_the_status_says_whether_all_is_well(run: Watch, last: LiveSweep, status: int, message: str) -> None:
    done = run(last)
    assert (done.exit_code, done.stderr) == (status, message)


def test_ctrl_c_ends_only_the_view_with_status_0(run: Watch) -> None:
    done = run(make_live(running(1), failures=FAILURES), error=KeyboardInterrupt())
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == (
        "the trainings continue; see them again with: unetsweep watch grid; end them with: unetsweep cancel grid"
    )


@pytest.mark.parametrize(("last", "is_well"), [(over(), True), (over(failures=FAILURES), False)])
def test_the_option_watch_has_the_same_statuses(
    last: LiveSweep, is_well: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(watching, "watch", lambda _, *, reconciles: asked.append(reconciles) or iter([last]))
    started = SubmitResult(SweepDir(tmp_path / "grid"), None)
    assert output.print_started(started, watch=True) == is_well
    assert asked == [True]


def test_a_line_names_the_three_most_frequent_reasons() -> None:
    groups: Sequence = [
        waiting(0, 4, "submitted", "just submitted"),
        waiting(10, 3, "waiting", "all 2 slots are in use"),
    ]
    groups = [*groups, waiting(20, 2, "submitted", "held by you"), waiting(30, 1, "waiting", "another")]
    assert format_progress(make_live(running(50), *(trial for group in groups for trial in group))) == (
        "9 ended, 1 running, 4 waiting (just submitted), 3 waiting (all 2 slots are in use), 2 waiting (held by you), "
        "best 0.7412 (trial 3)"
    )


def test_a_line_says_how_many_were_pruned() -> None:
    live = make_live(running(1), counts={"complete": 4, "pruned": 5, "running": 1})
    assert format_progress(live) == "9 ended (5 pruned), 1 running, best 0.7412 (trial 3)"


def test_a_line_says_how_many_failed_and_in_one_word_that_the_sweep_is_paused() -> None:
    paused = make_live(*waiting(20, 5, "waiting", "paused: all failed: no x"), failures=FAILURES, complete=0)
    assert format_progress(paused) == "10 ended (10 failed), 0 running, 5 waiting (paused)"


def test_texts_from_outside_are_printed_as_texts(run: Watch) -> None:
    done = run(over(failures=(FailedTrials(HOSTILE, (0,)),), paused=HOSTILE, name="grid"), error=None)
    assert "\x1b" not in done.output
    assert re.search(r"paused: boom 0009", done.stderr)


def test_the_result_of_an_unfinished_sweep_names_what_is_left() -> None:
    assert next(iter(format_result(usual()))) == "grid: 9 complete, 3 failed, 4 running, 5 submitted, 9 waiting"
    assert list(format_problems(replace(usual(), failures=()))) == []


def test_a_sweep_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(program, ["watch", "nothing", "--results", str(tmp_path)])
    assert done.exit_code != 0
    assert "no sweep 'nothing'" in str(done.exception)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True),
        ({"TERM": "vt100"}, False),
        ({"TERM": "linux-m"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colours_are_used_if_they_are_wanted_and_there(environment: dict[str, str], expected: bool) -> None:
    assert has_colours(environment) == expected


@pytest.mark.parametrize(
    ("environment", "encoding", "expected"),
    [
        ({"LANG": "en_US.UTF-8"}, "utf-8", True),
        ({}, "utf-8", True),
        ({"LANG": "C"}, "utf-8", False),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, "utf-8", True),
        ({"LANG": "de_DE"}, "iso8859-1", False),
    ],
)
def test_blocks_are_used_if_the_locale_has_them(
    environment: dict[str, str], encoding: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", type("Stream", (), {"encoding": encoding})())
    assert shows_blocks(environment) == expected
