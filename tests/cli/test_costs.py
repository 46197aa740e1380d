"""The cost of a sweep in `status` and `report`, after real trainings on this machine."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import SLOWLY, Workspace

REPEATS_AN_EPOCH = "import pathlib\n" + "\n".join(
    [
        "earlier = sorted(pathlib.Path(out).glob('progress-*.jsonl'))",
        "claim = max(path.name for path in (pathlib.Path(out) / 'claims').iterdir())",
        "with open(f'{out}/progress-{claim}.jsonl', 'a') as log:",
        "    log.write(json.dumps({'epoch': 1, 'at': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}) + '\\n')",
        "while not earlier: time.sleep(0.02)",
    ]
)
"""The first start finishes an epoch and hangs; the next one repeats the epoch and ends."""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path)
    yield made
    made.end()


def test_status_and_report_show_the_cost_of_a_sweep_by_our_own_clocks(workspace: Workspace):
    workspace.trainer(SLOWLY)
    workspace.submit(workspace.grid(2))
    workspace.wait_ended(2)
    cost = workspace.status()["cost"]
    assert cost["attempts"] == 2
    assert 0.8 <= cost["seconds"] < 60
    assert (cost["gpu_seconds"], cost["lost_seconds"], cost["accounted_seconds"]) == (0.0, 0.0, 0.0)
    assert cost["cpu_seconds"] == cost["seconds"]
    report = json.loads(workspace.run("report", "s", "--format", "json").stdout)
    assert sum(row["job_seconds"] for row in report["rows"]) == pytest.approx(cost["seconds"], abs=0.01)
    assert cost == report["cost"]
    output = workspace.run("status", "s").stdout
    assert "CPU-hours in 2 attempts (from the sweep's files); nothing had to be repeated" in output
    assert "job_seconds" in workspace.run("report", "s", "--columns", "trial,job_seconds").stdout
    assert "job_seconds" not in (workspace.root() / "report/results.json").read_text()
    assert "job_seconds" not in workspace.run("report", "s", "--format", "csv").stdout
    next((workspace.root() / "runs/0001/claims").iterdir()).write_text("corrupt")
    assert "not counting 1 run with unreadable files: run `unetsweep repair`" in workspace.run("status", "s").stdout


def test_the_work_of_a_killed_attempt_counts_as_lost(workspace: Workspace):
    workspace.trainer(REPEATS_AN_EPOCH)
    workspace.submit(workspace.grid(1))
    progress = workspace.root() / "runs/0000/progress-1-0.jsonl"
    first = workspace.wait(lambda: progress.exists() and workspace.notes("begin"))
    time.sleep(1)
    os.kill(first[0][3], signal.SIGKILL)
    workspace.wait_ended(1)
    cost = workspace.status()["cost"]
    assert cost["attempts"] == 2
    assert 1 <= cost["lost_seconds"] < cost["seconds"]
    assert "of them (" in workspace.run("status", "s").stdout
