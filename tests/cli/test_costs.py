"""What `status` and `report` say of a sweep's cost, after real trainings on this machine."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import SLOWLY, Place

TOLD = "import pathlib\n" + "\n".join(
    [
        "seen = sorted(pathlib.Path(out).glob('progress-*.jsonl'))",
        "claim = max(path.name for path in (pathlib.Path(out) / 'claims').iterdir())",
        "with open(f'{out}/progress-{claim}.jsonl', 'a') as log:",
        "    log.write(json.dumps({'epoch': 1, 'at': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}) + '\\n')",
        "while not seen: time.sleep(0.02)",
    ]
)
"""Its first start finishes an epoch and stays; the next one does the epoch again, and is done."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.end()


def test_status_and_report_say_what_a_sweep_cost_by_our_own_clocks(place: Place):
    place.trainer(SLOWLY)
    place.submit(place.grid(2))
    place.wait_ended(2)
    cost = place.status()["cost"]
    assert cost["attempts"] == 2
    assert 0.8 <= cost["seconds"] < 60
    assert (cost["gpu_seconds"], cost["lost_seconds"], cost["accounted_seconds"]) == (0.0, 0.0, 0.0)
    assert cost["cpu_seconds"] == cost["seconds"]
    report = json.loads(place.run("report", "s", "--format", "json").stdout)
    assert sum(row["job_seconds"] for row in report["rows"]) == pytest.approx(cost["seconds"], abs=0.01)
    assert cost == report["cost"]
    said = place.run("status", "s").stdout
    assert "CPU-hours in 2 attempts (from the sweep's files); nothing had to be repeated" in said
    assert "job_seconds" in place.run("report", "s", "--columns", "trial,job_seconds").stdout
    assert "job_seconds" not in (place.root() / "report/results.json").read_text()
    assert "job_seconds" not in place.run("report", "s", "--format", "csv").stdout
    next((place.root() / "runs/0001/claims").iterdir()).write_text("torn")
    assert "without 1 runs whose files cannot be read: unetsweep repair" in place.run("status", "s").stdout


def test_what_a_killed_attempt_had_done_is_told_as_lost(place: Place):
    place.trainer(TOLD)
    place.submit(place.grid(1))
    first = place.wait(lambda: list(place.root().glob("runs/0000/progress-1-0.jsonl")) and place.notes("begin"))
    time.sleep(1)
    os.kill(first[0][3], signal.SIGKILL)
    place.wait_ended(1)
    cost = place.status()["cost"]
    assert cost["attempts"] == 2
    assert 1 <= cost["lost_seconds"] < cost["seconds"]
    assert "of them (" in place.run("status", "s").stdout
