"""Whoever works on a sweep works on a directory of their own; and no secret of theirs gets into it."""

import os
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, UNTIL_TOLD, Place

ANOTHER = 12345


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "here")


@pytest.mark.parametrize("folder", [".", "runs"])
def test_no_command_works_on_a_sweep_into_which_others_may_write(place: Place, folder: str):
    place.trainer(AT_ONCE)
    place.submit(place.grid(1))
    place.wait_ended(1)
    (place.root() / folder).chmod(0o770)
    before = sorted((path, path.stat().st_mtime_ns) for path in place.root().rglob("*"))
    token = next((place.root() / "submissions").iterdir()).name
    words = [("status", "s"), ("cancel", "s"), ("retry", "s"), ("logs", "s", 0), ("sync", "s")]
    words += [("periodic", place.root()), ("reconciler-job", place.root(), token), ("exit-hook", place.root(), token)]
    for each in words:
        assert "others may write here" in place.run(*each, status=70).stderr
    for each in ((), ("--dry-run",)):
        assert "others may write here" in place.submit(place.grid(2), *each, status=70).stderr
    assert "0.5001" in place.run("report", "s", "--format", "csv").stdout  # it reads numbers, and leaves nothing
    assert sorted((path, path.stat().st_mtime_ns) for path in place.root().rglob("*")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="giving a file away needs root")
def test_nor_on_one_of_another_user(place: Place):
    place.trainer(AT_ONCE)
    place.submit(place.grid(1))
    place.wait_ended(1)
    os.chown(place.root(), ANOTHER, -1)
    assert f"belongs to user {ANOTHER}, not to you" in place.run("status", "s", status=70).stderr


def test_a_job_that_starts_where_others_may_write_trains_nothing(place: Place):
    place.trainer(UNTIL_TOLD)
    place.submit(place.grid(1))
    place.wait(lambda: place.notes("begin"))
    token = next((place.root() / "submissions").iterdir()).name
    (place.root() / "submissions").chmod(0o777)
    start = [place.root(), token, 0, 1]
    for each in (["supervise", *start, "jobs"], ["rank", *start, 0, 1]):
        assert "others may write here" in place.worker(*each, status=1).stderr
    (place.root() / "submissions").chmod(0o700)
    (place.folder / "go").touch()
    place.wait_ended(1)
    assert len(place.notes("begin")) == 1


def test_a_results_folder_of_two_lines_is_refused(place: Place):
    place.trainer(AT_ONCE)
    done = place.submit(place.grid(1), "--results", "a\nb", status=2)
    assert "not a path on one line" in done.stderr
    assert not (place.folder / "a\nb").exists()
