"""Whole sweeps on a real SLURM, with a trainer of a few lines instead of ours."""

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
from slurm_sweeps import GRID, TPE, TRAINER, most_at_once, starts, unetsweep, until, until_ended, until_queue_is_empty

pytestmark = pytest.mark.slurm


@pytest.fixture
def workspace(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the trainer and the sweep."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trainer.py").write_text(TRAINER.replace("SLEEP", "0.3"))
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "tpe.yaml").write_text(TPE)
    return tmp_path


@with_and_without
def test_a_grid_is_submitted_as_one_array_and_its_table_has_the_job_ids(workspace: Path, cluster: Cluster):
    output = unetsweep("submit", "grid.yaml").stdout
    assert "on slurm" in output
    assert "4 jobs, at most 2 at once" in output
    results = until_ended("grid")
    assert starts() == Counter({"0000": 1, "0001": 1, "0002": 1, "0003": 1})
    assert most_at_once() <= 2
    table = unetsweep("report", "grid", "--format", "markdown").stdout
    jobs = [str(result["job_id"]) for result in results]
    assert len({job.split("_")[0] for job in jobs}) == 1
    for job in jobs:
        assert f"| {job} |" in table.replace("  ", " ").replace("  ", " "), table
    second = unetsweep("submit", "grid.yaml").stdout
    first_lines = f"sweep grid on slurm, in {Path('results/grid').resolve()}\n4 ended, 0 open; jobs: none\n"
    assert second == first_lines + "nothing is left to train; next: unetsweep report grid | unetsweep retry grid\n"


def test_an_adaptive_search_continues_to_its_end_after_its_terminal_was_closed(workspace: Path, cluster: Cluster):
    (workspace / "trainer.py").write_text(TRAINER.replace("SLEEP", "1"))
    watching = [sys.executable, "-m", "unetsweep", "submit", "tpe.yaml", "--watch"]
    command = ["env", "--default-signal=HUP", *watching]  # the signal is ignored if the tests run without a terminal
    shell = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(Path("trained.log").exists)
    os.killpg(shell.pid, signal.SIGHUP)  # as when the terminal is closed
    shell.wait(timeout=120)
    results = until_ended("tpe")
    assert [result["state"] for result in results] == ["complete"] * 6
    assert set(starts().values()) == {1}
    assert most_at_once() <= 2


def test_jobs_start_even_if_their_submitter_died_after_sbatch(workspace: Path, cluster: Cluster):
    dying = [sys.executable, bed.HERE / "dying_reconciliation.py", "after", "sbatch", "submit", "grid.yaml"]
    assert subprocess.run(dying, capture_output=True, timeout=180, check=False).returncode == -signal.SIGKILL
    assert [result["state"] for result in until_ended("grid")] == ["complete"] * 4
    logs = [path.read_text() for path in Path("results/grid/submissions").glob("*/*.out")]
    assert not any("could not find submitted jobs" in log for log in logs)


def test_an_unknown_partition_is_reported_with_sbatchs_message_and_costs_no_trial(workspace: Path, cluster: Cluster):
    (workspace / "grid.yaml").write_text(GRID.replace("mem: 200M", "mem: 200M, partition: nowhere"))
    message = unetsweep("submit", "grid.yaml", check=75).stderr
    assert "invalid partition specified: nowhere" in message
    assert "main" in message
    assert cluster.run("squeue", "--me", "-h") == ""
    (workspace / "grid.yaml").write_text(GRID)
    unetsweep("submit", "grid.yaml")
    assert [result["state"] for result in until_ended("grid")] == ["complete"] * 4


def test_cancel_ends_running_and_pending_jobs_and_submit_does_not_resubmit_them(workspace: Path, cluster: Cluster):
    (workspace / "trainer.py").write_text(TRAINER.replace("SLEEP", "60"))
    unetsweep("submit", "grid.yaml")
    until(Path("trained.log").exists)
    unetsweep("cancel", "grid")
    until_queue_is_empty(cluster)
    unetsweep("submit", "grid.yaml")
    assert [result["state"] for result in until_ended("grid")] == ["cancelled"] * 4
    assert cluster.run("squeue", "--me", "-h") == ""


UNTIL_PRUNED = """
import json, os, sys, time
out = sys.argv[2]
with open(f"{out}/progress-{os.environ['UNETSWEEP_CLAIM']}.jsonl", "a") as log:
    log.write(json.dumps({"epoch": 1, "seconds": 0.1}) + "\\n")
while not os.path.exists(f"{out}/prune.json"):
    time.sleep(0.1)
time.sleep(1)
open(f"{out}/saved", "w").close()
"""


def test_a_cancelled_training_saves_a_checkpoint_before_its_job_ends(workspace: Path, cluster: Cluster):
    (workspace / "trainer.py").write_text(UNTIL_PRUNED)
    (workspace / "grid.yaml").write_text(GRID.replace("trainer: {", "trainer: {resumes: true, "))
    unetsweep("submit", "grid.yaml")
    until(lambda: len(list(Path("results/grid/runs").glob("*/progress-*"))) == 2)
    assert "waiting for the end of an epoch, to save a checkpoint" in unetsweep("cancel", "grid").stderr
    assert [result["state"] for result in until_ended("grid")] == ["cancelled"] * 4
    assert len(list(Path("results/grid/runs").glob("*/saved"))) == 2
    until_queue_is_empty(cluster)


