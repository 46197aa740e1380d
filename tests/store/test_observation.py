"""What an observation of a sweep's directory says of its failures."""

from pathlib import Path
from typing import Any

import pytest

from unetsweep.atomic import write_json
from unetsweep.contract import DataConfig, Result, TrialConfig
from unetsweep.core.actions import Element
from unetsweep.store.observation import observe
from unetsweep.store.retries import reopen
from unetsweep.store.sweep_dir import SweepDir


@pytest.fixture
def failed(tmp_path: Path) -> SweepDir:
    """One trial that failed at its second attempt, by another error than at its first."""
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


def test_a_failure_is_that_of_the_newest_attempt(failed: SweepDir):
    (failure,) = observe(failed.root).failures
    assert "bug 2" in failure.message


@pytest.mark.parametrize("mark", ["2.retries-reset.json", "2.retry-exempt.json"])
def test_attempts_before_a_retry_reset_or_exempt_from_it_pause_no_sweep(failed: SweepDir, mark: str):
    write_json(failed.root / "runs/0000/attempts" / mark, {})
    assert observe(failed.root).failures == ()


def test_a_trial_whose_file_is_gone_ends_no_look(failed: SweepDir):
    (failed.root / "trials/0000/trial.json").unlink()
    assert observe(failed.root).failures == ()


def test_what_a_trainer_command_published_is_set_aside_for_a_retry_and_so_is_made_again(failed: SweepDir):
    published = failed.root / "runs/0000/result.json"
    write_json(published, {"val_iou": None})
    assert reopen(failed.root, [0]) == [0]
    assert not published.exists()
    assert published.with_name("result-1.json").exists()
    assert reopen(failed.root, [0]) == [], "it is open, and may have been sent again"
