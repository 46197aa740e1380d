"""A really full disk: one clear message, no partial file, and each trial trained once after space is freed."""

import contextlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, UNTIL_RELEASED, Workspace


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Fill the disk except for `leave` bytes."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(b"x" * 4096):
            pass
    os.truncate(path, max(0, path.stat().st_size - leave))
    return path


def assert_readable(root: Path) -> None:
    """Every small file of the sweep can be read."""
    for path in [*root.rglob("*.json"), *root.glob("runs/*/claims/*")]:
        if path.is_file() and not path.name.startswith("."):
            json.loads(path.read_bytes())


@pytest.mark.parametrize("leave", [0, 64 << 10, 1 << 20, 1300 << 10])
def test_a_full_disk_stops_a_submit_with_one_message_and_no_trial_is_lost_or_repeated(
    tmp_path: Path, small_disk: Path, leave: int
):
    workspace = Workspace(tmp_path / "here")
    (workspace.folder / "results").symlink_to(small_disk)
    workspace.trainer(AT_ONCE)
    sweep = workspace.grid(3)
    ballast = fill(small_disk, leave=leave)
    done = workspace.submit(sweep, status=None)
    if done.returncode:
        assert done.returncode == 1, done.stderr
        assert "No space left on device" in done.stderr
        (line,) = [line for line in done.stderr.splitlines() if "No space" in line]
        assert f"{tmp_path}/" in line
        assert "free some space there and run this again" in line
    workspace.wait_quiet()
    assert_readable(workspace.root())
    ballast.unlink()
    workspace.submit(sweep, "--watch")
    workspace.wait_quiet()
    assert [result["state"] for result in workspace.results()] == ["complete"] * 3
    assert_readable(workspace.root())
    ends = Counter(str(note[0]) for note in workspace.notes("end"))
    lost = Counter(path.parents[1].name for path in workspace.root().glob("runs/*/attempts/*.lost.json"))
    # only a trial with a lost attempt, because its result could not be written, is trained again
    assert all(1 <= ends[run] <= 1 + lost[run] for run in ("0000", "0001", "0002")), "a trial was trained twice"
    assert len(ends) == 3


def test_a_disk_that_fills_up_during_trainings_loses_no_trial_and_repeats_only_unwritten_results(
    tmp_path: Path, small_disk: Path
):
    workspace = Workspace(tmp_path / "here")
    (workspace.folder / "results").symlink_to(small_disk)
    workspace.trainer(UNTIL_RELEASED)
    sweep = workspace.grid(3)
    workspace.submit(sweep)
    workspace.wait(lambda: len(workspace.notes("begin")) == 2)
    ballast = fill(small_disk)
    (workspace.folder / "go").touch()
    workspace.wait_quiet()
    assert_readable(workspace.root())
    assert workspace.results() == []
    done = workspace.run("status", "s", status=None)
    assert done.returncode == 0 or "No space left on device" in done.stderr
    ballast.unlink()
    workspace.submit(sweep, "--watch")
    workspace.wait_quiet()
    assert [result["state"] for result in workspace.results()] == ["complete"] * 3
    assert_readable(workspace.root())
    began = [run for run, *_ in workspace.notes("begin")]
    assert {run: began.count(run) for run in began} == {"0000": 2, "0001": 2, "0002": 1}
