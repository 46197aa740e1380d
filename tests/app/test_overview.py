"""`unetsweep list`: one row for each sweep, whatever state it is in."""

import json
import os
from pathlib import Path

import pytest
import small_sweeps
from click.testing import CliRunner

from unetsweep.app import reconcile
from unetsweep.app.overview import list_sweeps, summarise
from unetsweep.cli.main import program
from unetsweep.core import paths
from unetsweep.core.sweep_state import SweepState
from unetsweep.store.sweep_dir import SweepDir


def states(results: Path) -> dict[str, SweepState]:
    return {each.name: each.state for each in list_sweeps(results)}


def ended(results: Path, name: str = "s", *scores: float | None) -> SweepDir:
    """A sweep whose trials have ended with these scores (None: failed)."""
    directory = small_sweeps.make_sweep(results, name, [8 * (at + 1) for at in range(len(scores))])
    for number, score in enumerate(scores):
        small_sweeps.end(directory, number, str(number), score)
    return directory


def test_each_sweep_has_the_state_of_its_trials(tmp_path: Path) -> None:
    small_sweeps.make_sweep(tmp_path, "waiting", (8,))
    running = small_sweeps.make_sweep(tmp_path, "running", (8,))
    small_sweeps.submit(running, 0, "5", (0, 8))
    small_sweeps.claim(running, 0, "5")
    ended(tmp_path, "complete", 0.5, None)
    ended(tmp_path, "failed", None)
    cancelled = small_sweeps.make_sweep(tmp_path, "cancelled", (8,))
    small_sweeps.end(cancelled, 0, None, state="cancelled")
    ended(tmp_path, "inner", 0.5)
    ended(tmp_path / "inner", "confirm", 0.25)
    (ended(tmp_path, "damaged", 0.5).root / "sweep.yaml").write_text("space: {")
    (ended(tmp_path, "gone", 0.5).root / "sweep.json").unlink()

    assert states(tmp_path) == {
        "waiting": SweepState.WAITING,
        "running": SweepState.RUNNING,
        "complete": SweepState.COMPLETE,
        "failed": SweepState.FAILED,
        "cancelled": SweepState.CANCELLED,
        "inner": SweepState.COMPLETE,
        "inner/confirm": SweepState.COMPLETE,
        "damaged": SweepState.DAMAGED,
        "gone": SweepState.DAMAGED,
    }


def test_a_sweep_whose_first_trials_all_failed_alike_is_paused_and_says_why(tmp_path: Path) -> None:
    directory = small_sweeps.make_sweep(tmp_path, "s", (8, 16, 32, 64))
    for number in range(3):
        small_sweeps.submit(directory, number, str(number), (number, 8 * 2**number))
        small_sweeps.fail(directory, number, "no module named albumentations")
        small_sweeps.end(directory, number, str(number), message="see error-0.json")
    (found,) = list_sweeps(tmp_path)

    assert found.state is SweepState.PAUSED
    assert "no module named albumentations" in (found.problem or "")


def test_the_list_shows_trials_best_score_and_problems(tmp_path: Path) -> None:
    results = small_sweeps.make_results(tmp_path)
    (results / "one/trials/0000/trial.json").write_text("{")
    done = CliRunner().invoke(program, ["list", "--results", str(results)])
    lines = {line.split()[0]: line for line in done.output.splitlines()}

    assert done.exit_code == 0, done.output
    assert lines["sweep"].split() == [
        "sweep",
        "state",
        "complete",
        "pruned",
        "failed",
        "open",
        "of",
        "best",
        "metric",
        "age",
        "used",
    ]
    assert lines["grid"].split()[:9] == ["grid", "waiting", "2", "0", "1", "1", "4", "0.7500", "val_IoU"]
    assert lines["one:"] == "one: 1 trial has unreadable files; run `unetsweep repair one`"


def test_a_sweep_with_repeats_has_the_mean_of_its_best_point(tmp_path: Path) -> None:
    directory = small_sweeps.make_sweep(tmp_path, "s", (8, 8, 16, 16), repeats=2)
    for number, score in enumerate((0.9, 0.1, 0.75, 0.5)):
        small_sweeps.end(directory, number, str(number), score)
    done = CliRunner().invoke(program, ["list", "--results", str(tmp_path), "--json"])
    (found,) = json.loads(done.output)["sweeps"]
    assert found["best"] == {"trial": 2, "score": 0.625}, "the best point's mean, as in a report"


