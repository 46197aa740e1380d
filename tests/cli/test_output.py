"""How commands print events and states."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from unetsweep.app import retry as retry_app
from unetsweep.app.events import (
    ActionApplied,
    Event,
    ImagesRead,
    ImagesSplit,
    LeaseHeld,
    RunsShared,
    TrialsLeft,
    TrialsReopened,
    WarningEvent,
    WorkLeft,
)
from unetsweep.app.repair import Repair
from unetsweep.app.start import SubmitResult, SweepState
from unetsweep.cli import exit_hook, main, periodic, reconciler_job, repair
from unetsweep.cli.echo import echo_log
from unetsweep.cli.output import print_event, print_started, print_warning
from unetsweep.contract import Result
from unetsweep.core.actions import Element as Part
from unetsweep.core.actions import MarkLost, Submit
from unetsweep.core.causes import Cause
from unetsweep.core.estimate import Estimate
from unetsweep.core.live_text import format_some
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import DataError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import printable_log


@pytest.mark.parametrize(
    ("items", "separator", "text"),
    [((), ", ", ""), (range(3), ", ", "0, 1, 2"), (range(99), " ", "0 1 2 3 4 5 6 7 …")],
)
def test_a_long_list_is_shortened(items: range, separator: str, text: str):
    assert format_some(items, separator) == text


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            ImagesSplit(60, 20, 20, 20, "eyes.csv"),
            "images: 60 train, 20 validate, 20 test; 20 groups by eyes.csv, each in one of train and validate only",
        ),
        (ImagesSplit(6, 2, 0, 1, "x", is_clean=False), "images: 6 train, 2 validate, none test; 1 group by x"),
        (
            ImagesSplit(6, 2, 3, 8, None),
            "images: 6 train, 2 validate, 3 test; not grouped, because data.split.groups is none",
        ),
        (
            RunsShared(20, 4, 8000, 4000),
            "20 trials share 4 runs, because they differ only in epochs: 4000 of 8000 epochs are trained",
        ),
        (
            WorkLeft(Estimate(1.5, 3.0, 10**9, "3 trials"), True),
            "left to train: GPU-hours 1.50, disk 1.0 GB (3 trials)",
        ),
    ],
)
def test_a_submit_explains_itself_in_one_line_for_each_subject(
    event: Event, line: str, capsys: pytest.CaptureFixture[str]
):
    print_event(event)
    assert capsys.readouterr().out == f"{line}\n"


def test_output_for_programs_has_warnings_only(capsys: pytest.CaptureFixture[str]):
    for event in (ImagesRead("data"), ImagesSplit(6, 2, 3, 8, None), RunsShared(2, 1, 3, 2), WarningEvent("odd")):
        print_warning(event)
    assert capsys.readouterr() == ("", "warning: odd\n")


def test_what_a_retry_leaves_is_named_by_state_with_the_command_that_asks_for_it(capsys: pytest.CaptureFixture[str]):
    left = {"complete": tuple(range(9)), "pruned": (9, 10), "stopping": (11,), "open": (12,)}
    print_event(TrialsLeft("s", left))
    assert capsys.readouterr().out.splitlines() == [
        "not retried: 9 complete trials (0, 1, 2, 3, 4, 5, 6, 7 …): a trial with a result is not retried; "
        "with new seeds: `unetsweep confirm s`",
        "not retried: 2 pruned trials (9, 10): only if you name them: `unetsweep retry s 9 10`",
        "not retried: 1 stopping trial (11): cancelled, and its job has not ended yet; when it has: "
        "`unetsweep retry s 11`",
        "not retried: 1 open trial (12): it has not ended; it trains without a retry, and its earlier attempts no "
        "longer count",
    ]


@pytest.mark.parametrize(
    ("named", "failed", "cancelled", "chosen", "expected"),
    [
        ((), False, False, [1], {"complete": (0,), "cancelled": (2,), "stopping": (4,)}),
        ((2, 3, 4), False, False, [2], {"open": (3,), "stopping": (4,)}),
        ((3,), True, False, [1], {"complete": (0,), "cancelled": (2,), "open": (3,), "stopping": (4,)}),
        ((2, 2), False, False, [2], {}),
        ((), False, True, [2], {"complete": (0,), "failed": (1,), "stopping": (4,)}),
        ((), True, True, [1, 2], {"complete": (0,), "stopping": (4,)}),
    ],
)
def test_a_retry_knows_which_trials_it_does_not_take(
    named: tuple[int, ...], failed: bool, cancelled: bool, chosen: list[int], expected: dict[str, tuple[int, ...]]
):
    states = ("complete", "failed", "cancelled", None, None)
    known = [
        StoredTrial(number, number, result=None if state is None else Result(state=state), cancelled=number == 4)
        for number, state in enumerate(states)
    ]
    wanted = retry_app._wanted(named, failed=failed, cancelled=cancelled)
    assert retry_app._choose("s", known, named, wanted) == chosen
    assert retry_app._left(known, chosen, named, is_by_state=bool(wanted)) == expected


def test_many_jobs_are_a_range_and_an_ended_sweep_has_no_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    directory = SweepDir(tmp_path / "s")
    print_started(SubmitResult(directory, SweepState(0, 9, tuple(f"7_{index}" for index in range(9)), 0, None)))
    assert capsys.readouterr().out.startswith("0 ended, 9 open; jobs: 7_0 … 7_8 (9)\nnext: unetsweep status s | ")
    print_started(SubmitResult(directory, SweepState(9, 0, (), 0, None)))
    assert capsys.readouterr().out == (
        "9 ended, 0 open; jobs: none\n"
        f"nothing is left to train; next: unetsweep report {directory.name} | unetsweep retry {directory.name}\n"
    )
    print_started(SubmitResult(directory, None))
    assert capsys.readouterr().out.startswith("next: ")


def test_results_go_to_stdout_and_warnings_to_stderr(capsys: pytest.CaptureFixture[str]):
    for event in (
        ActionApplied(Submit((Part(0, 1, ((0, 8),)),), None, "1 ready")),
        ActionApplied(MarkLost(0, 1, "node failure", Cause.NODE)),
        TrialsReopened("s", (3, 4), from_scratch=(4,)),
        WarningEvent("the clock is late"),
        LeaseHeld(),
    ):
        print_event(event)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "submit   run 0000 (1 job): 1 ready",
        "lost     run 0000 attempt 1: node failure",
        "2 trials of s are open again: 3, 4",
        "run.keep_checkpoints or repair removed the checkpoint, so these train from scratch: 0004",
    ]
    assert printed.err.splitlines() == [
        "warning: the clock is late",
        "another reconciliation is running; it will take care of this sweep",
    ]


HOSTILE = "failed\n  0009  complete\x1b]0;title\x07\x1b[2J\x1b[31m\u202e\u200b\x9b1A\udcff"


def test_a_text_from_outside_is_one_line_without_control_of_the_terminal(capsys: pytest.CaptureFixture[str]):
    print_event(WarningEvent(HOSTILE))
    print_event(ActionApplied(MarkLost(0, 1, HOSTILE, Cause.NODE)))
    printed = capsys.readouterr()
    assert printed.err == "warning: failed   0009  complete\\u202e\\u200b\\udcff\n"
    assert printed.out == "lost     run 0000 attempt 1: failed   0009  complete\\u202e\\u200b\\udcff\n"


def test_an_error_keeps_its_lines_but_no_problem_of_it_can_add_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail() -> None:
        raise DataError("eyes", [HOSTILE, "second"])

    monkeypatch.setattr(main, "program", fail)
    with pytest.raises(SystemExit):
        main.main()
    assert capsys.readouterr().err.splitlines() == [
        "unetsweep: eyes: failed   0009  complete\\u202e\\u200b\\udcff",
        "eyes: second",
    ]


def test_a_log_keeps_its_colours_and_progress_bars_only(capsys: pytest.CaptureFixture[str]):
    text = "\x1b[1;31mred\x1b[0m\t50%|█▏|\r100%\r\n\x1b]52;c;cm0=\x07\x1b[2J\x1b[6n\x9b6n\x1bc\x08\u202e\udcffend"
    for pieces in ([text], [*text]):
        assert "".join(printable_log(pieces)) == "\x1b[1;31mred\x1b[0m\t50%|█▏|\r100%\r\n\\x08\\u202e\\udcffend"
    echo_log([text])
    assert capsys.readouterr().out == "red\t50%|█▏|\r100%\r\n\\x08\\u202e\\udcffend"  # no colours in a file


@pytest.mark.parametrize(
    ("module", "use_case", "begin"),
    [
        (exit_hook, "run_exit_hook", "reconciled: "),
        (periodic, "reconcile_if_due", "periodic: "),
        (reconciler_job, "run_reconciler_job", "reconciler: "),
        (repair, "repair_sweep", ""),
    ],
)
def test_a_job_prints_its_actions_as_a_submit_does(
    module: ModuleType, use_case: str, begin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def act(*positional: Any, on_action: Any = None, **_: object) -> Repair:
        (on_action or positional[-1])(Submit((Part(0, 1, ((0, 8),)),), None, "1 ready"))
        return Repair("s", ())

    monkeypatch.setattr(module, use_case, act)
    more = () if module in (periodic, repair) else ("0123456789ab",)
    done = CliRunner().invoke(module.command, [str(tmp_path), *more])
    assert done.output.splitlines()[0] == f"{begin}submit   run 0000 (1 job): 1 ready", done.exception
