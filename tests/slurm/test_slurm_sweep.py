"""Whole sweeps on a real SLURM, with a trainer of some lines instead of ours: it is the sweep that is tested."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import bed
import pytest
from slurm_cluster import Cluster, with_and_without
from slurm_sweeps import GRID, TPE, TRAINER, most_at_once, starts, unetsweep, until, until_ended, until_left

pytestmark = pytest.mark.slurm


@pytest.fixture
def place(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the trainer and the sweep."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trainer.py").write_text(TRAINER.replace("SLEEP", "0.3"))
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "tpe.yaml").write_text(TPE)
    return tmp_path


@with_and_without
def test_a_grid_goes_out_as_one_array_and_its_table_is_keyed_by_the_jobs(place: Path, cluster: Cluster):
    said = unetsweep("submit", "grid.yaml").stdout
    assert "on slurm" in said
    assert "4 jobs, at most 2 at once" in said
    results = until_ended("grid")
    assert starts() == Counter({"0000": 1, "0001": 1, "0002": 1, "0003": 1})
    assert most_at_once() <= 2
    table = unetsweep("report", "grid", "--format", "markdown").stdout
    jobs = [str(result["job_id"]) for result in results]
    assert len({job.split("_")[0] for job in jobs}) == 1
    for job in jobs:
        assert f"| {job} |" in table.replace("  ", " ").replace("  ", " "), table
    assert unetsweep("submit", "grid.yaml").stdout.count("submit") == 0, "the second submit had something to do"


def test_an_adaptive_search_ends_by_itself_with_its_terminal_closed(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text(TRAINER.replace("SLEEP", "1"))
    watching = [sys.executable, "-m", "unetsweep", "submit", "tpe.yaml", "--watch"]
    words = ["env", "--default-signal=HUP", *watching]  # who runs the tests may have no terminal, and ignore it
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    shell = subprocess.Popen(words, start_new_session=True, **quiet)
    until(Path("trained.log").exists)
    os.killpg(shell.pid, signal.SIGHUP)  # the terminal goes
    shell.wait(timeout=120)
    results = until_ended("tpe")
    assert [result["state"] for result in results] == ["complete"] * 6
    assert set(starts().values()) == {1}
    assert most_at_once() <= 2


def test_jobs_start_though_their_submitter_never_came_back(place: Path, cluster: Cluster):
    dying = [sys.executable, bed.HERE / "dying_pass.py", "after", "sbatch", "submit", "grid.yaml"]
    assert subprocess.run(dying, capture_output=True, timeout=180, check=False).returncode == -signal.SIGKILL
    assert [result["state"] for result in until_ended("grid")] == ["complete"] * 4
    logs = [path.read_text() for path in Path("results/grid/submissions").glob("*/*.out")]
    assert not any("could not find submitted jobs" in log for log in logs)


def test_an_unknown_partition_is_told_in_sbatchs_words_and_costs_no_trial(place: Path, cluster: Cluster):
    (place / "grid.yaml").write_text(GRID.replace("mem: 200M", "mem: 200M, partition: nowhere"))
    said = unetsweep("submit", "grid.yaml", check=75).stderr
    assert "invalid partition specified: nowhere" in said
    assert "main" in said
    assert cluster.run("squeue", "--me", "-h") == ""
    (place / "grid.yaml").write_text(GRID)
    unetsweep("submit", "grid.yaml")
    assert [result["state"] for result in until_ended("grid")] == ["complete"] * 4


def test_cancel_ends_what_runs_and_what_waits_and_submit_does_not_bring_it_back(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text(TRAINER.replace("SLEEP", "60"))
    unetsweep("submit", "grid.yaml")
    until(Path("trained.log").exists)
    unetsweep("cancel", "grid")
    until_left(cluster)
    unetsweep("submit", "grid.yaml")
    assert [result["state"] for result in until_ended("grid")] == ["cancelled"] * 4
    assert cluster.run("squeue", "--me", "-h") == ""


def test_a_failing_trainer_is_told_with_its_last_words(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text("raise SystemExit('no vessels here')")
    unetsweep("submit", "grid.yaml")
    results = until_ended("grid")
    assert [result["state"] for result in results] == ["failed"] * 4
    assert "ended with status 1" in str(results[0]["message"])
    assert "4 failed" in unetsweep("report", "grid").stdout


def test_leaders_are_confirmed_by_jobs_of_their_own_and_the_study_is_told_nothing(place: Path, cluster: Cluster):
    unetsweep("submit", "grid.yaml")
    until_ended("grid")
    journal = Path("results/grid/study.journal")
    until(lambda: journal.exists() and not journal.with_name("study.journal.outdated").exists())
    before = journal.read_bytes()

    assert "4 trainings, 4 of them new" in unetsweep("confirm", "grid", "--top", "2", "--seeds", "2").stdout
    until_ended("grid/confirm")

    told = json.loads(unetsweep("report", "grid", "--format", "json").stdout)
    assert [row["runs"] for row in told["confirmed"]["leaders"]] == [2, 2]
    jobs = {row["job_id"] for row in told["rows"]}
    listed = set(cluster.run("squeue", "--me", "-h", "-t", "all", "-o", "%i").split())
    confirmed = json.loads(unetsweep("report", "grid/confirm", "--format", "json").stdout)["rows"]
    assert len(confirmed) == 4
    assert {row["job_id"] for row in confirmed} <= listed - jobs
    assert journal.read_bytes() == before


def test_a_copied_or_moved_sweep_touches_no_job_until_it_is_adopted(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text(TRAINER.replace("SLEEP", "300"))
    unetsweep("submit", "grid.yaml")
    until(lambda: Path("trained.log").exists() and len(starts()) == 2)
    at_work = set(cluster.run("squeue", "--me", "-h", "-r", "-o", "%i").split())
    assert json.loads(Path("results/grid/sweep.json").read_bytes())["cluster"] == "testbed"
    shutil.copytree("results/grid", "results/copy", symlinks=True)
    for command in ("cancel", "status", "retry"):
        assert "is a copy of the sweep in" in unetsweep(command, "copy", check=2).stderr
    assert "and its jobs are left alone" in unetsweep("adopt", "copy").stdout
    assert set(cluster.run("squeue", "--me", "-h", "-r", "-o", "%i").split()) == at_work

    shutil.rmtree("results/copy")
    Path("results/grid").rename("results/moved")
    assert "was moved from" in unetsweep("cancel", "moved", check=2).stderr
    assert set(cluster.run("squeue", "--me", "-h", "-r", "-o", "%i").split()) == at_work
    assert "cancelled its jobs: " in unetsweep("adopt", "moved").stdout
    (place / "trainer.py").write_text(TRAINER.replace("SLEEP", "0.3"))
    unetsweep("submit", "results/moved/sweep.yaml")
    assert [result["state"] for result in until_ended("moved")] == ["complete"] * 4
