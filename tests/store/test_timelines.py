"""The starts of a run and their times, read from its files."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unetsweep.atomic import write_json
from unetsweep.contract import DataConfig, TrialConfig
from unetsweep.core.actions import Element
from unetsweep.core.cost import JobResources, Start, run_cost
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.timelines import read_timeline


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    made = SweepDir(tmp_path / "s")
    made.create("name: s\n", "slurm")
    made.add_trials([TrialConfig(DataConfig("images"), 8, 4, 1e-3)], {})
    made.create_attempts([Element(0, 1, ((0, 8),))], None, "slurm")
    made.record_job(0, 1, "27_0")
    return made


def folder(sweep: SweepDir) -> Path:
    return sweep.root / "runs/0000"


def claim(sweep: SweepDir, name: str, begin: float) -> None:
    (folder(sweep) / "claims").mkdir(exist_ok=True)
    write_json(folder(sweep) / "claims" / name, {"job_id": "27_0", "at": at(begin), "node": "n1"})


def end(sweep: SweepDir, name: str, when: float) -> None:
    write_json(folder(sweep) / f"attempts/{name}.json", {"status": 0, "at": at(when)})


def epochs(sweep: SweepDir, name: str, **times: float) -> None:
    lines = [json.dumps({"epoch": int(epoch[1:]), "at": at(when)}) for epoch, when in times.items()]
    (folder(sweep) / f"progress-{name}.jsonl").write_text("\n".join(lines))


def test_a_single_ended_start_is_read_without_its_progress(sweep: SweepDir):
    claim(sweep, "1-0", 100)
    end(sweep, "1.exit-0", 160)
    epochs(sweep, "1-0", e1=120)
    found = read_timeline(folder(sweep), is_open=False)
    assert found is not None
    assert found.starts == (Start(1, 100.0, 160.0, (), 8),)
    ((token, job_id),) = found.jobs[1]
    assert (job_id, sweep.read_submission(token).elements) == ("27_0", ((0, 1),))


def test_a_start_lost_with_its_node_ends_at_its_last_epoch_and_repeated_epochs_count_as_lost(
    sweep: SweepDir,
):
    claim(sweep, "1-0", 100)
    epochs(sweep, "1-0", e1=110, e2=120, e3=130)
    claim(sweep, "1-1", 200)
    epochs(sweep, "1-1", e2=210, e3=220)
    found = read_timeline(folder(sweep), is_open=True)
    assert found is not None
    cost = run_cost(found, {}, JobResources(1, 1), now=230)
    assert (cost.attempts, cost.seconds, cost.lost_seconds) == (1, 60.0, 20.0)


def test_a_lost_attempt_costs_nothing_more(sweep: SweepDir):
    claim(sweep, "1-0", 100)
    sweep.mark_lost(0, 1, "gone")
    found = read_timeline(folder(sweep), is_open=True)
    assert found is not None
    assert run_cost(found, {}, JobResources(1, 1), now=230).seconds == 0


def test_a_run_with_an_unreadable_file_has_no_timeline(sweep: SweepDir):
    (folder(sweep) / "attempts/1.job.json").write_text("{")
    assert read_timeline(folder(sweep), is_open=True) is None
