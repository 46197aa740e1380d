"""Several trainings in one job, on a real SLURM, with a trainer of some lines instead of ours."""

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from slurm_sweeps import TRAINER, most_at_once, starts, unetsweep, until, until_ended, until_left

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
GOES_ON = """
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
def place(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the trainer and the sweeps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trainer.py").write_text(TRAINER.replace("SLEEP", "1"))
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "tpe.yaml").write_text(TPE)
    return tmp_path


def sent(cluster: Cluster, name: str) -> list[str]:
    """The sbatch scripts of a sweep's trainings."""
    return [path.read_text() for path in sorted(Path(f"results/{name}/submissions").glob("*/*.sh"))]


def test_a_grid_runs_in_the_places_of_few_jobs_each_with_its_share(place: Path, cluster: Cluster):
    devices = "{os.environ['CUDA_VISIBLE_DEVICES']}"
    (place / "trainer.py").write_text(
        TRAINER.replace("SLEEP", "1").replace("start {time.time()}", f"start {{time.time()}} {devices}")
    )
    unetsweep("submit", "grid.yaml")
    results = until_ended("grid")
    assert [result["state"] for result in results] == ["complete"] * 6
    assert starts() == Counter({f"{run:04d}": 1 for run in range(6)})
    assert most_at_once() <= 4
    (script,) = sent(cluster, "grid")
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


def test_an_adaptive_search_needs_one_job_whose_free_place_takes_the_next(place: Path, cluster: Cluster):
    unetsweep("submit", "tpe.yaml")
    results = until_ended("tpe")
    assert [result["state"] for result in results] == ["complete"] * 6
    assert set(starts().values()) == {1}
    assert most_at_once() <= 2
    assert len(sent(cluster, "tpe")) == 1
    assert len({str(result["job_id"]).partition(".")[0] for result in results}) == 1
    assert len({str(result["job_id"]) for result in results}) == 6
    until_left(cluster)


def test_one_that_fails_or_is_cancelled_leaves_the_others_alone(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text(
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
    assert len(sent(cluster, "grid")) == 1
    until_left(cluster)


def test_cancel_ends_all_of_it(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text(TRAINER.replace("SLEEP", "600"))
    unetsweep("submit", "grid.yaml")
    until(lambda: len(starts()) == 4 if Path("trained.log").exists() else False)
    unetsweep("cancel", "grid")
    assert [result["state"] for result in until_ended("grid")] == ["cancelled"] * 6
    until_left(cluster)
    unetsweep("submit", "grid.yaml")
    assert len(starts()) == 4


def test_a_job_that_is_queued_again_goes_on_with_what_it_began(place: Path, cluster: Cluster):
    (place / "trainer.py").write_text(GOES_ON)
    (place / "tpe.yaml").write_text(TPE.replace("trials: 6", "trials: 3"))
    unetsweep("submit", "tpe.yaml")
    job = until(lambda: cluster.run("squeue", "--me", "-h", "-t", "R", "-n", name(), "-o", "%A").split())[0]
    until(lambda: all(Path(f"results/tpe/runs/{run:04d}/epochs").exists() for run in (0, 1)))
    cluster.run("scontrol", "requeue", job)
    assert [result["state"] for result in until_ended("tpe")] == ["complete"] * 3
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    assert Counter(row[0] for row in rows) == Counter({"0000": 2, "0001": 2, "0002": 1})
    assert all(int(row[3]) > 0 for row in rows if row[4] == "1-1")
    assert {row[4] for row in rows if row[0] == "0002"} == {"1-0"}, "its first start is no restart"
    assert len(sent(cluster, "tpe")) == 1


STOPS = GOES_ON.replace(
    "for epoch in",
    """claim = os.environ["UNETSWEEP_CLAIM"]
if claim == "1-0" and out.endswith("0"):
    json.dump({"schema": 1, "reason": "the time limit is near"}, open(f"{out}/requeue-{claim}.json", "w"))
    sys.exit()
for epoch in""",
)


def test_where_one_stops_for_the_time_limit_the_job_is_queued_again_and_nothing_new_is_begun(
    place: Path, cluster: Cluster
):
    (place / "trainer.py").write_text(STOPS)
    (place / "grid.yaml").write_text(GRID.replace("4e-4, 5e-4, 6e-4", "4e-4").replace("parallel: 4", "parallel: 2"))
    unetsweep("submit", "grid.yaml")
    assert [result["state"] for result in until_ended("grid")] == ["complete"] * 4
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    assert Counter((row[0], row[4]) for row in rows) == Counter(
        {("0000", "1-0"): 1, ("0000", "1-1"): 1, ("0001", "1-0"): 1, ("0002", "1-0"): 1, ("0003", "1-0"): 1}
    )
    begun = {row[0]: float(row[2]) for row in rows}
    assert min(begun["0002"], begun["0003"]) >= begun["0000"] - 1, "begun in a job that was to end"
    assert len(sent(cluster, "grid")) == 1


def name() -> str:
    (token,) = os.listdir("results/tpe/packed")
    return f"tpe.{token}"


def test_a_job_that_is_killed_loses_no_run(place: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNETSWEEP_CLOCKS", "unseen=15,result=3,reconciler=5")
    (place / "trainer.py").write_text(GOES_ON)
    (place / "tpe.yaml").write_text(TPE.replace("trials: 6", "trials: 2"))
    unetsweep("submit", "tpe.yaml")
    until(lambda: all(Path(f"results/tpe/runs/{run:04d}/epochs").exists() for run in (0, 1)))
    words = ["pgrep", "-f", f"submitit.core._submit .*{name()[4:]}"]
    pids = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    assert [result["state"] for result in until_ended("tpe")] == ["complete"] * 2
    rows = [line.split() for line in Path("trained.log").read_text().splitlines()]
    assert Counter(row[0] for row in rows) == Counter({"0000": 2, "0001": 2})
    assert json.loads(unetsweep("status", "tpe", "--json").stdout)["wanted"] == 2