def test_a_failing_trainer_is_reported_with_its_exit_status(workspace: Path, cluster: Cluster):
    (workspace / "trainer.py").write_text("raise SystemExit('no vessels here')")
    unetsweep("submit", "grid.yaml")
    results = until_ended("grid")
    assert [result["state"] for result in results] == ["failed"] * 4
    assert "ended with status 1" in str(results[0]["message"])
    assert "4 failed" in unetsweep("report", "grid").stdout


def test_leaders_are_confirmed_by_separate_jobs_and_the_study_does_not_change(workspace: Path, cluster: Cluster):
    unetsweep("submit", "grid.yaml")
    until_ended("grid")
    journal = Path("results/grid/study.journal")
    until(lambda: journal.exists() and not journal.with_name("study.journal.outdated").exists())
    before = journal.read_bytes()

    assert "4 trainings, 4 of them new" in unetsweep("confirm", "grid", "--top", "2", "--seeds", "2").stdout
    until_ended("grid/confirm")

    report = json.loads(unetsweep("report", "grid", "--format", "json").stdout)
    assert [row["runs"] for row in report["confirmed"]["leaders"]] == [2, 2]
    jobs = {row["job_id"] for row in report["rows"]}
    listed = set(cluster.run("squeue", "--me", "-h", "-t", "all", "-o", "%i").split())
    confirmed = json.loads(unetsweep("report", "grid/confirm", "--format", "json").stdout)["rows"]
    assert len(confirmed) == 4
    assert {row["job_id"] for row in confirmed} <= listed - jobs
    assert journal.read_bytes() == before


def test_a_copied_or_moved_sweep_touches_no_job_until_it_is_adopted(workspace: Path, cluster: Cluster):
    (workspace / "trainer.py").write_text(TRAINER.replace("SLEEP", "300"))
    unetsweep("submit", "grid.yaml")
    until(lambda: Path("trained.log").exists() and len(starts()) == 2)
    running = set(cluster.run("squeue", "--me", "-h", "-r", "-o", "%i").split())
    assert json.loads(Path("results/grid/sweep.json").read_bytes())["cluster"] == "testbed"
    shutil.copytree("results/grid", "results/copy", symlinks=True)
    for command in ("cancel", "status", "retry"):
        assert "is a copy of the sweep in" in unetsweep(command, "copy", check=2).stderr
    assert "and its jobs are left alone" in unetsweep("adopt", "copy").stdout
    assert set(cluster.run("squeue", "--me", "-h", "-r", "-o", "%i").split()) == running

    shutil.rmtree("results/copy")
    Path("results/grid").rename("results/moved")
    assert "was moved from" in unetsweep("cancel", "moved", check=2).stderr
    assert set(cluster.run("squeue", "--me", "-h", "-r", "-o", "%i").split()) == running
    assert "cancelled its jobs: " in unetsweep("adopt", "moved").stdout
    (workspace / "trainer.py").write_text(TRAINER.replace("SLEEP", "0.3"))
    unetsweep("submit", "results/moved/sweep.yaml")
    assert [result["state"] for result in until_ended("moved")] == ["complete"] * 4


BROKEN_GPU = """
if os.environ["SLURMD_NODENAME"] == BAD:
    print("RuntimeError: CUDA error: uncorrectable ECC error encountered", file=sys.stderr)
    sys.exit(1)
"""


def test_trainings_that_meet_a_broken_gpu_end_on_other_nodes(
    workspace: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    """The node frees itself at once, so it would take the next trainings as well."""
    monkeypatch.setenv("UNETSWEEP_TIMEOUTS", "unlisted_grace=15,result_grace=3,reconciler=5")
    bad = "n1"
    broken = BROKEN_GPU.replace("BAD", repr(bad))
    trainer = TRAINER.replace("SLEEP", "1").replace("config, out =", f"{broken.strip()}\nconfig, out =")
    Path("trainer.py").write_text(trainer)
    rates = ", ".join(f"{number}e-4" for number in range(1, 9))
    Path("grid.yaml").write_text(GRID.replace("1e-4, 2e-4, 3e-4, 4e-4", rates).replace("parallel: 2", "parallel: 4"))
    unetsweep("submit", "grid.yaml")
    assert {each["state"] for each in until_ended("grid")} == {"complete"}
    lost = [json.loads(path.read_bytes()) for path in Path("results/grid/runs").glob("*/attempts/*.lost.json")]
    assert lost, "no training met the broken GPU"
    assert {(each["cause"], each["node"]) for each in lost} == {("DEVICE", bad)}
    scripts = [path.read_text() for path in Path("results/grid/submissions").glob("*/*.sh")]
    assert any(f"--exclude={bad}" in script for script in scripts)
