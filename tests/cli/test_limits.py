"""`study.limits` as a user sees it: in the dry run, `submit`, `status` and `report`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, GRID, Workspace, rates

LIMITED = GRID.replace("RATES", rates(4)) + "study: {limits: {cpu_hours: HOURS}}\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path)
    made.trainer(AT_ONCE)
    yield made
    made.end()


def test_a_sweep_stops_at_its_limit_says_so_everywhere_and_continues_when_it_is_raised(workspace: Workspace):
    sweep = workspace.sweep(LIMITED.replace("HOURS", "1e-6"))
    dry = workspace.submit(sweep, "--dry-run")
    assert "limit: 0 of 1e-06 CPU-hours used" in dry.stdout.splitlines()
    assert "propose  2 trials: the sweep asks for 4 trials" in dry.stdout

    watched = workspace.submit(sweep, "--watch")
    reached = "of 1e-06 CPU-hours used; no more trials are proposed. Raise study.limits.cpu_hours and submit again"
    assert reached in watched.stderr
    assert len(workspace.wait_ended(2)) == 2
    assert reached in workspace.submit(sweep).stdout
    assert reached in workspace.run("status", "s").stdout
    assert reached in workspace.submit(sweep, "--dry-run").stdout
    assert reached in workspace.run("report", "s").stdout
    assert reached in workspace.run("report", "s", "--format", "markdown").stdout

    limit = workspace.status()["limit"]
    assert limit["cpu_hours"] == 1e-6
    assert limit["used"] >= 1e-6
    assert reached in limit["reached"]
    assert json.loads(workspace.submit(sweep, "--dry-run", "--json").stdout)["limit"]["reached"] == limit["reached"]

    workspace.submit(workspace.sweep(LIMITED.replace("HOURS", "9")), "--watch")
    assert len(workspace.wait_ended(4)) == 4
    status = workspace.run("status", "s").stdout
    assert "no more trials" not in status
    assert "of 9 CPU-hours used" in status
    assert "no more trials" not in workspace.run("report", "s").stdout