def test_the_json_has_a_row_for_a_damaged_sweep_too(tmp_path: Path) -> None:
    results = small_sweeps.make_results(tmp_path)
    (results / "two/sweep.yaml").write_text("space: {")
    done = CliRunner().invoke(program, ["list", "--results", str(results), "--json"])
    found = {each["sweep"]: each for each in json.loads(done.output)["sweeps"]}

    assert found["grid"]["best"] == {"trial": 0, "score": 0.75}
    assert (found["grid"]["open"], found["grid"]["wanted"], found["grid"]["gpu_hours"]) == (1, 4, None)
    assert found["two"]["state"] == "damaged"
    assert found["two"]["trials"] is None
    assert "unetsweep repair two" in found["two"]["problem"]


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_without_a_sweep_the_list_says_how_to_start_one(folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(program, ["list", "--results", str(tmp_path / folder)])
    assert done.exit_code == 0
    assert "start one with `unetsweep submit" in done.output


# ---- the stored summary


def test_an_ended_sweep_is_read_once_until_one_of_its_files_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = ended(tmp_path, "s", 0.5, 0.25)
    read: list[Path] = []
    real = summarise.__globals__["read_sweep_record"]
    monkeypatch.setattr("unetsweep.app.overview.read_sweep_record", lambda root: (read.append(root), real(root))[1])
    for expected in (1, 1):
        assert summarise(directory.root).score == 0.5
        assert len(read) == expected
    (directory.root / "trials/0000/result.json").unlink()  # as `retry` does
    small_sweeps.end(directory, 0, "9", 0.75)

    assert summarise(directory.root).score == 0.75
    assert len(read) == 2
    assert summarise(directory.root).score == 0.75
    assert len(read) == 2


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}', '{"schema": 1, "files": "2-0", "states": {}}'])
def test_a_summary_that_cannot_be_read_is_made_again(content: str, tmp_path: Path) -> None:
    directory = ended(tmp_path, "s", 0.5)
    wanted = summarise(directory.root)
    (directory.root / paths.SUMMARY).write_text(content)
    assert summarise(directory.root) == wanted
    assert summarise(directory.root) == wanted


def test_a_file_that_changes_while_the_sweep_is_read_leaves_no_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = ended(tmp_path, "s", 0.5)
    real = summarise.__globals__["read_sweep_record"]

    def read(root: Path) -> object:
        record = real(root)
        os.utime(root / "trials/0000/result.json", (1, 2**33))
        return record

    monkeypatch.setattr("unetsweep.app.overview.read_sweep_record", read)
    assert summarise(directory.root).score == 0.5
    assert not (directory.root / paths.SUMMARY).exists()


def test_a_sweep_that_is_not_ours_to_write_is_listed_all_the_same(tmp_path: Path) -> None:
    directory = ended(tmp_path, "s", 0.5)
    (directory.root / paths.REPORT).write_text("in the way")
    assert states(tmp_path) == {"s": SweepState.COMPLETE}


def test_more_trials_than_before_make_a_complete_sweep_wait(tmp_path: Path) -> None:
    directory = ended(tmp_path, "s", 0.5)
    assert states(tmp_path) == {"s": SweepState.COMPLETE}
    text = (directory.root / "sweep.yaml").read_text()
    directory.replace_spec(text.replace("- 8\n", "- 8\n  - 16\n").replace("[8]", "[8, 16]"))
    assert states(tmp_path) == {"s": SweepState.WAITING}


@pytest.mark.parametrize(("most", "is_stored"), [(1, True), (0, False)])
def test_the_reconciliation_that_ends_a_sweep_stores_its_summary_unless_it_is_large(
    most: int, is_stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = ended(tmp_path, "s", 0.5)
    monkeypatch.setattr(reconcile, "SUMMARISED", most)
    reconcile._refresh_report(directory.root, is_over=True)
    assert (directory.root / paths.SUMMARY).exists() == is_stored
    assert (directory.root / paths.REPORT / "results.md").exists()
