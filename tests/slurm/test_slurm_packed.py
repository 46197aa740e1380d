"""Packed jobs (several trainings in one job) on a real SLURM, with a trainer of a few lines."""

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from slurm_sweeps import TRAINER, most_at_once, starts, unetsweep, until, until_ended, until_queue_is_empty

pytestmark = pytest.mark.slurm

GRID = """
name: grid
space: {epochs: [4], batch_size: [4], learning_rate: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4]}
trainer: {command: "python3 trainer.py {config} {out}"}
run: {parallel: 4}
slurm: {time: 5m, mem: 400M, gpus: 2, pack: 2}
"""
TPE = """
name: tpe
space: {epochs: [4], batch_size: [4], learning_rate: {low: 1e-4, high: 1, log: true}}
study: {sampler: tpe, trials: 6}
trainer: {command: "python3 trainer.py {config} {out}"}
run: {parallel: 2}
slurm: {time: 5m, mem: 400M, pack: 2}
"""
CONTINUES = """
import json, os, sys, time
out = sys.argv[2]
epochs = os.path.join(out, "epochs")
done = len(open(epochs).read()) if os.path.exists(epochs) else 0
with open("trained.log", "a") as log:
    log.write(f"{os.path.basename(out)} start {time.time()} {done} {os.environ['UNETSWEEP_CLAIM']}\\n")
for epoch in range(done, 8):
    time.sleep(0.7)
    open(epochs, "a").write(".")
json.dump({"val_iou": 0.5}, open(out + "/result.json", "w"))
"""


@pytest.fixture
def workspace(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the trainer and the sweeps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trainer.py").write_text(TRAINER.replace("SLEEP", "1"))
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "tpe.yaml").write_text(TPE)
    return tmp_path


def scripts_of(name: str) -> list[str]:
    """The sbatch scripts of a sweep's submissions."""
    return [path.read_text() for path in sorted(Path(f"results/{name}/submissions").glob("*/*.sh"))]


def test_a_grid_runs_in_the_slots_of_few_jobs_and_each_training_has_its_share_of_the_gpus(
    workspace: Path, cluster: Cluster
):
    devices = "{os.environ['CUDA_VISIBLE_DEVICES']}"
    (workspace / "trainer.py").write_text(
        TRAINER.replace("SLEEP", "1").replace("start {time.time()}", f"start {{time.time()}} {devices}")
    )
    unetsweep("submit", "grid.yaml")
    results = until_ended("grid")
    assert [result["state"] for result in results] == ["complete"] * 6
    assert starts() == Counter({f"{run:04d}": 1 for run in range(6)})
    assert most_at_once() <= 4
    (script,) = scripts_of("grid")
    assert "--array=0-1%2" in script
    assert "--gpus-per-node=2" in script
    jobs = [str(result["job_id"]) for result in results]
    assert len({job.partition(".")[0] for job in jobs}) == 1
    assert sorted(int(job.partition(".")[2]) for job in jobs) == list(range(6))
    shares = [line.split()[3] for line in Path("trained.log").read_text().splitlines() if " start " in line]
    assert set(shares) == {"0", "1"} or {len(share) for share in shares} == {1}, shares
    table = unetsweep("report", "grid", "--format", "markdown").stdout
    assert all(job in table for job in jobs), table
    log = unetsweep("logs", "grid", "3").stdout
    assert "claims 0003" in log
    assert "claims 0002" not in log


def test_an_adaptive_search_needs_only_one_job_because_free_slots_take_the_next_trials(
    workspace: Path, cluster: Cluster
):
    unetsweep("submit", "tpe.yaml")
    results = until_ended("tpe")
    assert [result["state"] for result in results] == ["complete"] * 6
    assert set(starts().values()) == {1}
    assert most_at_once() <= 2
    assert len(scripts_of("tpe")) == 1
    assert len({str(result["job_id"]).partition(".")[0] for result in results}) == 1
    assert len({str(result["job_id"]) for result in results}) == 6
    until_queue_is_empty(cluster)


def test_with_reuse_two_jobs_train_a_grid_of_six_one_after_the_other(workspace: Path, cluster: Cluster):
    (workspace / "grid.yaml").write_text(GRID.replace("gpus: 2, pack: 2", "reuse: true"))
    unetsweep("submit", "grid.yaml", "--set", "run.parallel=2")
    results = until_ended("grid")
    assert [result["state"] for result in results] == ["complete"] * 6
    assert set(starts().values()) == {1}
    assert most_at_once() == 2
    (script,) = scripts_of("grid")
    assert "--array=0-1%2" in script
    assert sorted(str(result["job_id"]).partition(".")[2] for result in results) == list("012345")
    until_queue_is_empty(cluster)


