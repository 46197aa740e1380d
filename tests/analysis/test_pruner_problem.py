"""A pruner whose metric the program never reports: `report` and `status` say so."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from unetsweep.cli import report, status
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, Result, TrainerConfig, TrialConfig
from unetsweep.core.pruning import ENOUGH_EPOCHS, why_nothing_was_pruned
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import RunSpec, StudySpec, SweepSpec
from unetsweep.store.sweep_dir import SweepDir

DATA, MESSAGE = DataConfig("images"), "nothing is pruned: the pruner asha compares val_iou"


def sweep(root: Path, epochs: Iterable[dict[str, float]], *, has_ended: bool, command: str | None = "x") -> SweepDir:
    """A sweep with one training that reported these epochs."""
    space = Space.of(epochs=Choices((99,)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,)))
    made = SweepDir(root / "s")
    spec = SweepSpec("s", DATA, space, StudySpec(pruner="asha"), trainer=TrainerConfig(command=command))
    made.create(as_yaml(spec), "local")
    made.add_trials([TrialConfig(DATA, 99, 4, 1e-3)], {})
    run = made.root / "runs/0000"
    run.mkdir(parents=True)
    lines = [json.dumps({"epoch": epoch, **each}) for epoch, each in enumerate(epochs, 1)]
    (run / "progress-1-0.jsonl").write_text("".join(f"{line}\n" for line in lines))
    if has_ended:
        made.end_trial(0, Result(val_iou=0.5))
    return made


def texts(made: SweepDir) -> list[str]:
    done = [CliRunner().invoke(each, [str(made.root)]) for each in (report.command, status.command)]
    assert [each.exit_code for each in done] == [0, 0], [each.output for each in done]
    return [each.output for each in done]


@pytest.mark.parametrize(("count", "has_ended"), [(2, True), (0, True), (ENOUGH_EPOCHS, False)])
def test_report_and_status_say_that_nothing_can_be_pruned(count: int, has_ended: bool, tmp_path: Path):
    made = sweep(tmp_path, [{"loss": 0.5}] * count, has_ended=has_ended)
    assert all(text.count(MESSAGE) == 1 for text in texts(made))


SHORT = "nothing was pruned: the trainings ended before the next reconciliation (run.reconcile_interval: 60 s); set a"
COMPLETE, PRUNED = Result(val_iou=0.5, seconds=59), Result("pruned", val_iou=0.1, seconds=9)
SLOW = Result(val_iou=0.5, seconds=60)


@pytest.mark.parametrize(
    ("results", "command", "warns"),
    [
        ([COMPLETE, COMPLETE], "x", True),
        ([COMPLETE, COMPLETE], None, True),
        ([Result(val_iou=0.5), COMPLETE], "x", True),  # the lines of progress say how long it took
        ([COMPLETE], "x", False),
        ([COMPLETE, SLOW], "x", False),
        ([COMPLETE, COMPLETE, PRUNED], "x", False),
        ([Result(val_iou=0.5)] * 2, None, False),  # nothing says how long they took
    ],
)
def test_trainings_that_end_before_they_are_compared_are_named(
    results: list[Result], command: str | None, warns: bool, tmp_path: Path
):
    made = sweep(tmp_path, [], has_ended=False, command=command)
    made.add_trials([TrialConfig(DATA, 99, 4, 1e-3, seed=number) for number in range(1, len(results))], {})
    for number, result in enumerate(results):
        made.end_trial(number, result)
        run = made.root / f"runs/{number:04}"
        run.mkdir(parents=True, exist_ok=True)
        if command is not None:
            (run / "progress-1-0.jsonl").write_text('{"epoch": 1, "val_iou": 0.5, "seconds": 8}\n')
    assert [text.count(SHORT) for text in texts(made)] == [int(warns)] * 2


def test_the_advice_fits_the_interval_and_who_reconciles() -> None:
    asha = StudySpec(pruner="asha")
    message = why_nothing_was_pruned(asha, RunSpec(reconcile_interval=5), [1, 2]) or ""
    assert message.endswith("(run.reconcile_interval: 5 s); none is shorter, so leave the pruner out")
    assert why_nothing_was_pruned(asha, RunSpec(driver="cli"), [1, 2]) is None
    assert why_nothing_was_pruned(StudySpec(), RunSpec(), [1, 2]) is None


@pytest.mark.parametrize(
    ("epochs", "has_ended", "command"),
    [
        ([{"val_iou": 0.5}], True, "x"),
        ([{"loss": 0.5}] * (ENOUGH_EPOCHS - 1), False, "x"),  # it may validate every tenth epoch
        ([{"loss": 0.5}], True, None),  # the built-in trainer
    ],
)
def test_there_is_no_warning_about_a_pruner_that_can_work(
    epochs: list[dict[str, float]], has_ended: bool, command: str | None, tmp_path: Path
):
    assert all(
        "nothing is pruned" not in text for text in texts(sweep(tmp_path, epochs, has_ended=has_ended, command=command))
    )
