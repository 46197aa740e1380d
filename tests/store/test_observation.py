"""The failures in an observation of a sweep directory."""

from pathlib import Path
from typing import Any

import pytest

from unetsweep.atomic import write_json
from unetsweep.contract import DataConfig, Result, TrialConfig
from unetsweep.core.actions import Element
from unetsweep.core.metric import METRICS
from unetsweep.store.observation import observe
from unetsweep.store.retries import reopen
from unetsweep.store.sweep_dir import SweepDir


@pytest.fixture
def failed(tmp_path: Path) -> SweepDir:
    """One trial that failed in both of its attempts, with different errors."""
    made = SweepDir(tmp_path / "s")
    made.create("name: s\n", "slurm")
    made.add_trials([TrialConfig(DataConfig("images"), 8, 4, 1e-3)], {"sampler": "grid", "study_seed": 0})
    for attempt in (1, 2):
        made.create_attempts([Element(0, attempt, ((0, 8),))], None, "slurm")
    for rank, attempt in ((0, 1), (1, 2)):
        error(made.root / f"runs/0000/error-{rank}.json", attempt)
    made.end_trial(0, Result(state="failed"))
    return made


def error(path: Path, attempt: int, **more: Any) -> None:
    at = f"2026-01-0{attempt}T00:00:00+00:00"
    write_json(path, {"kind": "exception", "message": f"bug {attempt}", "attempt": attempt, "at": at, **more})


def test_a_failure_has_the_error_of_the_newest_attempt(failed: SweepDir):
    (failure,) = observe(failed.root).failures
    assert "bug 2" in failure.message


@pytest.mark.parametrize("mark", ["2.retries-reset.json", "2.retry-exempt.json"])
def test_attempts_before_a_retry_reset_and_exempt_ones_are_no_failures(failed: SweepDir, mark: str):
    write_json(failed.root / "runs/0000/attempts" / mark, {})
    assert observe(failed.root).failures == ()


def test_a_cancelled_trial_does_not_hide_the_failures_of_the_others(failed: SweepDir):
    failed.add_trials([TrialConfig(DataConfig("images"), 8, 4, 2e-3)], {"sampler": "grid", "study_seed": 0})
    failed.end_trial(1, Result(state="cancelled"))
    found = observe(failed.root)
    assert ([each.trial for each in found.failures], found.ended, found.unjudged) == ([0], 2, 1)


def test_a_failure_whose_error_file_is_missing_is_not_judged(failed: SweepDir):
    result = failed.root / "trials/0000/result.json"
    result.unlink()
    failed.end_trial(0, Result(state="failed", message="bug 2 (see runs/0000/error-1.json)"))
    assert observe(failed.root).unjudged == 0
    (failed.root / "runs/0000/error-1.json").unlink()
    found = observe(failed.root)
    assert (found.failures, found.unjudged) == ((), 1)


def test_a_missing_trial_file_does_not_fail_the_observation(failed: SweepDir):
    (failed.root / "trials/0000/trial.json").unlink()
    assert observe(failed.root).failures == ()


def test_a_retry_renames_the_result_of_a_trainer_command_so_it_is_made_again(failed: SweepDir):
    published = failed.root / "runs/0000/result.json"
    write_json(published, {"val_iou": None})
    assert reopen(failed.root, [0]) == [0]
    assert not published.exists()
    assert published.with_name("result-1.json").exists()
    assert reopen(failed.root, [0]) == [], "it is open, and may have been resubmitted"


def test_a_result_without_the_metric_is_refused_with_its_file_and_is_a_failure_until_the_trial_is_retried(
    tmp_path: Path,
):
    made = SweepDir(tmp_path / "s")
    made.create("name: s\n", "slurm")
    made.add_trials([TrialConfig(DataConfig("images"), 8, 4, 1e-3)], {"sampler": "grid", "study_seed": 0})
    made.create_attempts([Element(0, 1, ((0, 8),))], None, "slurm")
    (made.root / "runs/0000/milestones").mkdir(parents=True)
    write_json(made.root / "runs/0000/milestones/8.json", {"val_iou": 0.5})
    assert observe(made.root, METRICS["val_iou"]).runs[0].published_states == {8: "complete"}
    run = observe(made.root, METRICS["val_loss"]).runs[0]
    assert run.published_states == {8: "failed"}
    message = "runs/0000/milestones/8.json: no number val_loss, which study.metric names; it has val_iou; "
    message += "let the program write it, or correct study.metric in a copy of the file with another name: a "
    message += "sweep keeps its metric"
    assert run.refused_results[8].message == message
    made.end_trial(0, Result(state="failed", message=message))
    (failure,) = observe(made.root, METRICS["val_loss"]).failures
    assert (failure.signature, failure.message) == ("no val_loss", message)
    assert reopen(made.root, [0]) == [0]
    assert observe(made.root, METRICS["val_loss"]).runs[0].published_states == {}
