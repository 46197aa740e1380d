"""Commands and jobs refuse a sweep directory into which other users may write."""

import os
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, UNTIL_RELEASED, Workspace

ANOTHER = 12345


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "here")


@pytest.mark.parametrize("folder", [".", "runs"])
def test_no_command_works_on_a_sweep_into_which_others_may_write(workspace: Workspace, folder: str):
    workspace.trainer(AT_ONCE)
    workspace.submit(workspace.grid(1))
    workspace.wait_ended(1)
    (workspace.root() / folder).chmod(0o770)
    before = sorted((path, path.stat().st_mtime_ns) for path in workspace.root().rglob("*"))
    token = next((workspace.root() / "submissions").iterdir()).name
    commands = [("status", "s"), ("cancel", "s"), ("retry", "s"), ("logs", "s", 0), ("sync", "s")]
    commands += [
        ("periodic", workspace.root()),
        ("reconciler-job", workspace.root(), token),
        ("exit-hook", workspace.root(), token),
    ]
    for each in commands:
        assert "others may write here" in workspace.run(*each, status=70).stderr
    for each in ((), ("--dry-run",)):
        assert "others may write here" in workspace.submit(workspace.grid(2), *each, status=70).stderr
    assert "0.5001" in workspace.run("report", "s", "--format", "csv").stdout  # it only reads numbers
    assert sorted((path, path.stat().st_mtime_ns) for path in workspace.root().rglob("*")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="giving a file away needs root")
def test_no_command_works_on_a_sweep_of_another_user(workspace: Workspace):
    workspace.trainer(AT_ONCE)
    workspace.submit(workspace.grid(1))
    workspace.wait_ended(1)
    os.chown(workspace.root(), ANOTHER, -1)
    assert f"belongs to user {ANOTHER}, not to you" in workspace.run("status", "s", status=70).stderr


def test_a_job_trains_nothing_if_others_may_write_into_its_sweep(workspace: Workspace):
    workspace.trainer(UNTIL_RELEASED)
    workspace.submit(workspace.grid(1))
    workspace.wait(lambda: workspace.notes("begin"))
    token = next((workspace.root() / "submissions").iterdir()).name
    (workspace.root() / "submissions").chmod(0o777)
    start = [workspace.root(), token, 0, 1]
    for each in (["supervise", *start, "jobs"], ["rank", *start, 0, 0, 1]):
        assert "others may write here" in workspace.worker(*each, status=1).stderr
    (workspace.root() / "submissions").chmod(0o700)
    (workspace.folder / "go").touch()
    workspace.wait_ended(1)
    assert len(workspace.notes("begin")) == 1


def test_a_results_folder_with_a_line_break_in_its_name_is_refused(workspace: Workspace):
    workspace.trainer(AT_ONCE)
    done = workspace.submit(workspace.grid(1), "--results", "a\nb", status=2)
    assert "not a path on one line" in done.stderr
    assert not (workspace.folder / "a\nb").exists()
