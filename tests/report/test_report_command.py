"""`unetsweep report` on a real sweep directory."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from unetsweep.cli.report import command
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, Result, Split, TrialConfig
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import SweepSpec
from unetsweep.report.columns import COLUMNS
from unetsweep.store.sweep_dir import SweepDir

SCORES = (0.25, 0.75)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with the sweep `eyes`: two trials complete, one not submitted."""
    data = DataConfig(root=str(tmp_path), split=Split(groups="none"))
    spec = SweepSpec(
        "eyes", data, Space.of(epochs=Choices((8, 16, 32)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,)))
    )
    directory = SweepDir(tmp_path / "results" / "eyes")
    directory.create(as_yaml(spec), "local")
    directory.add_trials([TrialConfig(data, epochs, 4, 1e-3) for epochs in (8, 16, 32)], {"sampler": "grid"})
    for number, score in enumerate(SCORES):
        directory.end_trial(number, Result(trial=number, job_id=str(100 + number), val_iou=score, best_epoch=7))
    return tmp_path / "results"


def report(results: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "unetsweep", "report", "--results", str(results), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_newest_sweep_is_printed_with_its_best_row_its_states_and_its_warning(results: Path) -> None:
    done = report(results, "--format", "markdown")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert done.stderr == ""
    assert lines[2:5] == [
        "|    100 |      8 |          4 |         1e-03 |  0.2500 |        - |        - |         - |",
        "|    101 | **16** |      **4** |     **1e-03** | **0.7500** |        - |        - |         - |",
        "|      - |     32 |          4 |         1e-03 |       - |        - |        - |         - |",
    ]
    assert "2 complete, 1 waiting" in lines
    assert any(line.startswith("Warning: groups: none") for line in lines)
    assert "At epoch **7** the model has the best performance with:" in lines


def test_the_report_folder_of_the_sweep_holds_the_same_rows(results: Path) -> None:
    everything = ",".join(COLUMNS)  # without the costs, which a reconciliation does not read
    printed = report(results, "eyes", "--format", "json", "--columns", everything).stdout
    assert json.loads((results / "eyes/report/results.json").read_text()) == json.loads(printed)
    assert [row["val_iou"] for row in json.loads(printed)["rows"]] == [*SCORES, None]


def test_a_report_is_printed_even_if_the_report_folder_cannot_be_written(results: Path) -> None:
    (results / "eyes/report").write_text("not a folder")
    assert report(results, "eyes").returncode == 0


def test_with_output_the_report_goes_into_the_file_and_not_to_the_terminal(results: Path, tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    done = report(
        results, "--format", "csv", "--columns", "trial, val_iou", "--sort", "-val_iou", "--output", str(target)
    )
    assert done.stdout == ""
    assert target.read_text() == "trial,val_iou\n1,0.75\n0,0.25\n2,\n"


def test_a_page_is_printed_and_stored(results: Path) -> None:
    done = report(results, "--format", "html")
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout == (results / "eyes/report/index.html").read_text()


def test_on_a_terminal_only_the_path_of_the_page_is_printed(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("unetsweep.cli.report.sys", terminal)
    done = CliRunner().invoke(command, ["--results", str(results), "--format", "html"])
    page = results / "eyes/report/index.html"
    assert done.output == f"The page is {page}: open it in a browser, or write it elsewhere with --output FILE\n"
    assert page.is_file()


def test_top_limits_the_rows(results: Path) -> None:
    assert report(results, "--format", "csv", "--columns", "trial", "--top", "1").stdout == "trial\n1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "val_ious"], "did you mean 'val_iou'?"),
        (["--sort", "-los"], "there is no column 'los'"),
        (["elsewhere"], "no sweep 'elsewhere'"),
        (["--top", "0"], "--top"),
        (["--format", "pdf"], "pdf"),
    ],
)
def test_wrong_arguments_are_refused_without_a_traceback(results: Path, arguments: list[str], message: str) -> None:
    done = report(results, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_corrupt_result_is_named_without_a_traceback(results: Path) -> None:
    corrupt = results / "eyes/trials/0001/result.json"
    corrupt.write_text("{")
    done = report(results, "--format", "json")
    assert done.returncode == 0
    assert f"{corrupt}: not readable as JSON" in done.stdout
    assert "unetsweep repair eyes" in done.stdout
    assert "Traceback" not in done.stderr
