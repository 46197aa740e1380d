"""The cost of a sweep on a real SLURM: by its accounting, or by the times in the sweep's files if there is none."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import Cluster, with_and_in_test_all_without
from slurm_sweeps import unetsweep, until, until_queue_is_empty

pytestmark = pytest.mark.slurm

TRAINER = """
import json, os, sys, time
out = sys.argv[2]
claim = max(os.listdir(f"{out}/claims"))
with open(f"{out}/progress-{claim}.jsonl", "a") as log:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    log.write(json.dumps({"epoch": 1, "seconds": 1.0, "at": at}) + "\\n")
ballast = bytearray(64 * 2**20)
time.sleep(6 if claim.endswith("-1") else 60)
json.dump({"val_iou": 0.5}, open(out + "/result.json", "w"))
"""
SWEEP = """
name: grid
space: {epochs: [4], batch_size: [4], learning_rate: [1e-4]}
trainer: {command: "python3 trainer.py {config} {out}"}
run: {parallel: 2}
slurm: {time: 5m, mem: 300M, gpus: 2, cpus: 1}
"""


def cost() -> dict[str, Any]:
    """The cost in `status --json`."""
    found: dict[str, Any] = json.loads(unetsweep("status", "grid", "--json").stdout)["cost"]
    return found


@with_and_in_test_all_without
def test_the_cost_of_a_requeued_job_counts_every_start_and_names_the_repeated_work(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "grid.yaml").write_text(SWEEP)
    unetsweep("submit", "grid.yaml", "--executor", "slurm")
    run = Path("results/grid/runs/0000")
    progress = run / "progress-1-0.jsonl"
    until(progress.exists)
    job_id = json.loads((run / "attempts/1.job.json").read_text())["job_id"]
    until(lambda: time.time() > progress.stat().st_mtime + 4)  # the requeue must lose a measurable time
    cluster.run("scontrol", "requeue", job_id)
    until(Path("results/grid/trials/0000/result.json").exists)
    until_queue_is_empty(cluster)
    found = cost()

    assert found["attempts"] == 1
    assert 8 <= found["seconds"] < 60
    assert found["gpu_seconds"] == pytest.approx(2 * found["seconds"], abs=0.01)
    assert 3 <= found["lost_seconds"] < found["seconds"] - 5
    output = unetsweep("status", "grid").stdout
    if cluster.variant == "dbd":
        records = cluster.run(
            *("sacct", "-D", "-X", "-n", "-P", "--format=ElapsedRaw,AllocTRES", f"--jobs={job_id}")
        ).splitlines()
        assert len(records) == 2
        assert found["seconds"] == found["accounted_seconds"] == sum(int(row.split("|")[0]) for row in records)
        assert found["memory_mb"] > 64, "the trainer's ballast"
        assert "GPU-hours in 1 attempt (from sacct)" in output
    else:
        assert found["accounted_seconds"] == 0
        assert "GPU-hours in 1 attempt (from the sweep's files)" in output
