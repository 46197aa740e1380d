"""The idle share of the slots of a sweep, which `benchmarks.idle_slots` and `benchmarks.peers` print."""

import os
from pathlib import Path

import pytest

from benchmarks.idle_share import AttemptSpan, idle_share, read_attempt_spans
from unetsweep.contract import DataConfig, Result, TrialConfig
from unetsweep.core.actions import Element
from unetsweep.store.sweep_dir import SweepDir


def make_sweep(root: Path, attempts: int, state: str = "complete") -> SweepDir:
    """A sweep with one ended trial that had this many attempts, all but the last lost."""
    sweep = SweepDir(root)
    sweep.create("name: s\n", "slurm")
    sweep.add_trials([TrialConfig(DataConfig("images"), 8, 4, 1e-3)], {"sampler": "grid", "study_seed": 0})
    for attempt in range(1, attempts + 1):
        sweep.create_attempts([Element(0, attempt, ((0, 8),))], None, "slurm")
        if attempt < attempts:
            sweep.mark_lost(0, attempt, "its node failed")
    sweep.end_trial(0, Result(state=state))  # type: ignore[arg-type]
    return sweep


def test_slots_are_idle_while_fewer_attempts_are_active_than_possible() -> None:
    spans = [AttemptSpan(0, 10), AttemptSpan(0, 20), AttemptSpan(15, 20)]
    assert idle_share(2, 3, spans, [10, 20, 20]) == 0.125


def test_no_slot_counts_as_idle_without_a_trial_left_for_it() -> None:
    assert idle_share(4, 1, [AttemptSpan(0, 10)], [10]) == 0


@pytest.mark.parametrize(("spans", "ends"), [([], [10.0]), ([AttemptSpan(0, 10)], []), ([AttemptSpan(10, 10)], [10.0])])
def test_there_is_no_idle_share_before_a_run_has_ended(spans: list[AttemptSpan], ends: list[float]) -> None:
    assert idle_share(2, 3, spans, ends) is None


def test_a_failed_trial_holds_its_slot_until_its_processes_are_gone(tmp_path: Path) -> None:
    failed = make_sweep(tmp_path / "s", attempts=2, state="failed")
    failed.record_exit(0, 2, 0, 1, None)
    now = (failed.root / "runs/0000/attempts/2.exit-0.json").stat().st_mtime
    spans, _ = read_attempt_spans(failed.root, now + 1000)
    assert max(span.end for span in spans) == pytest.approx(now, abs=1)  # a file's time is some ms behind the clock


def test_an_attempt_ends_at_its_loss_or_at_the_result_of_its_run(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "s", attempts=2)
    milestone = sweep.root / "runs/0000/milestones/8.json"
    milestone.parent.mkdir(exist_ok=True)
    milestone.write_text("{}")
    now = milestone.stat().st_mtime
    os.utime(milestone, (now + 100, now + 100))
    spans, ends = read_attempt_spans(sweep.root, now + 1000)
    assert [span.end for span in spans] == pytest.approx([now, now + 100], abs=1)
    assert ends == pytest.approx([now], abs=1)
