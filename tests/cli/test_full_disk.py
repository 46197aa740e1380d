"""A disk that is full, for real: one clear line, nothing half-written, and all of it done once when there is room."""

import contextlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, UNTIL_TOLD, Place


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Take all room but `leave` bytes."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(b"x" * 4096):
            pass
    os.truncate(path, max(0, path.stat().st_size - leave))
    return path


def whole(root: Path) -> None:
    """Every small file that is there can be read."""
    for path in [*root.rglob("*.json"), *root.glob("runs/*/claims/*")]:
        if path.is_file() and not path.name.startswith("."):
            json.loads(path.read_bytes())


@pytest.mark.parametrize("leave", [0, 64 << 10, 1 << 20, 1300 << 10])
def test_a_full_disk_stops_a_submit_with_one_line_and_no_trial_is_lost_or_doubled(
    tmp_path: Path, small: Path, leave: int
):
    place = Place(tmp_path / "here")
    (place.folder / "results").symlink_to(small)
    place.trainer(AT_ONCE)
    sweep = place.grid(3)
    ballast = fill(small, leave=leave)
    done = place.submit(sweep, status=None)
    if done.returncode:
        assert done.returncode == 1, done.stderr
        assert "No space left on device" in done.stderr
        (line,) = [line for line in done.stderr.splitlines() if "No space" in line]
        assert f"{tmp_path}/" in line
        assert "free some space there and run this again" in line
    place.wait_quiet()
    whole(place.root())
    ballast.unlink()
    place.submit(sweep, "--watch")
    place.wait_quiet()
    assert [result["state"] for result in place.results()] == ["complete"] * 3
    whole(place.root())
    ends = Counter(str(note[0]) for note in place.notes("end"))
    lost = Counter(path.parents[1].name for path in place.root().glob("runs/*/attempts/*.lost.json"))
    # one whose result could not be written is trained again, and nothing else
    assert all(1 <= ends[run] <= 1 + lost[run] for run in ("0000", "0001", "0002")), "a trial was trained twice"
    assert len(ends) == 3


def test_a_disk_that_fills_up_under_trainings_costs_no_trial_and_gives_none_two_results(tmp_path: Path, small: Path):
    place = Place(tmp_path / "here")
    (place.folder / "results").symlink_to(small)
    place.trainer(UNTIL_TOLD)
    sweep = place.grid(3)
    place.submit(sweep)
    place.wait(lambda: len(place.notes("begin")) == 2)
    ballast = fill(small)
    (place.folder / "go").touch()
    place.wait_quiet()
    whole(place.root())
    assert place.results() == []
    ended = place.run("status", "s", status=None)
    assert ended.returncode == 0 or "No space left on device" in ended.stderr
    ballast.unlink()
    place.submit(sweep, "--watch")
    place.wait_quiet()
    assert [result["state"] for result in place.results()] == ["complete"] * 3
    whole(place.root())
    began = [run for run, *_ in place.notes("begin")]
    assert {run: began.count(run) for run in began} == {"0000": 2, "0001": 2, "0002": 1}