def test_a_failed_or_cancelled_training_does_not_disturb_the_others_in_its_job(workspace: Path, cluster: Cluster):
    (workspace / "trainer.py").write_text(
        "import os, sys, time, json\n"
        "run = os.path.basename(sys.argv[2])\n"
        "open('began-' + run, 'w')\n"
        "if run == '0000': raise SystemExit('no vessels here')\n"
        "time.sleep(600 if run == '0001' else 4)\n"
        "json.dump({'val_iou': 0.5}, open(sys.argv[2] + '/result.json', 'w'))\n"
    )
    unetsweep("submit", "grid.yaml")
    until(Path("began-0001").exists)
    unetsweep("cancel", "grid", "1")
    states = [result["state"] for result in until_ended("grid")]
    assert states == ["failed", "cancelled", *["complete"] * 4]
    assert len(scripts_of("grid")) == 1
    until_queue_is_empty(cluster)


def test_cancel_ends_all_trainings_of_packed_jobs(workspace: Path, cluster: Cluster):
    (workspace / "trainer.py").write_text(TRAINER.replace("SLEEP", "600"))
    unetsweep("submit", "grid.yaml")
    until(lambda: len(starts()) == 4 if Path("trained.log").exists() else False)
    unetsweep("cancel", "grid")
    assert [result["state"] for result in until_ended("grid")] == ["cancelled"] * 6
    until_queue_is_empty(cluster)
    unetsweep("submit", "grid.yaml")
    assert len(starts()) == 4


def test_a_requeued_job_continues_the_trainings_that_it_had_begun(workspace: Path, cluster: Cluster):
    (workspace / "trainer.py").write_text(CONTINUES)
    (workspace / "tpe.yaml").write_text(TPE.replace("trials: 6", "trials: 3"))
    unetsweep("submit", "tpe.yaml")
    job = until(lambda: cluster.run("squeue", "--me", "-h", "-t", "R", "-n", job_name(), "-o", "%A").split())[0]
    until(lambda: all(Path(f"results/tpe/runs/{run:04d}/epochs").exists() for run in (0, 1)))
    cluster.run("scontrol", "requeue", job)
    assert [result["state"] for result in until_ended("tpe")] == ["complete"] * 3
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    assert Counter(row[0] for row in rows) == Counter({"0000": 2, "0001": 2, "0002": 1})
    assert all(int(row[3]) > 0 for row in rows if row[4] == "1-1")
    assert {row[4] for row in rows if row[0] == "0002"} == {"1-0"}, "its first start counts as a restart"
    assert len(scripts_of("tpe")) == 1


STOPS = CONTINUES.replace(
    "for epoch in",
    """claim = os.environ["UNETSWEEP_CLAIM"]
if claim == "1-0" and out.endswith("0"):
    json.dump({"schema": 1, "reason": "the time limit is near"}, open(f"{out}/requeue-{claim}.json", "w"))
    sys.exit()
for epoch in""",
)


def test_if_a_training_stops_for_the_time_limit_the_job_is_requeued_and_begins_nothing_new(
    workspace: Path, cluster: Cluster
):
    (workspace / "trainer.py").write_text(STOPS)
    (workspace / "grid.yaml").write_text(GRID.replace("4e-4, 5e-4, 6e-4", "4e-4").replace("parallel: 4", "parallel: 2"))
    unetsweep("submit", "grid.yaml")
    assert [result["state"] for result in until_ended("grid")] == ["complete"] * 4
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    assert Counter((row[0], row[4]) for row in rows) == Counter(
        {("0000", "1-0"): 1, ("0000", "1-1"): 1, ("0001", "1-0"): 1, ("0002", "1-0"): 1, ("0003", "1-0"): 1}
    )
    begun = {row[0]: float(row[2]) for row in rows}
    assert min(begun["0002"], begun["0003"]) >= begun["0000"] - 1, "begun in a job that was about to end"
    assert len(scripts_of("grid")) == 1


def job_name() -> str:
    """The name of the packed job of `tpe.yaml`."""
    (token,) = os.listdir("results/tpe/packed")
    return f"tpe.{token}"


def test_a_killed_packed_job_loses_no_run(workspace: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNETSWEEP_TIMEOUTS", "unlisted_grace=15,result_grace=3,reconciler=5")
    (workspace / "trainer.py").write_text(CONTINUES)
    (workspace / "tpe.yaml").write_text(TPE.replace("trials: 6", "trials: 2"))
    unetsweep("submit", "tpe.yaml")
    until(lambda: all(Path(f"results/tpe/runs/{run:04d}/epochs").exists() for run in (0, 1)))
    find = ["pgrep", "-f", f"submitit.core._submit .*{job_name()[4:]}"]
    pids = subprocess.run(find, capture_output=True, text=True, check=True).stdout.split()
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    assert [result["state"] for result in until_ended("tpe")] == ["complete"] * 2
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    assert Counter(row[0] for row in rows) == Counter({"0000": 2, "0001": 2})
    assert json.loads(unetsweep("status", "tpe", "--json").stdout)["wanted"] == 2
