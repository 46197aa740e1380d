"""A pruner whose metric the program never reports: `report` and `status` say so."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from unetsweep.cli import report, status
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, Result, TrainerConfig, TrialConfig
from unetsweep.core.pruning import ENOUGH_EPOCHS
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import StudySpec, SweepSpec
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
